"""Training sets: an as-of join, materialised, with a manifest of everything it was made from, and pinned.

A training set is one version of `training/<name>`; its id is `<name>@<version>`. The manifest travels in that version's
commit and is enough for a plain Delta reader to find every input again.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import polars as pl

from assay.errors import AssayError
from assay.features.retention.availability import require_readable, snapshot_status
from assay.features.retention.pins import pin, pins
from assay.features.serving.as_of_join import one_of
from assay.features.serving.feature_refs import Resolved, find_serving, join, resolve
from assay.features.serving.feature_set import FeatureSet
from assay.features.serving.join_options import EVENT_TIME, JoinOptions, KnownAt
from assay.features.serving.labels import Label, ResolvedLabel, join_label, label_reference, resolve_label
from assay.features.serving.request import Features, request
from assay.features.serving.spine_frame import SpineFrame, spine_frame
from assay.features.storage.parquet_files import PARTITION, file_sha256
from assay.features.storage.snapshot import Slice, Snapshot
from assay.features.tables.digest import content_digest, digest_of
from assay.features.tables.kinds import Kind
from assay.features.tables.lake import Lake, TableMissing, TableState
from assay.features.tables.run_record import Recorder, Run, RunResult, Work, new_run
from assay.features.tables.serving import Serving
from assay.features.tables.transaction import Transaction, run
from assay.features.training.lookback import Lookback, lookback_of
from assay.features.training.methods import TrainingSetMethods
from assay.features.training.rows import RowFile, columns_of_keys

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_ID = re.compile(r"([A-Za-z][A-Za-z0-9_]*)@(\d+)")


@dataclass(frozen=True, slots=True)
class TrainingSetVersion(TrainingSetMethods):
    """One version of `training/<name>` and what it was made from."""

    id: str  # pyrefly: ignore[bad-override] - read only, as all of it
    name: str
    snapshot: Snapshot  # pyrefly: ignore[bad-override] - read only, as all of it
    manifest: Mapping[str, Any]  # pyrefly: ignore[bad-override] - read only, as all of it
    lake: Lake = field(repr=False, compare=False)

    def frame(self) -> pl.DataFrame:
        """The rows. Raises AssayError if they are gone, or not what the manifest says."""
        rows = self.scan().collect()
        if content_digest(rows) != self.manifest["content_digest"]:
            raise self._changed(self.snapshot.table)
        return rows

    def scan(self) -> pl.LazyFrame:
        """The rows as a lazy frame, in the order of `frame()`, once each file has the SHA-256 that the log says.

        Raises:
            AssayError: They are gone, or a file was changed.
        """
        files = self.row_files()
        for file in files:  # first: polars may abort on a file that is not what the log says
            file.check()
        return (
            pl.concat([file.frame for file in files]) if files else self._state().scan_files([]).select(self._columns)
        )

    def row_files(self) -> list[RowFile]:
        """The data files, in the order of the rows. Raises AssayError if they are gone."""
        require_readable(self.lake, self.snapshot, f"Training set {self.id}")
        state = self._state()
        return [
            RowFile(
                file.path, file.rows, state.scan_files([file]).select(self._columns), partial(self._check, file.path)
            )
            for file in state.newest_files()
        ]

    def _state(self) -> TableState:
        return self.lake.table(self.snapshot.table).at(self.snapshot.version)

    @property
    def _columns(self) -> list[str]:
        return [column["name"] for column in self.manifest["schema"]]

    def _check(self, path: str) -> None:
        if self.lake.storage.sha256(f"{self.snapshot.table}/{path}") != file_sha256(path):
            raise self._changed(path)

    def lookbacks(self) -> tuple[Lookback, ...]:
        """How far back the features of each view look. What is looked up has no time, and is not among them."""
        return tuple(
            _lookback(self.lake, item)
            for item in (*self.manifest["features"], *self.manifest.get("used", ()))
            if Serving.from_dict(item["serving"]).kind == "as_of"
        )

    @property
    def definitions(self) -> dict[str, str]:
        """By view the SHA-256 of the definition that its features were computed by, where it was recorded."""
        named = {
            item["view"]: [one["sha256"] for one in item.get("definitions", ()) if one["sha256"]]
            for item in (*self.manifest["features"], *self.manifest.get("used", ()))
        }
        return {view: found[0] for view, found in named.items() if found}

    def to_dict(self) -> dict[str, Any]:
        """The manifest: what the set was made from, as JSON."""
        return dict(self.manifest)

    def __str__(self) -> str:
        return f"{self.id}: {self.manifest['rows']} rows, {', '.join(self.manifest['references'])}"

    def _changed(self, what: str) -> AssayError:
        return AssayError(
            f"Training set {self.id} has other content than its manifest says: {what} was changed. Restore its data files "
            "from a backup (their names are the SHA-256 of their bytes)."
        )


def stage_training_set(
    tx: Transaction,
    name: str,
    spine: pl.DataFrame,
    features: Features | Resolved,
    *,
    versions: Mapping[str, int] | None = None,
    pins: Mapping[str, int] | None = None,
    options: JoinOptions | None = None,
    label: ResolvedLabel | None = None,
) -> pl.DataFrame:
    """Join the features to the spine and stage `training/<name>` in a transaction; the rows come back. What is resolved
    already is joined as it was resolved.

    What the transaction has read so far is what the spine was made from. Whoever asks `tx.current(…)` first resolves the
    references before that and hands them over, so that they count; a label is always resolved before. When it is published, its
    snapshots are pinned.
    """
    table = _table(name)
    if tx.work.partition is not None:
        raise AssayError(f"{table} is one table without partitions; this work is for partition {tx.work.partition}.")
    made_from = [item for item in tx.reads if not item.lookup]
    resolved = (
        features
        if isinstance(features, Resolved)
        else resolve(tx, features, spine, versions=one_of(versions, pins), options=options)
    )
    if isinstance(features, Resolved):
        of_features = {item["table"] for item in (*resolved.described, *resolved.used)}
        made_from = [item for item in made_from if item.snapshot.table not in of_features]
    if label is not None:
        made_from = [item for item in made_from if item.snapshot.table != label.state.table.name]
    refuse_changed_sets(tx.lake, table, resolved.sets)
    rows = join(spine, resolved)
    if label is not None:
        rows = join_label(rows, label, resolved.options.event_time)
    manifest = {
        "name": name,
        "created_at": datetime.now(UTC).isoformat(),
        "spine": {
            "digest": content_digest(spine),
            "rows": spine.height,
            "columns": spine.columns,
            "inputs": [str(item.snapshot) for item in made_from],
        },
        "features": [dict(item) for item in resolved.described],
        "references": list(resolved.references),
        **resolved.options.to_dict(),
        "feature_set": _feature_set(resolved),
        **({"feature_sets": [item.to_dict() for item in resolved.sets]} if resolved.sets else {}),
        **({"used": [dict(item) for item in resolved.used], "uses": list(resolved.uses)} if resolved.uses else {}),
        **({"label": label.described(spine.height - rows.height)} if label is not None else {}),
        "inputs": [_input(tx, item) for item in tx.reads],
        "code_version": tx.work.code_version,
        "content_digest": content_digest(rows),
        "rows": rows.height,
        "schema": [{"name": column, "type": str(dtype)} for column, dtype in rows.schema.items()],
    }
    lineage = _column_lineage(resolved) | (label.column_lineage() if label is not None else {})
    tx.write(table, rows, sections={"manifest": manifest}, column_lineage=lineage)
    tx.then(lambda done: pin_training_set(tx.lake, published(tx.lake, name, done)))
    return rows


def published(lake: Lake, name: str, done: RunResult) -> TrainingSetVersion:
    """The training set that a finished piece of work wrote, or found to be current."""
    written = next(item for item in done.writes if item.table == _table(name))
    return _open(lake, name, written.snapshot)


def create_training_set(
    lake: Lake,
    recorder: Recorder,
    name: str,
    spine: SpineFrame,
    features: Features,
    *,
    versions: Mapping[str, int] | None = None,
    pins: Mapping[str, int] | None = None,
    known_at: KnownAt | Mapping[str, KnownAt] = "event",
    skip_nulls: bool | Mapping[str, bool] = False,
    event_time: str = EVENT_TIME,
    label: Label | None = None,
    known_by: datetime | None = None,
    code_version: str = "",
    run_as: Run | None = None,
) -> TrainingSetVersion:
    """Materialise a training set. The same spine, features and inputs give the same version again.

    Args:
        lake: Where the tables are.
        recorder: What is given the run for lineage.
        name: Of the table `training/<name>`.
        spine: One row per example: the entities' keys, `event_time`, the label, and anything else to keep. Frames of Polars and
            pandas, and whatever else gives Arrow.
        features: References, such as `customer_activity:tickets_7d`, and roles.
        versions: Table versions to read, by table name. Default: the latest.
        pins: The former name of `versions`.
        known_at: "event", or "known": only values that were known at the spine's time. A mapping says so for some views.
        skip_nulls: Take the latest value that is not null; a mapping says so for some views.
        event_time: The spine's column with the time.
        label: `view:label` of a label view: the target, with the column `label_known`. Rows whose label is null or not known
            are left out. Default: the spine has the label.
        known_by: Only labels that were known at this moment. Default: the newest time in the label view's table.
        code_version: Of the caller's code; another one makes a new version.
        run_as: The run that this is a part of. Default: a run of its own.

    Raises:
        AssayError: A reference, table, version or option is unknown, or the spine lacks usable keys or times.
    """
    wanted = request(features, JoinOptions(known_at, skip_nulls, event_time))
    rows = spine_frame(spine, event_time)
    params = {
        "spine": content_digest(rows),
        "columns": ",".join(rows.columns),
        "features": " ".join(wanted.texts),
        **wanted.options.to_dict(),
        **({"feature_sets": " ".join(item.id for item in wanted.sets)} if wanted.sets else {}),
        **({"label": str(label_reference(label)), "known_by": str(known_by)} if label is not None else {}),
    }
    work = Work(_table(name), None, code_version, run_as or new_run(), params, f"Training set {name}.")

    def body(tx: Transaction) -> None:
        resolved = resolve(tx, wanted, rows, versions=one_of(versions, pins))
        target = None if label is None else resolve_label(tx, label, versions=one_of(versions, pins), known_by=known_by)
        if tx.current(_table(name)):
            tx.then(lambda done: pin_training_set(tx.lake, published(tx.lake, name, done)))
            return
        stage_training_set(tx, name, rows, resolved, label=target)

    _, done = run(lake, recorder, work, body)
    return published(lake, name, done)


def refuse_changed_sets(lake: Lake, table: str, sets: Sequence[FeatureSet]) -> None:
    """Raise AssayError if the newest version of a training set was made by a set of the same name and version that holds other
    features."""
    if not sets or not lake.table(table).exists():
        return
    state = lake.table(table).at()
    for version in state.index.with_section("manifest", state.version, newest=True):
        recorded = (state.index.commit(version).manifest or {}).get("feature_sets", [])
        before = {(item["name"], item["version"]): item["sha256"] for item in recorded}
        for item in sets:
            if before.get((item.name, item.version), item.digest()) != item.digest():
                raise AssayError(
                    f"{table}@{version} was made by feature set {item.id} with other features than it has now: give the "
                    "changed set another version."
                )


def load_training_set(lake: Lake, training_set_id: str) -> TrainingSetVersion:
    """A training set by its id. `.frame()` gives the rows it was made with.

    Args:
        lake: Where the tables are.
        training_set_id: Such as `router@3`.

    Raises:
        AssayError: It is unknown, vacuumed or erased (deleted or made anew); the message says which.
    """
    match = _ID.fullmatch(training_set_id)
    if match is None:
        raise AssayError(f"{training_set_id!r} is not a training set's id. Ids look like 'router@3'.")
    name, version = match[1], int(match[2])
    remembered = _remembered(lake, name, version)
    try:
        latest = lake.table(_table(name)).at()
    except TableMissing:
        if remembered:
            require_readable(lake, remembered[0], f"Training set {training_set_id}")
        raise
    table_id = latest.table_id
    if remembered and all(item.table_id != table_id for item in remembered):
        require_readable(lake, remembered[-1], f"Training set {training_set_id}")
    snapshot = lake.table(_table(name)).at(version).snapshot
    require_readable(lake, snapshot, f"Training set {training_set_id}")
    return _open(lake, name, snapshot)


def _lookback(lake: Lake, item: Mapping[str, Any]) -> Lookback:
    """Of the features of one view, by the commit that the manifest names."""
    serving = item["serving"]
    try:
        named = [one["sha256"] for one in item.get("definitions", ()) if one["sha256"]]
        described = find_serving(lake.table(item["table"]).at(item["version"]), *named[:1])
    except AssayError:  # erased, or not to be read by the actor
        return Lookback(item["view"], tuple(columns_of_keys(item)), None, "cannot be asked how far back its rows look")
    view = described[1] if described is not None else {}
    return lookback_of(item["view"], columns_of_keys(item), view, serving, [one["name"] for one in item["features"]])


def _open(lake: Lake, name: str, snapshot: Snapshot) -> TrainingSetVersion:
    commit = lake.table(snapshot.table).at(snapshot.version).last_commit
    manifest = commit.manifest
    if manifest is None:
        latest = lake.table(snapshot.table).at()
        made = latest.index.with_section("manifest", latest.version)
        raise AssayError(
            f"Version {snapshot.version} of {snapshot.table} made no training set (those that did: {made})."
        )
    training_set_id = f"{name}@{snapshot.version}"
    whole = {"id": training_set_id, **manifest, "table": _resolved(lake, snapshot.to_dict())}
    whole["inputs"] = [_resolved(lake, item) for item in manifest["inputs"]]
    return TrainingSetVersion(training_set_id, name, snapshot, whole, lake)


def _resolved(lake: Lake, item: Mapping[str, Any]) -> dict[str, Any]:
    """With the address in this lake, wherever it lay when the manifest was written."""
    return {**item, "uri": lake.storage.uri(item["table"])}


def pin_training_set(lake: Lake, made: TrainingSetVersion) -> None:
    """Keep the rows and everything they were made from. Done on publishing; again, after a kill in between, by whoever
    finds the set current. A pin that is there already is left as it is."""
    name = f"{_pin_prefix(made.name, made.snapshot.version)}{made.snapshot.table_id[:8]}"
    if any(item.name == name for item in pins(lake)):
        return
    described = (*made.manifest["features"], *made.manifest.get("used", ()))
    lookups = {item["table"] for item in described if Serving.from_dict(item["serving"]).kind == "lookup"}
    inputs = [_to_keep(Slice.from_dict(item), lookups) for item in made.manifest["inputs"]]
    # A set that was found to be current may have lost inputs since, if nobody had pinned them.
    kept = [item for item in inputs if snapshot_status(lake, item) == "readable"]
    pin(lake, name, [made.snapshot, *kept], owner="assay", reason=f"Training set {made.id} and its inputs.")


def _to_keep(item: Slice, lookups: set[str]) -> Snapshot | Slice:
    """A lookup table is searched for its keys as a whole, to know which partitions to read; so all of it is kept."""
    return item.snapshot if item.snapshot.table in lookups else item


def _remembered(lake: Lake, name: str, version: int) -> list[Snapshot]:
    """The tables, by their pins, that this training set was once a version of."""
    prefix = _pin_prefix(name, version)
    snapshots = (item.snapshots[0] for item in pins(lake) if item.name.startswith(prefix))
    return [item for item in snapshots if isinstance(item, Snapshot)]


def _pin_prefix(name: str, version: int) -> str:
    return f"training-{name}@{version}-"


def _table(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise AssayError(f"{name!r} is not a training set's name: use letters, digits and '_'.")
    return Kind.TRAINING.table(name)


def _input(tx: Transaction, item: Slice) -> dict[str, Any]:
    """What was read of a table, and how any Delta reader reads it again: `uri` (relative to the lake; resolved
    when the manifest is opened), `version`, and an SQL `predicate`."""
    files = tx.state(item.snapshot.table).files_of(item.partitions, item.excluded)
    rows = sum(file.rows for file in files)
    return item.to_dict() | {"name": item.snapshot.table, "predicate": _predicate(item), "rows": rows}


def _predicate(item: Slice) -> str | None:
    if item.partitions is None and not item.excluded:
        return None
    if item.partitions is not None and not item.partitions:
        return "FALSE"
    names = ", ".join(repr(key) for key in item.partitions or item.excluded)
    return f"{PARTITION} {'NOT IN' if item.partitions is None else 'IN'} ({names})"


def _feature_set(resolved: Resolved) -> str:
    """SHA-256 over the definitions of the features: the same for the same features at other versions of the data."""
    # Without the kind, which descriptions did not have at first: the digest of the same features stays.
    parts = (
        json.dumps(
            [item["view"], {k: v for k, v in item["serving"].items() if k != "kind"}, feature, *_in_role(item)],
            sort_keys=True,
        )
        for item in (*resolved.described, *resolved.used)
        for feature in item["features"]
    )
    return digest_of(parts)


def _in_role(item: Mapping[str, Any]) -> list[Any]:
    return [item["keys"]] if item.get("keys") else []


def _column_lineage(resolved: Resolved) -> dict[str, Any]:
    lineage: dict[str, Any] = {}
    for item in resolved.computed:
        if not item.hidden:
            lineage[item.output] = {"direct": list(item.direct), "indirect": list(item.indirect)}
    for item in resolved.described:
        chosen_by = Serving.from_dict(item["serving"]).columns()
        for feature in item["features"]:
            if feature["column"] in lineage:
                continue
            lineage[feature["column"]] = {
                "direct": [(item["table"], feature["name"])],
                "indirect": [(item["table"], column) for column in chosen_by],
            }
    return lineage
