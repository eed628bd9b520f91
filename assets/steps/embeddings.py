"""Embedding steps: vectors of the texts of a clean table, each text computed once."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from assay.assets.steps.clean import batches_of
from assay.assets.steps.step import Resources, Step, require
from assay.assets.steps.watched import Watched, same_partition
from assay.features.embeddings.engine import Engine
from assay.features.embeddings.keys import TEXT_KEY, text_keys
from assay.features.embeddings.model import resolve_model
from assay.features.serving.relevant_partitions import holding
from assay.features.storage.sections import Embedding as EmbeddingSection
from assay.features.tables.kinds import Kind
from assay.features.tables.lake import TableMissing
from assay.features.tables.partitioning import Partitioning
from assay.features.tables.serving import Serving
from assay.features.tables.transaction import Transaction
from assay.features.views.withdrawn_columns import refuse_withdrawn, withdrawn_columns
from assay.settings import Settings

VECTOR = "vector"


@dataclass(frozen=True, slots=True)
class Embedding:
    """Vectors of a text column: `embeddings/<name>`, append-only, keyed by content, so that a text is computed once.

    Recorded with every commit: model, its SHA-256, engine, dtype, device and batch policy.
    """

    name: str
    source: str
    text: str
    description: str = ""

    @property
    def table(self) -> str:
        return Kind.EMBEDDINGS.table(self.name)

    @property
    def references(self) -> tuple[str, ...]:
        """The reference to its vectors."""
        return (f"{self.name}:{VECTOR}",)


def embedding_step(embedding: Embedding, partitioning: Partitioning) -> Step:
    """The step that fills `embeddings/<name>`, one partition for each of its source.

    Args:
        embedding: The declaration.
        partitioning: That of the table that the texts are read from.
    """
    return Step(
        outputs=(embedding.table,),
        prepare=lambda tx, env: _prepare_embedding(embedding, tx, env),
        compute=lambda tx, env, texts: _compute_embedding(embedding, tx, env, texts),
        code_version=hashlib.sha256(f"embed-1 {embedding.source} {embedding.text}".encode()).hexdigest()[:16],
        reads=(embedding.source,),
        partitioning=partitioning,
        batches=None if partitioning.is_partitioned else lambda env: batches_of(embedding.source, env),
        kinds=("torch", "huggingface"),
        description=embedding.description,
        pool="gpu",
        watched=Watched(same_partition(embedding.source, embedding.table), settings=embedding_identity),
    )


def _prepare_embedding(embedding: Embedding, tx: Transaction, env: Resources) -> pl.LazyFrame:
    day = tx.work.partition or ""
    require(tx, embedding.source, day)
    model = resolve_model(env.settings.embedding_model or None)
    tx.work = replace(tx.work, params={"model": model.digest})
    withdrawn = withdrawn_columns(tx.state(embedding.source), [day])
    refuse_withdrawn(f"Embedding {embedding.name!r}", embedding.source, withdrawn, [embedding.text])
    return tx.read(embedding.source, [day]).select(embedding.text)


def _compute_embedding(embedding: Embedding, tx: Transaction, env: Resources, texts: pl.LazyFrame) -> Mapping[str, Any]:
    model = resolve_model(env.settings.embedding_model or None)
    engine = shared_engine(env)
    column = texts.collect()[embedding.text].drop_nulls()
    keyed = (
        pl.DataFrame({"text": column, TEXT_KEY: text_keys(column, model, engine.settings)})
        .unique(TEXT_KEY)
        .sort(TEXT_KEY)
    )
    missing = keyed
    try:
        tx.note(embedding.table, lookup=True)
        embedded = holding(tx.state(embedding.table), [TEXT_KEY], keyed.select(TEXT_KEY)).select(TEXT_KEY)
        missing = keyed.join(embedded.collect(), on=TEXT_KEY, how="anti").sort(TEXT_KEY)
    except TableMissing:
        pass
    vectors = engine.embed(
        missing["text"].to_list(), progress=lambda done, total: env.progress(f"embedding {embedding.name}", done, total)
    )
    rows = pl.DataFrame({TEXT_KEY: missing[TEXT_KEY], "vector": vectors}).cast({"vector": pl.List(pl.Float32)})
    tx.describe(
        serving=Serving.lookup([TEXT_KEY]).to_dict(),
        embedding=EmbeddingSection(
            model=model.name,
            digest=model.digest,
            revision=model.revision or "",
            dimensions=model.dimensions,
            engine=engine.describe(),
        ),
    )
    tx.write(
        embedding.table,
        rows,
        mode="append",
        statistics=(TEXT_KEY,),
        constraints={"dimension": f"array_length(vector) = {model.dimensions}"},
        column_lineage={
            name: {"direct": [(embedding.source, embedding.text)], "indirect": []} for name in (TEXT_KEY, "vector")
        },
    )
    return {"texts": keyed.height, "computed": missing.height, "engine": engine.describe()}


def embedding_identity(settings: Settings) -> str:
    """What decides the keys of texts besides the texts: the model, and how it is used. No model is loaded."""
    model = resolve_model(settings.embedding_model or None)
    return f"{model.digest} {Engine(model, device=settings.device).settings}"


def embedding_keys(env: Resources, texts: pl.Series) -> pl.Series:
    """The keys (`text_key`) under which the vectors of these texts are kept."""
    model = resolve_model(env.settings.embedding_model or None)
    return text_keys(texts, model, shared_engine(env).settings).alias(TEXT_KEY)


_ENGINES: dict[tuple[str, str], Engine] = {}


def shared_engine(env: Resources) -> Engine:
    """One loaded model per process: loading takes seconds, and days come one after the other."""
    model = resolve_model(env.settings.embedding_model or None)
    key = (model.digest, env.settings.device)
    if key not in _ENGINES:
        _ENGINES[key] = Engine(model, device=env.settings.device)
    return _ENGINES[key]
