"""The definitions of a view: since when each one computes rows, what it changed, which partitions it has, and who uses it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import ndiff
from typing import Any

from assay.errors import AssayError, nearest, plural
from assay.features.catalogue.catalogue import Declared
from assay.features.catalogue.uses import models_of, training_sets_of
from assay.features.definitions.recorded import digest_of_definition
from assay.features.retention.pins import live_pins
from assay.features.storage.snapshot import Slice
from assay.features.tables.kinds import Kind, has_definitions, own_name
from assay.features.tables.lake import Lake, TableState
from assay.features.views.timestamps import format_duration


@dataclass(frozen=True, slots=True)
class DefinitionInfo:
    """One definition of a feature view.

    Args:
        view: The view's name.
        number: 1 is the one that computed rows first: `view@1:feature` asks for its values.
        sha256: `FeatureView.digest()` of the view as it was declared then.
        version: The version that the declaration names.
        first: When it first computed rows; None for a declared one that has computed none.
        last: When it did last.
        partitions: How many partitions (1: a table without) of the table's latest version have its rows.
        of: How many there are.
        whole: The newest version of the table whose rows are all its own; None where there was none.
        served: Whether references without a number are answered by it.
        declared: Whether the project declares it now.
        changes: What it changed of the one before, for people.
        training_sets: The training sets that were made with it, by id.
        models: The models that learnt from these.
        pins: The pins that keep rows of it.
    """

    view: str
    number: int
    sha256: str
    version: str = ""
    first: datetime | None = None
    last: datetime | None = None
    partitions: int = 0
    of: int = 0
    whole: int | None = None
    served: bool = False
    declared: bool = False
    changes: tuple[str, ...] = ()
    training_sets: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    pins: tuple[str, ...] = ()

    @property
    def reference(self) -> str:
        """`<view>@<number>`, as it begins a reference."""
        return f"{self.view}@{self.number}"

    def to_dict(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__slots__}
        lists = {name: list(value) for name, value in values.items() if isinstance(value, tuple)}
        times = {name: moment.isoformat() if (moment := values[name]) else None for name in ("first", "last")}
        return {"reference": self.reference} | values | lists | times

    def __str__(self) -> str:
        state = [f"{self.partitions} of {plural(self.of, 'partition')}"]
        state += [word for word, so in (("served", self.served), ("declared", self.declared)) if so]
        return f"{self.reference} ({', '.join(state)}): {'; '.join(self.changes) or 'the first one'}"


def definitions(lake: Lake, view: str, declared: Declared | None = None) -> list[DefinitionInfo]:
    """The definitions of a view in the order of their numbers, and after them the declared one if it has computed no rows yet.

    Args:
        lake: Where its table is.
        view: Its name.
        declared: As it is declared now.

    Raises:
        AssayError: There is no such view.
    """
    now = digest_of_definition(declared.definition()) if declared is not None else ""
    names = [kind.table(view) for kind in (Kind.FEATURES, Kind.LABELS)]
    table = next((table for table in map(lake.table, names) if table.exists()), None)
    if table is None:
        if declared is None:
            known = [own_name(name) for name in lake.tables() if has_definitions(name)]
            raise AssayError(f"There is no feature view {view!r}.{nearest(view, known)}")
        return [DefinitionInfo(view, 1, now, declared.version, declared=True)]
    state = table.at()
    held = state.partitions_by_definition()
    uses = _uses(lake, state)
    found: list[DefinitionInfo] = []
    before: Mapping[str, Any] = {}
    for number, (sha256, since) in enumerate(zip(state.defined.known, state.defined.since, strict=True), 1):
        newest = state.index.newest_of(sha256, state.version) or 0
        commit = state.index.commit(newest)
        recorded = commit.view or {}
        own = uses[sha256]
        found.append(
            DefinitionInfo(
                view,
                number,
                sha256,
                version=str(recorded.get("version", "")),
                first=state.index.commit(since).timestamp,
                last=commit.timestamp,
                partitions=len(held.get(number, ())),
                of=len(set().union(*held.values())),
                whole=_whole(state, sha256),
                served=sha256 == state.defined.definition,
                declared=now == sha256,
                changes=tuple(changes_between(before, recorded)) if before else (),
                training_sets=tuple(own["training_sets"]),
                models=tuple(own["models"]),
                pins=tuple(own["pins"]),
            )
        )
        before = recorded
    if declared is not None and now not in state.defined.known:
        changes = tuple(changes_between(before, declared.definition())) if before else ()
        of = len(set().union(*held.values()))
        found.append(DefinitionInfo(view, len(found) + 1, now, declared.version, of=of, declared=True, changes=changes))
    return found


def _whole(state: TableState, sha256: str) -> int | None:
    if sha256 == state.defined.definition:
        return state.defined.whole
    return state.index.last_whole(sha256, state.version)


def changes_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """What one definition of a view changed of another, line by line: features, their expressions and windows, how it is served,
    the text of its query."""
    ours, theirs = ({one["name"]: one for one in view.get("features", ())} for view in (before, after))
    for name in sorted(ours.keys() - theirs.keys()):
        yield f"{name}: left out"
    for name, feature in theirs.items():
        if name not in ours:
            text = feature.get("text")
            yield f"{name}: new{f', {text}' if text else ''}"
        elif not after.get("sql"):
            yield from (f"{name}: {change}" for change in _changes_of(ours[name], feature))
    for what in ("inputs", "uses"):
        if before.get(what) != after.get(what):
            yield f"{what}: {_pairs(before.get(what))} → {_pairs(after.get(what))}"
    for what in ("version", "source"):
        if before.get(what) != after.get(what):
            yield f"{what}: {before.get(what) or 'none'} → {after.get(what) or 'none'}"
    if before.get("every_us") != after.get("every_us"):
        yield f"every: {_duration(before.get('every_us'))} → {_duration(after.get('every_us'))}"
    if before.get("windows") != after.get("windows"):
        yield f"windows: {_windows(before.get('windows') or {})} → {_windows(after.get('windows') or {})}"
    yield from _changes_of_serving(before.get("serving") or {}, after.get("serving") or {})
    if before.get("sql") != after.get("sql"):
        former, query = ((view.get("sql") or "").strip().splitlines() for view in (before, after))
        yield from (f"sql: {line}" for line in ndiff(former, query) if line[:1] in "+-")


def _changes_of(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[str]:
    if ours.get("window_us") != theirs.get("window_us"):
        yield f"window {_duration(ours.get('window_us'))} → {_duration(theirs.get('window_us'))}"
    for what in ("source", "time"):
        if ours.get(what) != theirs.get(what):
            yield f"{what} {ours.get(what)} → {theirs.get(what)}"
    if ours.get("text") != theirs.get("text"):
        yield f"{ours.get('text')} → {theirs.get('text')}"
    elif ours.get("sha256") != theirs.get("sha256"):
        yield "another expression, which reads the same"


_SERVED = {"keys": "keys", "event_time": "event time", "known_time": "known time", "entity": "entity"}


def _changes_of_serving(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[str]:
    for what, words in _SERVED.items():
        if ours.get(what) != theirs.get(what):
            yield f"{words}: {ours.get(what)} → {theirs.get(what)}"
    if ours.get("max_age_us") != theirs.get("max_age_us"):
        yield f"max_age: {_duration(ours.get('max_age_us'))} → {_duration(theirs.get('max_age_us'))}"


def _duration(us: int | None) -> str:
    return "none" if us is None else format_duration(timedelta(microseconds=us))


def _pairs(named: Mapping[str, Any] | None) -> str:
    return ", ".join(f"{name}: {value}" for name, value in (named or {}).items()) or "none"


def _windows(windows: Mapping[str, Any]) -> str:
    return ", ".join(f"{_duration(us)} of {table} by {time}" for table, (time, us) in windows.items()) or "none"


def _uses(lake: Lake, state: TableState) -> Mapping[str, Mapping[str, list[str]]]:
    """By definition: training sets, the models that learnt from them, and pins."""
    found: defaultdict[str, dict[str, list[str]]] = defaultdict(lambda: {"training_sets": [], "models": [], "pins": []})
    made_with: dict[str, list[str]] = {}
    table = state.table.name
    for made, manifest in training_sets_of(lake, every_version=True):
        label = [manifest["label"]] if isinstance(manifest.get("label"), Mapping) else []
        for item in (*manifest["features"], *manifest.get("used", ()), *label):
            if item["table"] == table and made not in made_with:
                recorded = [one["sha256"] for one in item.get("definitions", ()) if one["sha256"]]
                made_with[made] = recorded or _at(state, item["version"])
    for made, digests in made_with.items():
        for sha256 in digests:
            found[sha256]["training_sets"].append(made)
    for model, made in models_of(lake, every_version=True):
        for sha256 in made_with.get(made, ()):
            found[sha256]["models"].append(model)
    for pin in live_pins(lake):
        snapshots = [item.snapshot if isinstance(item, Slice) else item for item in pin.snapshots]
        kept = [one.version for one in snapshots if (one.table, one.table_id) == (table, state.table_id)]
        for sha256 in dict.fromkeys(digest for version in kept for digest in _at(state, version)):
            found[sha256]["pins"].append(pin.name)
    return found


def _at(state: TableState, version: int) -> list[str]:
    """The definition of a version whose rows have one; none of others, or of versions of another table."""
    if state.checkpointed is not None or version > state.version:
        return []
    defined = state.index.defined(version)
    return [defined.definition] if defined.whole == version and defined.definition else []
