"""On-demand features of a set that is materialised: computed of the rows that are kept and of the request, by the definitions at
the versions that the generation read."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from assay.features.online.manifest import Joined, Manifest
from assay.features.online.packing import to_series
from assay.features.online.reading import Answer, ViewAnswer
from assay.features.serving.feature_refs import open_computed
from assay.features.serving.join_options import EVENT_TIME, JoinOptions
from assay.features.serving.on_demand.compute import EXACT, Computed, computed_columns, is_hidden, request_from_texts
from assay.features.serving.on_demand.view import MOMENT, TYPES
from assay.features.serving.references import Reference
from assay.features.serving.request import Request
from assay.features.tables.lake import Lake
from assay.features.tables.reader import Reader
from assay.features.views.timestamps import INSTANT

_WORST = ("missing", "expired")


@dataclass(frozen=True, slots=True, eq=False)
class OnDemandFeatures:
    """What is computed for each answer of a generation.

    Args:
        computed: The features, each after what it is computed of.
        views: Their views, by role, with the version of the definition.
    """

    computed: tuple[Computed, ...]
    views: tuple[tuple[Joined, int], ...]

    @classmethod
    def of(cls, lake: Lake, manifest: Manifest) -> "OnDemandFeatures | None":
        """Of a generation; None where nothing is computed. Raises AssayError where a definition cannot be read."""
        if {one.table for one in manifest.tables} <= {one.table for one in manifest.joined}:
            return None  # no table but those with rows
        wanted = Request(tuple(map(Reference.parse, manifest.references)), JoinOptions())
        computed, described = open_computed(Reader(lake), wanted, manifest.versions)
        views = tuple(
            (
                Joined(
                    name,
                    item["view"],
                    item["table"],
                    "",
                    item.get("keys", {}),
                    {one["name"]: one["column"] for one in item["features"]},
                ),
                int(item["version"]),
            )
            for name, item in described.items()
        )
        return cls(computed, views)

    @property
    def inputs(self) -> dict[str, str]:
        """The inputs of a request besides the moment: name → name of the type."""
        return {name: kind for item in self.computed for name, kind in item.inputs.items() if name != MOMENT}

    @property
    def types(self) -> dict[str, pl.DataType]:
        """The inputs with their types."""
        return {name: TYPES[kind] for name, kind in self.inputs.items()}

    @property
    def columns(self) -> list[str]:
        """The columns that are computed."""
        return [column for joined, _ in self.views for column in joined.outputs.values()]

    def typed(self, keys: Mapping[str, Any]) -> dict[str, Any]:
        """Keys and inputs of a request as JSON has them, which knows neither times nor which numbers have a fraction."""
        given = dict(keys)
        for name, kind in self.inputs.items():
            values = given.get(name)
            if not isinstance(values, list):
                continue
            if kind == "Float64" and {type(value) for value in values} >= {int, float}:
                given[name] = [_as_float(value) for value in values]
            elif kind in ("Date", "Datetime") and all(value is None or isinstance(value, str) for value in values):
                given |= request_from_texts({name: values}, {name: kind})
        return given

    def complete(self, answer: Answer) -> Answer:
        """The answer with what is computed, and without what is only used. Raises AssayError for inputs that are missing or of
        another type."""
        moment = pl.Series(EVENT_TIME, [answer.at], pl.Int64).cast(INSTANT).new_from_index(0, answer.number)
        columns = {column.name: column for column in (*answer.keys, moment)}
        used = {column for item in self.computed for column in item.columns.values()}
        columns |= {
            name: to_series(name, values, view.types[name])
            for view in answer.views
            for name, values in view.values.items()
            if name in used
        }
        made = computed_columns(columns, self.computed, EVENT_TIME, "the request")
        rows = {column.name: column for column in made}
        states = {view.joined.name: view.state for view in answer.views}
        computed = [self._view(joined, version, rows, states, answer.number) for joined, version in self.views]
        return replace(answer, views=(*map(_without_hidden, answer.views), *computed))

    def _view(
        self, joined: Joined, version: int, rows: Mapping[str, pl.Series], states: Mapping[str, list[str]], number: int
    ) -> ViewAnswer:
        roles = {role for item in self.computed if item.view == joined.name and not item.hidden for role in item.roles}
        of = [states[role] for role in roles]
        worst = [next((one for one in _WORST if any(s[row] == one for s in of)), "present") for row in range(number)]
        columns = {name: rows[name] for name in joined.outputs.values()}
        values = {name: _packed(column) for name, column in columns.items()}
        return ViewAnswer(joined, version, values, {name: one.dtype for name, one in columns.items()}, worst, None)


def _as_float(value: Any) -> Any:
    """A whole number among floats, if a float can hold it."""
    return float(value) if type(value) is int and abs(value) <= EXACT else value


def _packed(column: pl.Series) -> list[Any]:
    """Values as packed rows have them: times as numbers."""
    return (column.to_physical() if column.dtype.is_temporal() else column).to_list()


def _without_hidden(view: ViewAnswer) -> ViewAnswer:
    values = {name: one for name, one in view.values.items() if not is_hidden(name)}
    return view if len(values) == len(view.values) else replace(view, values=values)
