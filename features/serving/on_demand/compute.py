"""On-demand features in a join: what they use is joined as well, and they are computed of it, row by row, when all is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl
from polars.exceptions import PolarsError

from assay.errors import AssayError, nearest
from assay.features.serving.join_options import JoinOptions, KnownAt
from assay.features.serving.on_demand.view import MOMENT, TYPES, OnDemand
from assay.features.serving.references import Reference
from assay.features.serving.request import Request, folded
from assay.features.tables.serving import Serving
from assay.features.views.timestamps import INSTANT, instant

_HIDDEN = "__used"
EXACT = 2**53
"""Beyond it floats leave out whole numbers."""

Open = Callable[[Reference], tuple[Serving, OnDemand | None]]
"""How the view of a reference is served, and what computes it when it is read."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What a request needs, with what its on-demand features use.

    Attributes:
        asked: The references to stored views that were asked for, by role.
        used: Those that on-demand features use, by role.
        computed: The on-demand views by role, with the references that were asked for.
        order: What is computed, each after what it is computed of.
        options: How everything is joined: also what is only used.
    """

    asked: Mapping[str, Sequence[Reference]]
    used: Mapping[str, Sequence[Reference]]
    computed: Mapping[str, tuple[OnDemand, Sequence[Reference]]]
    order: tuple[ToCompute, ...]
    options: JoinOptions

    @property
    def uses(self) -> tuple[str, ...]:
        """The references that on-demand features use, as texts."""
        return tuple(dict.fromkeys(str(reference) for item in self.order for reference in item.uses.values()))

    @property
    def inputs(self) -> dict[str, str]:
        """The inputs of the request that are needed besides the moment: name → name of the type."""
        return {name: kind for item in self.order for name, kind in item.inputs.items() if name != MOMENT}


@dataclass(frozen=True, slots=True, eq=False)
class ToCompute:
    """A feature of an on-demand view in a role. `uses`: what the expression calls a feature → the reference in this role."""

    reference: Reference
    engine: OnDemand
    uses: Mapping[str, Reference]

    @property
    def inputs(self) -> dict[str, str]:
        reads = self.engine.reads(self.reference.feature)
        return {name: kind for name, kind in self.engine.inputs.items() if name in reads}


@dataclass(slots=True)
class _Planning:
    open: Open
    used: dict[str, dict[str, Reference]] = field(default_factory=dict)
    order: dict[tuple[str, str], ToCompute] = field(default_factory=dict)
    ways: dict[str, tuple[KnownAt, bool, str]] = field(default_factory=dict)

    def visit(
        self, reference: Reference, way: tuple[KnownAt, bool], by: str, path: tuple[tuple[str, str], ...]
    ) -> None:
        """Note a used feature, and what it is computed of in turn."""
        serving, engine = self.open(reference)
        if engine is None:
            known = self.ways.setdefault(reference.join, (*way, by))
            if known[:2] != way:
                raise AssayError(
                    f"{reference.join} is joined for {known[2]} and for {by} with two settings of known_at or skip_nulls: "
                    "use one for both."
                )
            self.used.setdefault(reference.join, {})[reference.feature] = reference
            return
        self.compute(reference, serving, engine, way, path)

    def compute(
        self,
        reference: Reference,
        serving: Serving,
        engine: OnDemand,
        way: tuple[KnownAt, bool],
        path: tuple[tuple[str, str], ...] = (),
    ) -> None:
        here = (reference.join, reference.feature)
        if here in path:
            raise AssayError(
                f"{reference.view}:{reference.feature} is computed of itself: define its view without that."
            )
        if here in self.order:
            return
        _check_feature(reference, serving, engine)
        role, uses = dict(reference.on), {}
        for name in engine.reads(reference.feature):
            if name in engine.uses:
                inner = engine.uses[name]
                keys = self.open(inner)[0].keys
                uses[name] = replace(inner, output=inner.feature, on=_in_role(inner, keys, role))
                self.visit(uses[name], way, f"{reference.view}:{reference.feature}", (*path, here))
        self.order[here] = ToCompute(reference, engine, uses)


def plan(request: Request, open_: Open) -> Plan:
    """What is joined and computed for a request. Raises AssayError for an unknown feature, one that is computed of itself, and
    a view that is joined in two ways in one role."""
    planning = _Planning(open_)
    asked: dict[str, Sequence[Reference]] = {}
    computed: dict[str, tuple[OnDemand, Sequence[Reference]]] = {}
    joins = request.joins()
    for name, references in joins.items():
        view = references[0].view
        _, engine = open_(references[0])
        if engine is None:
            asked[name] = references
            planning.ways[name] = (*request.options.of(name, view), name)
        else:
            computed[name] = (engine, references)
    for name, (engine, references) in computed.items():
        view = references[0].view
        serving, way = open_(references[0])[0], request.options.of(name, view)
        for feature in _features(engine, references):
            one = replace(references[0], feature=feature, output=feature, prefix="")
            planning.compute(one, serving, engine, way)
    ways = {name: way[:2] for name, way in planning.ways.items()}
    ways |= {name: request.options.of(name, references[0].view) for name, references in joins.items()}
    options = replace(
        request.options,
        known_at=folded({name: known for name, (known, _) in ways.items()}, "event"),
        skip_nulls=folded({name: skip for name, (_, skip) in ways.items()}, False),
    )
    used = {name: tuple(features.values()) for name, features in planning.used.items()}
    return Plan(asked, used, computed, tuple(planning.order.values()), options)


def _features(engine: OnDemand, references: Sequence[Reference]) -> Iterator[str]:
    for item in references:
        yield from (one.name for one in engine.features) if item.feature == "*" else (item.feature,)


def _check_feature(reference: Reference, serving: Serving, engine: OnDemand) -> None:
    names = [item.name for item in engine.features]
    if reference.feature not in names:
        close = nearest(reference.feature, names)
        raise AssayError(
            f"{reference.view!r} has no feature {reference.feature!r} (it has: {', '.join(sorted(names))}).{close}"
        )
    for key, _ in reference.on:
        if key not in serving.keys:
            close = nearest(key, serving.keys)
            raise AssayError(f"{reference.view!r} is not joined by {key!r}; its keys are {list(serving.keys)}.{close}")


def _in_role(inner: Reference, keys: Sequence[str], role: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """By which columns of the spine a used feature is joined, in a role of the view that uses it."""
    own = dict(inner.on)
    columns = {key: role.get(own.get(key, key), own.get(key, key)) for key in keys}
    return tuple(sorted((key, column) for key, column in columns.items() if key != column))


def is_hidden(column: str) -> bool:
    """Whether a column holds a feature that is only used."""
    return column.startswith(_HIDDEN)


def hidden_name(join: str, feature: str) -> str:
    """The column of a feature that is only used: no feature begins so."""
    return f"{_HIDDEN}.{join}:{feature}"


@dataclass(frozen=True, slots=True, eq=False)
class Computed:
    """One feature that is computed when everything is joined.

    Attributes:
        view: The view's name in its role.
        feature: The feature's name.
        expression: Over `inputs` and `columns` by their names.
        inputs: Names of inputs of the request → names of their types.
        columns: Names of used features → the columns that hold them.
        output: The column that it becomes.
        roles: Those of the stored views that it is computed of.
        direct: The stored columns that its value comes from, as (table, column).
        indirect: Those that choose them, and the definitions by which it is computed.
    """

    view: str
    feature: str
    expression: pl.Expr
    inputs: Mapping[str, str]
    columns: Mapping[str, str]
    output: str
    roles: tuple[str, ...] = ()
    direct: tuple[tuple[str, str], ...] = ()
    indirect: tuple[tuple[str, str], ...] = ()

    @property
    def hidden(self) -> bool:
        """Whether it is only used by another one."""
        return is_hidden(self.output)


def compute_on_demand(
    rows: pl.DataFrame, computed: Sequence[Computed], *, event_time: str, where: str = "the spine"
) -> pl.DataFrame:
    """The rows with the computed features, without the columns that were only used.

    Args:
        rows: What was joined, with the inputs of the request as columns.
        computed: In order: each after what it is computed of.
        event_time: The column with the moment, for views that have it among their inputs.
        where: What messages call the rows.

    Raises:
        AssayError: An input is missing or has another type, or a column of an output's name is there already.
    """
    made = computed_columns(dict(zip(rows.columns, rows.get_columns(), strict=True)), computed, event_time, where)
    return pl.DataFrame([column for column in (*rows.get_columns(), *made) if not is_hidden(column.name)])


def computed_columns(
    columns: Mapping[str, pl.Series], computed: Sequence[Computed], event_time: str, where: str
) -> list[pl.Series]:
    """The computed features alone; for the arguments, and what it raises, see `compute_on_demand`."""
    there = dict(columns)
    for batch in _batches(computed):
        for item in batch:
            if item.output in there:
                raise AssayError(
                    f"{item.view} would give column {item.output!r}, which is there already: write '… as another_name'."
                )
        view = batch[0].view
        wanted = {name: kind for item in batch for name, kind in item.inputs.items()}
        inputs = [request_input(there, name, kind, event_time, view, where) for name, kind in wanted.items()]
        used = {name: column for item in batch for name, column in item.columns.items()}
        frame = pl.DataFrame([*inputs, *(there[column].alias(name) for name, column in used.items())])
        try:
            values = frame.select(item.expression.alias(item.output) for item in batch)
        except PolarsError as problem:  # whose text may quote cells
            names = ", ".join(item.feature for item in batch)
            raise AssayError(f"{view}:{names} cannot be computed of these rows: {type(problem).__name__}.") from None
        there |= {column.name: column for column in values.get_columns()}
    return [there[item.output] for item in computed]


def _batches(computed: Sequence[Computed]) -> Iterator[list[Computed]]:
    """Features of one view that are computed at once: those that follow each other and are not computed of each other."""
    batch: list[Computed] = []
    for item in computed:
        made = {one.output for one in batch}
        if batch and (item.view != batch[0].view or made & {item.output, *item.columns.values()}):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


def request_from_texts(
    given: Mapping[str, Sequence[str]], inputs: Mapping[str, str]
) -> dict[str, Sequence[object] | pl.Series]:
    """Columns of a request that were written as texts: inputs in their types, keys as they are. Raises AssayError for a text that
    is none of its type; the message does not quote it."""
    typed: dict[str, Sequence[object] | pl.Series] = dict(given)
    for name, kind in inputs.items():
        if name in given and kind != "String":
            typed[name] = _parsed(pl.Series(name, given[name], dtype=pl.String), kind)
    return typed


def _parsed(texts: pl.Series, kind: str) -> pl.Series:
    try:
        if kind == "Boolean":
            return texts.replace_strict({"true": True, "false": False}, return_dtype=pl.Boolean)
        if kind == "Datetime":
            return texts.str.to_datetime(time_unit="us", time_zone="UTC")
        return texts.str.to_date() if kind == "Date" else texts.cast(TYPES[kind])
    except PolarsError:
        form = {"Boolean": "true or false", "Datetime": "as 2026-01-31T12:00:00Z", "Date": "as 2026-01-31"}.get(
            kind, kind
        )
        raise AssayError(f"{texts.name!r} is an input of the request: write it {form}.") from None


def request_input(
    columns: Mapping[str, pl.Series], name: str, kind: str, event_time: str, view: str, where: str
) -> pl.Series:
    """An input of the request in its declared type. A value is taken as another type only where it stays what it is: whole
    numbers as numbers with a fraction, categories as texts, times of another zone as UTC.

    Raises AssayError if it is missing, or of another type.
    """
    column, dtype = event_time if name == MOMENT else name, TYPES[kind]
    if column not in columns:
        given = [one for one in columns if "." not in one]
        raise AssayError(
            f"{view} needs {column!r} ({kind}), an input of the request, which {where} lacks.{nearest(column, given)}"
        )
    given = columns[column]
    if given.dtype == pl.Null:
        return given.cast(dtype).alias(name)
    if dtype == INSTANT and isinstance(given.dtype, pl.Datetime):
        if given.dtype == INSTANT:
            return given.alias(name)
        return given.to_frame(column).select(instant({column: given.dtype}, column, where).alias(name)).to_series()
    textual = dtype == pl.String and isinstance(given.dtype, pl.Categorical | pl.Enum)
    whole = given.dtype.is_integer() and dtype in (pl.Int64, pl.Float64)
    if given.dtype != dtype and not textual and not whole:
        raise AssayError(f"{view} needs {column!r} as {kind}, an input of the request; in {where} it is {given.dtype}.")
    if given.dtype == dtype:
        return given.alias(name)
    try:
        cast = given.cast(dtype)
    except PolarsError:
        cast = None
    if cast is None or (whole and dtype == pl.Float64 and (given.abs() > EXACT).any()):
        raise AssayError(f"{view} needs {column!r} as {kind}, which cannot hold some of the whole numbers in {where}.")
    return cast.alias(name)
