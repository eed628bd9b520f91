"""The parts of an OpenLineage event that the graph needs, parsed from its JSON. Works for events of any producer.

Reading is lenient, as the specification asks: facets that are missing, unknown or oddly shaped are passed over (the raw
event is kept). Refused are documents that are not OpenLineage events, and those that do not name what they are about.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from assay.errors import AssayError
from assay.features.storage.verdict import CheckState, check_state
from assay.lineage.events.event_json import read_json
from assay.lineage.events.naming import NOT_JUDGED, DatasetName, canonical
from assay.lineage.events.redaction import redact_text
from assay.lineage.events.serialize import Plain
from assay.lineage.store.event_form import is_named, refuse_nameless, uuid_text
from assay.lineage.store.explicit import explicit_sources
from assay.lineage.store.facet_shape import SIDES, FacetMentions, Shape, facet_mentions, shape_of
from assay.lineage.store.labels import LabelSet, dataset_labels, job_labels, run_labels

_UNSTORABLE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_UNSTORABLE_TEXT = re.compile("[\\0\\ud800-\\udfff]")
DECLARED = (
    "declared"  # the role of a source that only a `lineage` facet names: of the outputs of that facet, and of no others
)
TERMINAL = ("COMPLETE", "FAIL", "ABORT")


VersionKey = tuple[str, str, str, str]  # namespace, name, table id, version


# There are millions of the following: tuples are made in a third of the time.


class DatasetUse(NamedTuple):
    """A dataset version in an event, and its role there."""

    namespace: str
    name: str
    version: str
    role: str
    table: str = ""
    table_id: str = ""
    commit_sha256: str = ""
    partitions: tuple[str, ...] | None = None  # None: all of it, but for the excluded ones
    digest: str | None = None
    mode: str | None = None
    excluded: tuple[str, ...] = ()

    @property
    def key(self) -> VersionKey:
        return self.namespace, self.name, self.table_id, self.version


class EventCheck(NamedTuple):
    dataset: str
    name: str
    column: str
    passed: bool
    severity: str
    actual: str | None

    @property
    def state(self) -> CheckState:
        return recorded_state(self.passed, self.severity, self.actual)


def recorded_state(passed: bool, severity: str, actual: str | None) -> CheckState:
    """What became of a check as an event recorded it: `actual` is how many rows broke it, if it was judged."""
    unjudged = actual == NOT_JUDGED
    invalid = 0 if unjudged or actual in (None, "", "0") else 1
    return check_state({"passed": passed, "severity": severity, "invalid": invalid, "unknown": int(unjudged)})


class EventFacts(NamedTuple):
    """An event as the store keeps it. `run_id` is None for job and dataset events. `mentions` has one item per dataset."""

    body: bytes
    sha256: str
    kind: str
    at_us: int
    run_id: str | None
    namespace: str
    job: str
    parent_id: str | None
    datasets: tuple[DatasetUse, ...]
    checks: tuple[EventCheck, ...]
    mentions: tuple[FacetMentions, ...]
    job_shape: Shape
    run_shape: Shape
    labels: tuple[LabelSet, ...] = ()

    @property
    def ends_run(self) -> bool:
        return self.kind in TERMINAL


def read_event(body: bytes, parsed: Any = None) -> EventFacts:
    """Raises AssayError for what is not an OpenLineage event, with the place of what is wrong; the message never quotes it.
    `parsed`: the body's JSON, where it is at hand."""
    try:
        event = read_json(body) if parsed is None else parsed
    except ValueError:
        raise AssayError("This is not JSON. Send one OpenLineage event as a JSON object.") from None
    if b"\\u" in body and _UNSTORABLE.search(body):
        event = _storable(event)  # texts that other producers cut anywhere; but names must be what they are
        if any("�" in name and "�".encode() not in body for name in _names(event)):
            raise AssayError("A name in the event holds NUL or half a character, which cannot be stored.")
    refuse_nameless(event)
    run, job = _mapping(event, "run"), _mapping(event, "job")
    given = described(event)
    checks = _worst(_checks(event))
    return EventFacts(
        body=body,
        sha256=hashlib.sha256(body).hexdigest(),
        kind=str(event.get("eventType") or "OTHER").upper()[:16],
        at_us=_micros(event.get("eventTime")),
        run_id=uuid_text(run["runId"]) if run else None,
        namespace=_redacted(str(job.get("namespace", ""))),
        job=_redacted(str(job.get("name", ""))),
        parent_id=_parent(run),
        datasets=tuple([use for use, _ in given]),
        checks=checks,
        mentions=tuple([_facet_mentions(*item) for item in given]),
        job_shape=shape_of("", False, tuple(_mapping(job, "facets"))),
        run_shape=shape_of("", False, tuple(_mapping(run, "facets"))),
        labels=tuple(_labels(job, run, given, checks)),
    )


def _labels(
    job: Mapping[str, Any],
    run: Mapping[str, Any],
    given: list[tuple[DatasetUse, Mapping[str, Any]]],
    checks: Iterable[EventCheck],
) -> Iterator[LabelSet]:
    rules: dict[str, set[str]] = {}
    for check in checks:
        rules.setdefault(check.dataset, set()).add(check.name)
    if job:
        namespace, name = _redacted(job["namespace"]), _redacted(job["name"])
        yield job_labels(namespace, name, _mapping(job, "facets"))
        yield from run_labels(namespace, name, _mapping(run, "facets"))
    for use, described in given:
        judged = rules.get(use.table, set()) | rules.get(use.name, set()) if rules else ()
        key = dataset_key(described)
        yield from dataset_labels(key, use.table, described, _other_names(described), tuple(sorted(judged)))


def described(event: Mapping[str, Any]) -> list[tuple[DatasetUse, Mapping[str, Any]]]:
    """The datasets of an event, each with its facets by side. `declared` is its entry in the `lineage` facet of the event's
    job. What only `lineage` facets name is there, too."""
    declared: dict[DatasetName, Any] = {}
    if "lineage" in _mapping(event, "job", "facets"):
        entries = _items(event, "job", "facets", "lineage", "entries")
        declared = {
            dataset_key(entry): {"lineage": entry}
            for entry in entries
            if entry.get("type") != "JOB" and is_named(entry)
        }
    found = [(_dataset(given, "input"), _declared(given, None)) for given in _items(event, "inputs")]
    found += [
        (_dataset(given, "output"), _declared(given, declared.get(dataset_key(given)) if declared else None))
        for given in _items(event, "outputs")
    ]
    if static := _mapping(event, "dataset"):
        found.append((_dataset(static, "described"), _declared(static, None)))
    return found if _is_ours(found) else found + list(_only_in_facets(found, declared))


def _is_ours(found: list[tuple[DatasetUse, Mapping[str, Any]]]) -> bool:
    return any(use.table_id for use, _ in found)


def _only_in_facets(
    found: list[tuple[DatasetUse, Mapping[str, Any]]], declared: Mapping[DatasetName, Any]
) -> Iterator[tuple[DatasetUse, Mapping[str, Any]]]:
    """The sources and targets of `lineage` facets that the event does not list as inputs and outputs."""
    if not declared and not any("lineage" in _mapping(given, "facets") or "declared" in given for _, given in found):
        return
    listed = {DatasetName(use.namespace, use.name) for use, _ in found}
    listed |= {name for _, given in found for name in _other_names(given)}
    targets = {
        key: {"namespace": key.namespace, "name": key.name, "declared": entry}
        for key, entry in declared.items()
        if key not in listed
    }
    yield from ((_dataset(given, "output"), given) for given in targets.values())
    outputs = [given for use, given in found if use.role == "output"]
    for given in (*outputs, *targets.values()):
        if "lineage" not in _mapping(given, "facets") and "declared" not in given:
            continue
        for source in explicit_sources(given) or ():
            key = dataset_key(source)
            if key not in listed:
                listed.add(key)
                named = {"namespace": key.namespace, "name": key.name}
                yield _dataset(named, DECLARED), named


def _declared(dataset: Mapping[str, Any], entry: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return {**dataset, "declared": entry} if entry or "declared" in dataset else dataset


def dataset_key(dataset: Mapping[str, Any]) -> DatasetName:
    return known_as(str(dataset.get("namespace", "")), str(dataset.get("name", "")))


@lru_cache(16_384)
def known_as(namespace: str, name: str) -> DatasetName:
    """A dataset's name as the index and its readers show it: by the rules for names, and without the credentials that some
    producers put into addresses."""
    return canonical(_redacted(namespace), _redacted(name))


@lru_cache(16_384)
def _redacted(text: str) -> str:
    return redact_text(text)


def _names(event: Mapping[str, Any]) -> Iterator[str]:
    named = [_mapping(event, "job"), _mapping(event, "dataset"), *_items(event, "inputs"), *_items(event, "outputs")]
    yield from (str(item.get(key, "")) for item in named for key in ("namespace", "name"))


def _storable(value: Any) -> Any:
    """JSON may hold characters that no database stores: NUL, and halves of a surrogate pair."""
    if isinstance(value, str):
        return _UNSTORABLE_TEXT.sub("�", value)
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    return [_storable(item) for item in value] if isinstance(value, list) else value


def _mapping(parent: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    value: Any = parent
    for key in path:
        value = value.get(key)
        if not isinstance(value, dict):  # JSON has no other mappings
            return _NOTHING
    return value


_NOTHING: Mapping[str, Any] = {}


def _items(parent: Mapping[str, Any], *path: str) -> list[Mapping[str, Any]]:
    value = (_mapping(parent, *path[:-1]) if path[1:] else parent).get(path[-1])
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _parent(run: Mapping[str, Any]) -> str | None:
    value = _mapping(run, "facets", "parent", "run").get("runId")
    return value.lower()[:36] if value and isinstance(value, str) else None


def _micros(text: Any) -> int:
    try:
        instant = datetime.fromisoformat(str(text))
    except ValueError:
        raise AssayError("The event's eventTime is missing or not an ISO 8601 date and time. (at /eventTime)") from None
    aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)  # the specification's default
    return int(aware.timestamp()) * 1_000_000 + aware.microsecond


def _dataset(dataset: Mapping[str, Any], role: str) -> DatasetUse:
    key, facets = dataset_key(dataset), _mapping(dataset, "facets")
    version = _text(facets["version"].get("datasetVersion")) if isinstance(facets.get("version"), dict) else ""
    snapshot = facets.get("assay_snapshot")
    if not isinstance(snapshot, dict):
        return DatasetUse(key.namespace, key.name, version, role, mode=_mode(facets, _NOTHING))
    partitions, excluded = snapshot.get("partitions"), snapshot.get("except")
    return DatasetUse(
        namespace=key.namespace,
        name=key.name,
        version=version,
        role=(_text(snapshot.get("role")) or role)[:16],
        table=_text(snapshot.get("table")),
        table_id=_text(snapshot.get("table_id")),
        commit_sha256=_text(snapshot.get("commit_sha256")),
        partitions=tuple(map(str, partitions)) if isinstance(partitions, list) else None,
        digest=_text(snapshot.get("digest")) or None,
        mode=_mode(facets, snapshot),
        excluded=tuple(sorted(map(str, excluded))) if isinstance(excluded, list) and partitions is None else (),
    )


def _text(value: Any) -> str:
    """A text, or a number as one; "" for anything else, which would be one value for all who left it out."""
    return value if isinstance(value, str) else str(value) if type(value) is int else ""


def _mode(facets: Mapping[str, Any], snapshot: Mapping[str, Any]) -> str | None:
    """Whether an output replaced the rows that were there. Without a mode, earlier rows count as still there."""
    if isinstance(mode := snapshot.get("mode"), str):
        return mode
    change = _mapping(facets, "lifecycleStateChange").get("lifecycleStateChange")
    return "replace" if change in ("CREATE", "OVERWRITE") else None


def _facet_mentions(use: DatasetUse, given: Mapping[str, Any]) -> FacetMentions:
    names = [tuple(facets) if isinstance(facets := given.get(side), dict) else () for side in SIDES]
    plain, declared = names[0], names[3]
    derived = "columnLineage" in plain or "lineage" in plain or declared
    if not derived and "symlinks" not in plain:
        return facet_mentions(use.role, use.version != "", *names)
    made_from = explicit_sources(given) if use.role == "output" and not use.table_id else None
    sources = tuple(dict.fromkeys(_sources(given)))
    return FacetMentions(
        shape_of(use.role, use.version != "", *names),
        tuple(_other_names(given)) if "symlinks" in plain else None,
        sources,
        None if made_from is None else tuple(dict.fromkeys(map(dataset_key, made_from))),
    )


def _other_names(dataset: Mapping[str, Any]) -> Iterator[DatasetName]:
    return map(dataset_key, filter(is_named, _items(dataset, "facets", "symlinks", "identifiers")))


def _sources(dataset: Mapping[str, Any]) -> Iterator[DatasetName]:
    """The datasets that a dataset's columns come from, according to its facets."""
    found = ((dataset, "facets", "columnLineage"), (dataset, "facets", "lineage"), (dataset, "declared", "lineage"))
    for facet in (_mapping(*path) for path in found):
        if facet:
            yield from _shared_sources(facet) if type(facet) is Plain else _sources_of(facet)


def _sources_of(facet: Mapping[str, Any]) -> tuple[DatasetName, ...]:
    """Those that a `columnLineage` (`dataset`, `inputFields`) or a `lineage` facet (`inputs`) names with a column."""
    given = [*_items(facet, "dataset"), *(item for item in _items(facet, "inputs") if "field" in item)]
    for column in _mapping(facet, "fields").values():
        if isinstance(column, dict):
            given += _items(column, "inputFields")
            given += (item for item in _items(column, "inputs") if "field" in item)
    return tuple(dict.fromkeys(map(dataset_key, filter(is_named, given))))


_shared_sources = lru_cache(512)(_sources_of)


def _checks(event: Mapping[str, Any]) -> Iterator[EventCheck]:
    """Our own events list every check, with its table, in the run's `test` facet; other producers' checks are the
    assertions on their inputs."""
    tests = [test for test in _items(event, "run", "facets", "test", "tests") if _text(test.get("name"))]
    own = [(test, given) for test in tests if "table" in (given := _mapping(test, "params"))]
    for test, given in own:
        passed = test.get("status") in ("pass", "skip")  # what has no verdict found nothing
        yield _check(str(given["table"]), test, given.get("column"), passed, given.get("severity"))
    for dataset in _items(event, "inputs") if not own else ():
        for item in _items(dataset, "inputFacets", "dataQualityAssertions", "assertions"):
            if not _text(item.get("name") or item.get("assertion")):
                continue
            yield _check(
                dataset_key(dataset).name,
                item,
                item.get("column"),
                bool(item.get("success")),
                item.get("severity"),
            )


def _worst(results: Iterator[EventCheck]) -> tuple[EventCheck, ...]:
    """One result per rule: where a rule was judged several times (once a file, say), a failure stands for all."""
    kept: dict[tuple[str, str, str], EventCheck] = {}
    for result in results:
        key = (result.dataset, result.name, result.column)
        if key not in kept or not result.passed:
            kept[key] = result
    return tuple(kept.values())


def _check(dataset: str, item: Mapping[str, Any], column: Any, passed: bool, severity: Any) -> EventCheck:
    name, actual = item.get("name") or item.get("assertion"), item.get("actual")
    return EventCheck(
        dataset, str(name), str(column or ""), passed, str(severity or ""), str(actual) if actual is not None else None
    )
