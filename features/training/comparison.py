"""Two training sets side by side: rows, features and their definitions, the versions of what they were made from, columns and
their distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from assay.errors import AssayError
from assay.features.tables.reconcile import Differences, differences
from assay.features.training.distribution import Distribution, distribution, shift
from assay.features.training.rows import EVENT_TIME, TrainingRows, columns_of_keys, time_of

SETTINGS = ("known_at", "skip_nulls", "event_time", "code_version")


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSetComparison:
    """What two training sets do not have in common. No cell of a row is in it.

    Args:
        a: The id of one.
        b: The id of the other.
        key: The columns by which rows were matched.
        rows: Rows in one alone, in both with equal or with other values, and how many rows each column differs in.
        features: Features (`view:name`) by what became of them in `b`: `added`, `removed`, `redefined` (computed by another
            expression, or served by another rule).
        inputs: Per table that they were made from, its version in each (None: it was not read), where the rows that were read
            differ.
        schema: Per column its type in each (None: it is not there), where they differ.
        settings: How rows were joined and by which code, where that differs.
        distributions: Per column, in each.
        shifts: Per column how far the distributions are apart: 0 the same, 1 nothing in common. The largest first.
    """

    a: str
    b: str
    key: tuple[str, ...]
    rows: Differences
    features: Mapping[str, tuple[str, ...]]
    inputs: Mapping[str, tuple[int | None, int | None]]
    schema: Mapping[str, tuple[str | None, str | None]]
    settings: Mapping[str, tuple[Any, Any]]
    distributions: Mapping[str, tuple[Distribution, Distribution]]
    shifts: Mapping[str, float]

    @property
    def equal(self) -> bool:
        """Whether both have the same rows and the same columns with the same meaning."""
        return self.rows.equal and not any(self.features.values()) and not self.schema

    def to_dict(self) -> dict[str, Any]:
        return {
            "a": self.a,
            "b": self.b,
            "equal": self.equal,
            "key": list(self.key),
            "rows": self.rows.to_dict(),
            "features": {name: list(references) for name, references in self.features.items()},
            "inputs": {name: list(versions) for name, versions in self.inputs.items()},
            "schema": {name: list(types) for name, types in self.schema.items()},
            "settings": {name: list(values) for name, values in self.settings.items()},
            "distributions": {
                name: {"a": one.to_dict(), "b": other.to_dict(), "shift": self.shifts.get(name)}
                for name, (one, other) in self.distributions.items()
            },
        }

    def __str__(self) -> str:
        rows = self.rows
        lines = [
            f"{self.a} and {self.b}: {'equal' if self.equal else 'they differ'}",
            f"rows by {', '.join(self.key)}: {rows.same:,} equal, {rows.differ:,} changed, {rows.only[0]:,} only in {self.a}, "
            f"{rows.only[1]:,} only in {self.b}",
        ]
        lines += [f"{name} features: {', '.join(items)}" for name, items in self.features.items() if items]
        lines += [f"{table}: version {one} and {other}" for table, (one, other) in self.inputs.items()]
        return "\n".join(lines)


def compare_rows(
    a: TrainingRows,
    b: TrainingRows,
    *,
    key: Sequence[str] | None = None,
    classes: Mapping[str, str | None] | None = None,
) -> TrainingSetComparison:
    """Compare two training sets. For the arguments see `TrainingSetVersion.compare`."""
    ours, theirs = a.scan(), b.scan()
    keys = tuple(_key(a, b) if key is None else key)
    rows = differences(ours, theirs, keys, examples=0)
    distributions, shifts = _distributions(ours, theirs, keys, classes or {})
    return TrainingSetComparison(
        a=a.id,
        b=b.id,
        key=keys,
        rows=rows,
        features=_features(a.manifest, b.manifest),
        inputs=_inputs(a.manifest, b.manifest),
        schema=_differing(_types(a.manifest), _types(b.manifest)),
        settings=_differing(*({name: made.manifest.get(name) for name in SETTINGS} for made in (a, b))),
        distributions=distributions,
        shifts=shifts,
    )


def _key(a: TrainingRows, b: TrainingRows) -> list[str]:
    """The keys of the views that both are joined by, and the time."""
    columns = [{column["name"] for column in made.manifest["schema"]} for made in (a, b)]
    keys = [
        name
        for made in (a, b)
        for item in made.manifest["features"]
        if item["serving"].get("event_time")
        for name in columns_of_keys(item)
    ]
    times = [time_of(a), time_of(b)]
    common = [name for name in dict.fromkeys([*keys, *times]) if all(name in names for names in columns)]
    if set(common) <= set(times):
        raise AssayError(
            f"{a.id} and {b.id} have no key of a view in common: say which columns identify a row, e.g. key=['ticket_id']."
        )
    return common


def _features(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    ours, theirs = (_defined(manifest) for manifest in (a, b))
    return {
        "added": tuple(sorted(theirs.keys() - ours.keys())),
        "removed": tuple(sorted(ours.keys() - theirs.keys())),
        "redefined": tuple(sorted(name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name])),
    }


def _defined(manifest: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """What decides the values of each feature, besides the data."""
    return {
        f"{item['view']}:{feature['name']}": (feature.get("definition"), dict(item["serving"]))
        for item in manifest["features"]
        for feature in item["features"]
    }


def _inputs(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[int | None, int | None]]:
    """The versions of tables of which other rows were read."""
    ours, theirs = ({item["table"]: item for item in manifest["inputs"]} for manifest in (a, b))
    found = {}
    for table in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(table), theirs.get(table)
        if one is None or other is None or _read(one) != _read(other):
            found[table] = (one and one["version"], other and other["version"])
    return found


def _read(item: Mapping[str, Any]) -> tuple[Any, ...]:
    """What identifies the rows that were read: the digest of their files, or the whole snapshot."""
    return (item["table_id"], item["digest"] or item["version"])


def _types(manifest: Mapping[str, Any]) -> dict[str, str]:
    return {column["name"]: column["type"] for column in manifest["schema"]}


def _differing(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {
        name: (ours.get(name), theirs.get(name)) for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)
    }


def _distributions(
    ours: pl.LazyFrame, theirs: pl.LazyFrame, keys: Sequence[str], classes: Mapping[str, str | None]
) -> tuple[dict[str, tuple[Distribution, Distribution]], dict[str, float]]:
    """Of the columns that both have, but for those that identify rows. One column is held at a time."""
    schemas = ours.collect_schema(), theirs.collect_schema()
    found, shifts = {}, {}
    for name in schemas[0]:
        if name not in schemas[1] or (name in keys and name != EVENT_TIME):
            continue
        one, other = (frame.select(name).collect().to_series() for frame in (ours, theirs))
        summarised, named = classes.get(name) is None, name in classes and classes[name] is None
        found[name] = tuple(distribution(column, summarised=summarised, named=named) for column in (one, other))
        distance = shift(one, other)
        if distance is not None:
            shifts[name] = distance
    return found, dict(sorted(shifts.items(), key=lambda item: -item[1]))
