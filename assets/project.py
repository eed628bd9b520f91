"""What a domain declares: every Source, FeatureView, Embedding and Step found in the modules of its folder.

Adding a source is adding a file; nothing else has to be told about it.
"""

import functools
import importlib
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from graphlib import TopologicalSorter
from types import ModuleType
from typing import Any

from assay.assets.sources.source import Source
from assay.assets.steps.clean import clean_step
from assay.assets.steps.embeddings import Embedding, embedding_step
from assay.assets.steps.features import view_step
from assay.assets.steps.raw import raw_step
from assay.assets.steps.step import Step
from assay.errors import AssayError
from assay.features.tables.partitioning import Partitioning, shared
from assay.features.views.feature_view import FeatureView

DOMAINS = ("assay.assets.support",)


@functools.cache
def pipeline() -> tuple[Step, ...]:
    """All steps of all domains, upstream before downstream. Raises AssayError for two steps that write one table."""
    return ordered([step for domain in DOMAINS for step in domain_steps(importlib.import_module(domain))])


@functools.cache
def sources() -> dict[str, Source]:
    """Declared sources by name."""
    found = (item for domain in DOMAINS for item in _declared(importlib.import_module(domain)))
    return {item.name: item for item in found if isinstance(item, Source)}


def source(name: str) -> Source:
    """A declared source. Raises AssayError for a name that is none."""
    found = sources().get(name)
    if found is None:
        raise AssayError(f"There is no source {name!r}. There are: {', '.join(sorted(sources()))}.")
    return found


def domain_steps(domain: ModuleType) -> list[Step]:
    """The steps that the declarations of a package make."""
    declared = list(_declared(domain))
    sources = {source.clean: source for source in declared if isinstance(source, Source)}
    partitions = {
        table: source.partitioning
        for source in sources.values()
        for table in (source.raw, source.clean, source.quarantine)
    }
    partitions |= {table: step.partitioning for step in declared if isinstance(step, Step) for table in step.outputs}
    steps: list[Step] = []
    for item in declared:
        if isinstance(item, Source):
            steps += [raw_step(item), clean_step(item)]
        elif isinstance(item, FeatureView):
            contracts = [sources[table].contract for table in item.sources() if table in sources]
            steps.append(view_step(item, _partitioning(f"View {item.name!r}", item.sources(), partitions), contracts))
        elif isinstance(item, Embedding):
            steps.append(embedding_step(item, _partitioning(f"Embedding {item.name!r}", (item.source,), partitions)))
        elif isinstance(item, Step):
            steps.append(item)
    return steps


def _partitioning(who: str, tables: Sequence[str], partitions: Mapping[str, Partitioning]) -> Partitioning:
    """The partitions of what is computed from these tables, partition by partition."""
    known = [table for table in tables if table in partitions]
    if not known:
        raise AssayError(f"{who} reads only {', '.join(tables)}, which nothing declared here writes: check the name.")
    common = shared([partitions[table] for table in known])
    if common is None:
        cut = "; ".join(f"{table} has {partitions[table]}" for table in known)
        raise AssayError(f"{who} reads tables that are cut differently ({cut}). Split it into one for each.")
    return common


def _declared(domain: ModuleType) -> Iterator[Any]:
    """Declarations, each once (a module may import another's), in the order of the files' names."""
    seen: set[int] = set()
    for info in sorted(pkgutil.iter_modules(domain.__path__), key=lambda info: info.name):
        if info.ispkg:
            continue
        module = importlib.import_module(f"{domain.__name__}.{info.name}")
        for item in vars(module).values():
            if isinstance(item, Source | FeatureView | Embedding | Step) and id(item) not in seen:
                seen.add(id(item))
                yield item


def ordered(steps: list[Step]) -> tuple[Step, ...]:
    """Upstream first; ties by name, so that the order is always the same."""
    writer: dict[str, Step] = {}
    for step in sorted(steps, key=lambda step: step.name):
        for table in step.outputs:
            if table in writer:
                raise AssayError(f"{table} is written by two declarations; give one of them another name.")
            writer[table] = step
    for step in writer.values():
        _refuse_other_rhythms(step, writer)
    graph = {
        step.name: [writer[table].name for table in (*step.reads, *step.references) if table in writer]
        for step in writer.values()
    }
    by_name = {step.name: step for step in steps}
    return tuple(by_name[name] for name in TopologicalSorter(graph).static_order() if name in by_name)


def _refuse_other_rhythms(step: Step, writer: Mapping[str, Step]) -> None:
    """A step reads the same partition of its upstreams; of tables that are cut differently there is none."""
    for table in step.reads:
        upstream = writer[table].partitioning if table in writer else step.partitioning
        if step.partitioning.is_partitioned and upstream.is_partitioned and not shared([step.partitioning, upstream]):
            raise AssayError(
                f"{step.outputs[0]} has {step.partitioning} and reads {table}, which has {upstream}. Give both the same."
            )
