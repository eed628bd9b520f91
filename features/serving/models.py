"""Models: one row of `models/<name>` per version, with its artefact, metrics and the training set it was fitted on."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import polars as pl

from assay.errors import AssayError, nearest
from assay.features.retention.availability import require_readable
from assay.features.serving.inputs import Input, read_input
from assay.features.serving.model_formats import OWN, Artifact, Load, Save, from_artifact, to_artifact
from assay.features.serving.training import TrainingSetVersion, load_training_set
from assay.features.storage.log_entry import DataFile
from assay.features.storage.parquet_files import file_sha256
from assay.features.storage.sections import Model
from assay.features.storage.snapshot import Snapshot
from assay.features.tables.kinds import Kind
from assay.features.tables.lake import Lake, TableMissing, TableState
from assay.features.tables.run_record import Recorder, Run, Work, new_run
from assay.features.tables.transaction import Transaction, run
from assay.features.training.split import Split
from assay.notebook_html import facts_html

VERSION = "model_version"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_ROW = {
    VERSION: pl.String(),
    "sha256": pl.String(),
    "artifact": pl.Binary(),
    "format": pl.String(),
    "training_set": pl.String(),
    "split": pl.String(),
    "outputs": pl.List(pl.String()),
    "metrics": pl.String(),
    "params": pl.String(),
    "created_at": pl.Datetime("us", "UTC"),
}
_DESCRIBED = {column: dtype for column, dtype in _ROW.items() if column != "artifact"}


class ModelMissing(AssayError):
    """There is no such version of the model. `known` are the versions that there are."""

    def __init__(self, message: str, known: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.known = tuple(known)


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version of a model, as it is stored. `snapshot` is a version of `models/<name>` that holds it.

    `format` is `""` for models from before formats were recorded; `training_set` an id such as `delay@3`, `""` if none was
    named; `split` the definition of the split that it was fitted on, {} if none was named.
    """

    name: str
    version: str
    snapshot: Snapshot
    sha256: str
    format: str
    training_set: str
    outputs: tuple[str, ...]
    metrics: Mapping[str, Any]
    params: Mapping[str, Any]
    created_at: datetime
    split: Mapping[str, Any]
    lake: Lake = field(repr=False, compare=False)

    def __str__(self) -> str:
        return f"{Kind.MODELS.table(self.name)} {self.version}"

    def _repr_html_(self) -> str:
        """For notebooks: what it was fitted on and how well it did."""
        facts = {"training set": self.training_set, "split": self.split.get("rows"), "outputs": self.outputs}
        measured = {"metrics": self.metrics, "params": self.params}
        return facts_html(
            f"Model {self}",
            facts | measured | {"format": self.format, "sha256": self.sha256, "made at": self.created_at},
        )

    def to_dict(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in ("name", "version", "sha256", "format", "training_set")}
        return values | {
            "snapshot": self.snapshot.to_dict(),
            "outputs": list(self.outputs),
            "metrics": dict(self.metrics),
            "params": dict(self.params),
            "created_at": self.created_at.isoformat(),
            "split": dict(self.split),
        }

    def artifact(self) -> Artifact:
        """The stored bytes. Raises AssayError when they are gone, or not what was committed."""
        require_readable(self.lake, self.snapshot, str(self))
        state = self.lake.table(self.snapshot.table).at(self.snapshot.version)
        for file in _files_of(state, self.version):
            promised = file_sha256(file.path) is not None
            if promised:
                _refuse_changed(state, file, str(self))
            else:  # another tool put it together
                _refuse_cut(state, file)
            rows = state.scan_files([file]).filter(pl.col(VERSION) == self.version).select("artifact").collect()
            if rows.height:
                content = rows["artifact"][0]
                if not promised:
                    _refuse_unrecorded(state, self.version, content, str(self))
                return Artifact(self.format or OWN, content)
        raise ModelMissing(f"{self} is not in {self.snapshot} any more.")

    def load(self, *, load: Load | None = None, trusted: Sequence[str | type] = ()) -> Any:
        """The fitted model. See `assay.features.serving.model_formats.from_artifact` for arguments and errors."""
        return from_artifact(self.artifact(), self.sha256, str(self), load=load, trusted=trusted)


def find_model(lake: Lake, name: str, version: str | int | None = None) -> ModelVersion:
    """A version of a model (None: the newest). Raises AssayError for a model or a version that is not there."""
    state = lake.table(models_table(name)).at()
    return model_of_state(state, name, version)


def model_of_state(state: TableState, name: str, version: str | int | None = None) -> ModelVersion:
    """The same at one version of the table."""
    chosen = _newest(state) if version is None else _named(state, str(version))
    if chosen is None:
        versions = _rows(state, state.files)[VERSION].to_list()
        if not versions:
            raise ModelMissing(f"{state.table.name} holds no model yet.")
        near = nearest(str(version), versions)
        raise ModelMissing(
            f"{state.table.name} has no version {str(version)!r}.{near} There are: {', '.join(versions)}.", versions
        )
    row = chosen
    return ModelVersion(
        name=name,
        version=row[VERSION],
        snapshot=state.snapshot,
        sha256=row["sha256"],
        format=row["format"] or "",
        training_set=row["training_set"] or "",
        outputs=tuple(row["outputs"] or ()),
        metrics=json.loads(row["metrics"] or "{}"),
        params=json.loads(row["params"] or "{}"),
        created_at=row["created_at"],
        split=json.loads(row["split"] or "{}"),
        lake=state.table.lake,
    )


def stage_model(
    tx: Transaction,
    name: str,
    artifact: Artifact,
    *,
    training_set: str,
    outputs: Sequence[str],
    metrics: Mapping[str, Any],
    params: Mapping[str, Any],
    split: Mapping[str, Any] | None = None,
    newest: bool = False,
) -> str:
    """Stage a row of `models/<name>` in a transaction; its version comes back. The same bytes from the same training set
    are the same version, which is then left as it is, with its first metrics. With `newest` that holds for the newest
    version only: a declaration that went back to what it was makes a new version, since the newest one predicts."""
    table = models_table(name)
    texts = {"metrics": _json(metrics, f"{table}: metrics"), "params": _json(params, f"{table}: params")}
    try:
        tx.note(table, lookup=True)
        stored = _stored(tx.state(table), artifact.sha256, newest=newest)
    except TableMissing:
        stored = pl.DataFrame(schema=_DESCRIBED)
    same = stored.filter(sha256=artifact.sha256).filter(pl.col("training_set").fill_null("") == training_set).tail(1)
    if newest and same[VERSION].to_list() != stored[VERSION].tail(1).to_list():
        same = same.clear()
    numbers = [int(text) for text in stored[VERSION] if text.isdecimal()]
    version: str = same[VERSION][0] if same.height else str(max(numbers, default=0) + 1)
    row = {
        VERSION: version,
        "sha256": artifact.sha256,
        "artifact": artifact.content,
        "format": artifact.format,
        "training_set": training_set,
        "split": json.dumps(split, sort_keys=True) if split else None,
        "outputs": list(outputs),
        **texts,
        "created_at": datetime.now(UTC),
    }
    rows = pl.DataFrame([row], schema=_ROW)
    described = Model(
        version=version,
        sha256=artifact.sha256,
        training_set=training_set,
        split=split or {},
        outputs=tuple(outputs),
    )
    tx.write(
        table,
        rows.clear() if same.height else rows,
        mode="append",
        statistics=(VERSION, "sha256"),
        sections={"model": described},
    )
    return version


def log_model(
    lake: Lake,
    recorder: Recorder,
    name: str,
    fitted: Any,
    *,
    training_set: TrainingSetVersion | Split | str | None,
    metrics: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    outputs: Sequence[str] = (),
    inputs: Sequence[Input] = (),
    format: str | None = None,
    save: Save | None = None,
    load: Load | None = None,
    trusted: Sequence[str | type] = (),
    code_version: str = "",
    run_as: Run | None = None,
) -> ModelVersion:
    """Store a fitted model as a version of `models/<name>`. For arguments and errors see `assay.Store.log_model`."""
    table = models_table(name)
    if isinstance(outputs, str):
        raise AssayError(f"{table}: outputs is a list of columns: write outputs=[{outputs!r}].")
    artifact = to_artifact(fitted, table, format=format, save=save)
    if artifact.format != OWN or load is not None:  # what cannot be read again is found out now
        from_artifact(artifact, artifact.sha256, table, load=load, trusted=trusted)
    split = training_set.definition if isinstance(training_set, Split) else None
    learned = training_set.training_set if isinstance(training_set, Split) else training_set
    made = load_training_set(lake, learned) if isinstance(learned, str) else learned
    made_from = made.id if made is not None else ""
    described = {"sha256": artifact.sha256, "training_set": made_from}
    work = Work(table, None, code_version, run_as or new_run(), described, f"A model logged as {name}.")

    def body(tx: Transaction) -> str:
        for item in (*([made] if made is not None else []), *inputs):
            read_input(tx, item)
        return stage_model(
            tx,
            name,
            artifact,
            training_set=made_from,
            split=split,
            outputs=outputs,
            metrics=metrics or {},
            params=params or {},
        )

    version, done = run(lake, recorder, work, body)
    written = next(item for item in done.writes if item.table == table)
    return model_of_state(lake.table(table).at(written.snapshot.version), name, version)


def models_table(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise AssayError(f"{name!r} is not a model's name: use letters, digits and '_'.")
    return Kind.MODELS.table(name)


def _newest(state: TableState) -> dict[str, Any] | None:
    """The newest version's row; None where there is none."""
    for file in state.newest_files():
        rows = _rows(state, [file])
        if rows.height:
            return rows.row(-1, named=True)
    return None


def _named(state: TableState, version: str) -> dict[str, Any] | None:
    """A version's row; None where there is none."""
    rows = _rows(state, _files_of(state, version)).filter(pl.col(VERSION) == version)
    return rows.row(-1, named=True) if rows.height else None


def _stored(state: TableState, sha256: str, *, newest: bool) -> pl.DataFrame:
    """The rows that decide what a model's version is: the newest one, which has the highest number, and where it counts
    those with these bytes."""
    last = _newest(state)
    if last is None or not last[VERSION].isdecimal():  # named by an older Assay, whose numbers are not in order
        return _rows(state, state.files)
    latest = pl.DataFrame([last], schema=_DESCRIBED)
    if newest:
        return latest
    same = _rows(state, state.files_between("sha256", sha256, sha256)).filter(pl.col("sha256") == sha256)
    return pl.concat([same, latest.filter(~pl.col(VERSION).is_in(same[VERSION].to_list()))])


def _files_of(state: TableState, version: str) -> list[DataFile]:
    """The files that may hold a version."""
    return state.files_between(VERSION, version, version)


def _rows(state: TableState, files: Sequence[DataFile]) -> pl.DataFrame:
    """The versions in some files, without their artefacts, oldest first. Columns that an older table lacks are null."""
    for file in files:
        _refuse_cut(state, file)
    frame = state.scan_files(files)
    there = state.schema.names()
    columns = [
        pl.col(column) if column in there else pl.lit(None, dtype=dtype).alias(column)
        for column, dtype in _DESCRIBED.items()
    ]
    return frame.select(columns).collect().sort("created_at", maintain_order=True)


def _refuse_cut(state: TableState, file: DataFile) -> None:
    """Polars panics on a file that is shorter than the log says."""
    if state.table.lake.storage.size(f"{state.table.name}/{file.path}") != file.size:
        raise AssayError(
            f"{state.table.name} cannot be read: {file.path} is gone, or was changed after it was committed. Restore it "
            "from a backup (its name is the SHA-256 of its bytes)."
        )


def _refuse_changed(state: TableState, file: DataFile, where: str) -> None:
    """Before Polars reads it: it may abort on a file that is not what the log says."""
    content = state.table.lake.storage.get(f"{state.table.name}/{file.path}")
    if hashlib.sha256(content).hexdigest() != file_sha256(file.path):
        raise AssayError(
            f"{where} is refused: {file.path} was changed after it was committed. Restore it from a backup (its name is "
            "the SHA-256 of its bytes)."
        )


def _refuse_unrecorded(state: TableState, version: str, content: bytes, where: str) -> None:
    """Of bytes in a file whose name promises nothing, such as one that compaction by another tool made: a run's commit must have
    recorded them as this version."""
    stored = (commit.model for commit in state.commits if commit.run_id and commit.model is not None)
    if hashlib.sha256(content).hexdigest() not in {model.sha256 for model in stored if model.version == version}:
        raise AssayError(
            f"{where} is refused: it lies in a file that another tool wrote, and no run recorded that it stored these bytes. "
            f"Restore {state.table.name} from a backup, or log the model again."
        )


def _json(values: Mapping[str, Any], where: str) -> str:
    def plain(value: Any) -> Any:
        if hasattr(value, "item"):
            return value.item()
        raise TypeError(type(value).__name__)

    try:
        return json.dumps(dict(values), sort_keys=True, allow_nan=False, default=plain)
    except (TypeError, ValueError) as problem:
        raise AssayError(f"{where} must be finite numbers, texts, lists and dicts of these ({problem}).") from None
