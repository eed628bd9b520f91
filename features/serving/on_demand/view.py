"""On-demand views: features that are computed when they are read, of inputs of the request and of other features.

Nothing of them is stored but the definition: the table `features/<name>` has one row, and its commit the expressions, so that a
read needs none of the code that declared them. The same expressions run over a spine (whose columns are the inputs) and over
the keys of one request. A view without inputs is *composed*: features of features, each as of the row's moment.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Literal

import polars as pl

from assay.errors import AssayError, nearest, refuse_case_twins
from assay.features.serving.references import HasReferences, Reference
from assay.features.tables.kinds import Kind
from assay.features.views.columns import ColumnLineage, require_columns
from assay.features.views.entity import Entity
from assay.features.views.expressions import describe_feature, expression_from, expression_tree, root_columns
from assay.features.views.names import check_name, refuse_repeats
from assay.features.views.row_wise import Feature
from assay.features.views.timestamps import INSTANT
from assay.features.views.transformation import RowsRead

REQUEST = "request"
"""The frame that an on-demand view is computed of: the inputs, and the features that it uses, by their names."""
MOMENT = "event_time"
"""The input that need not be given: the moment of the request, or of the spine's row."""

TYPES: Mapping[str, pl.DataType] = {
    "String": pl.String(),
    "Boolean": pl.Boolean(),
    "Int64": pl.Int64(),
    "Float64": pl.Float64(),
    "Date": pl.Date(),
    "Datetime": INSTANT,
}
"""The types that an input may have, by their names in a definition."""
_OF_PYTHON = {str: "String", bool: "Boolean", int: "Int64", float: "Float64", date: "Date", datetime: "Datetime"}


@dataclass(frozen=True, slots=True, eq=False)
class OnDemand:
    """The engine of on-demand and composed views: implements `Transformation`. `inputs`: name → name of its type; `uses`: what an
    expression calls a feature → the reference."""

    view: str
    inputs: Mapping[str, str]
    uses: Mapping[str, Reference]
    features: tuple[Feature, ...]

    @property
    def kind(self) -> Literal["on-demand", "composed"]:
        return "on-demand" if self.inputs else "composed"

    def reads(self, feature: str) -> tuple[str, ...]:
        """The inputs and used features that a feature is computed of, by their names."""
        return root_columns(self.expression(feature)) or ()

    def expression(self, feature: str) -> pl.Expr:
        return next(item.expr for item in self.features if item.name == feature)

    def sources(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(Kind.FEATURES.table(item.view) for item in self.uses.values()))

    def lookback(self) -> timedelta:
        return timedelta(0)

    def compute(self, frames: Mapping[str, pl.LazyFrame], at: Sequence[datetime] | datetime = ()) -> pl.DataFrame:
        """The features, row for row of the frame `request`."""
        del at  # each row is of its own moment
        if REQUEST not in frames:
            raise AssayError(f"view {self.view!r} is computed of the frame {REQUEST!r}; given: {sorted(frames)}")
        frame = frames[REQUEST]
        require_columns(frame.collect_schema(), [*self.inputs, *self.uses], f"the {REQUEST} of view {self.view!r}")
        return frame.select(item.expr.alias(item.name) for item in self.features).collect()

    def column_lineage(self) -> ColumnLineage:
        """The features that each one is computed of. An input of a request is a column of no table."""
        return {
            item.name: {
                "direct": [
                    (Kind.FEATURES.table(self.uses[name].view), self.uses[name].feature)
                    for name in self.reads(item.name)
                    if name in self.uses
                ],
                "indirect": [],
            }
            for item in self.features
        }

    def rows_read(self) -> tuple[RowsRead, ...]:
        return ()

    def definition(self) -> dict[str, Any]:
        return {
            "source": None,
            "every_us": None,
            "inputs": dict(self.inputs),
            "uses": {name: str(reference) for name, reference in self.uses.items()},
            "features": [
                describe_feature(item.name, item.expr) | {"expr": expression_tree(item.expr)} for item in self.features
            ],
        }

    @classmethod
    def from_definition(cls, view: Mapping[str, Any]) -> OnDemand:
        """The engine that a commit describes. Raises AssayError where this release of Polars does not read its expressions, and
        for what would run code that the commit does not hold."""
        name = str(view.get("name", ""))
        features = tuple(
            Feature(item["name"], expression_from(item["expr"], f"feature {name}:{item['name']}"))
            for item in view["features"]
        )
        uses = {own: Reference.parse(text) for own, text in view.get("uses", {}).items()}
        return cls(name, dict(view.get("inputs", {})), uses, features)


@dataclass(frozen=True, slots=True, eq=False)
class OnDemandView:
    """Features that are computed at each read, of inputs of the request and of other features as of its moment.

    >>> OnDemandView(
    ...     "purchase",
    ...     [Feature("times_usual", pl.col("amount") / pl.col("usual"))],
    ...     inputs={"amount": float},
    ...     uses=["customer_activity:spend_7d as usual"],
    ... ).references
    ('purchase:times_usual',)

    It is defined once (`store.define(view)`, or by the pipeline), and then asked for by reference like any other. Offline the
    spine has the inputs as columns; online they are given beside the keys.

    Args:
        name: The view's name: its features are referred to as `<name>:<feature>`.
        features: `Feature`s whose expressions name inputs and used features. Each looks at its own row only.
        inputs: Name → type: `str`, `bool`, `int`, `float`, `date`, `datetime`, or the Polars type of these. An input that is
            called `event_time` is the moment itself and need not be given.
        uses: References, each to one feature (`"customer_activity:spend_7d as usual"`), or declared views (all of their
            features). They may be of on-demand views, too.
        owner: Who answers for it.
        description: One sentence for people.
        version: Raise it when the same expressions are to count as other features.

    Raises:
        AssayError: For a name that cannot be used or is used twice, another type, and an expression that names what is neither
            an input nor used.
    """

    name: str
    features: Sequence[Feature]
    inputs: Mapping[str, Any] = field(default_factory=dict)
    uses: Sequence[str | HasReferences] = ()
    owner: str = ""
    description: str = ""
    version: str = "1"
    transformation: OnDemand = field(init=False, repr=False)

    def __post_init__(self) -> None:
        where = f"view {self.name!r}"
        check_name(self.name, "view")
        object.__setattr__(self, "features", tuple(self.features))
        if not self.features or not all(isinstance(item, Feature) for item in self.features):
            raise AssayError(f"{where}: features must be Feature, and at least one: windows are computed before a read")
        if not isinstance(self.inputs, Mapping):
            raise AssayError(f"{where}: inputs is a mapping of names to types, e.g. {{'amount': float}}")
        inputs = {name: _type_name(given, name, where) for name, given in self.inputs.items()}
        uses = _uses(self.uses, where)
        for name in inputs:
            check_name(name, "input")
        names = [*inputs, *uses]
        refuse_repeats(names, where, "input or used feature")
        columns = [*inputs, *self.feature_names]
        refuse_repeats(columns, where, "input or feature")
        refuse_case_twins(columns, where)
        for item in self.features:
            _check_names(item, names, where)
        object.__setattr__(self, "transformation", OnDemand(self.name, inputs, uses, tuple(self.features)))

    @property
    def table(self) -> str:
        """The table with its definitions."""
        return Kind.FEATURES.table(self.name)

    @property
    def entity(self) -> Entity:
        """It has no rows of its own: its keys are those of what it uses."""
        return Entity.none()

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features, in order."""
        return tuple(item.name for item in self.features)

    @property
    def references(self) -> tuple[str, ...]:
        """References to its features, in order."""
        return tuple(f"{self.name}:{name}" for name in self.feature_names)

    def sources(self) -> tuple[str, ...]:
        """The tables of the features that it uses."""
        return self.transformation.sources()

    def column_lineage(self) -> ColumnLineage:
        """Per feature the features that it is computed of."""
        return self.transformation.column_lineage()

    def definition(self) -> dict[str, Any]:
        """Everything that decides its values, as JSON. Owner and description do not."""
        return {"name": self.name, "version": self.version} | self.transformation.definition()

    def about(self) -> dict[str, Any]:
        """The texts for people, as JSON, without the empty ones: of the view, and of each feature by its name."""
        features = {
            item.name: {
                name: getattr(item, name) for name in ("description", "unit", "deprecated") if getattr(item, name)
            }
            for item in self.features
        }
        texts = {"description": self.description, "owner": self.owner}
        texts |= {"features": {name: own for name, own in features.items() if own}}
        return {name: text for name, text in texts.items() if text}

    def digest(self) -> str:
        """SHA-256 of the definition."""
        return hashlib.sha256(json.dumps(self.definition(), sort_keys=True).encode()).hexdigest()


def _type_name(given: Any, name: str, where: str) -> str:
    """The name in `TYPES` of an input's type. Raises AssayError for another one."""
    if isinstance(given, type) and given in _OF_PYTHON:
        named = _OF_PYTHON[given]
    elif isinstance(given, str):
        named = given
    else:
        named = next((one for one, dtype in TYPES.items() if given == dtype), "")
    if named not in TYPES or (name == MOMENT and named != "Datetime"):
        wanted = (
            "datetime: it is the moment itself" if name == MOMENT else "str, bool, int, float, date or datetime (UTC)"
        )
        raise AssayError(f"{where}: the type of input {name!r} must be {wanted}")
    return named


def _uses(given: Sequence[str | HasReferences], where: str) -> dict[str, Reference]:
    """The references by the names that expressions have for them."""
    if isinstance(given, str):
        raise AssayError(f"{where}: uses is a list of references: write [{given!r}]")
    texts = [text for item in given for text in (item.references if isinstance(item, HasReferences) else (item,))]
    references = [Reference.parse(text) for text in texts]
    for item in references:
        if item.feature == "*":
            raise AssayError(f"{where}: name each feature that it uses: {item.view}:* grows with its view")
        check_name(item.output, "used feature")
    refuse_repeats([item.output for item in references], where, "input or used feature")
    return {item.output: item for item in references}


def _check_names(feature: Feature, names: Sequence[str], where: str) -> None:
    read = root_columns(feature.expr)
    if read is None:
        raise AssayError(f"{where}: feature {feature.name!r} selects columns by type or pattern: name them")
    for name in read:
        if name not in names:
            raise AssayError(
                f"{where}: feature {feature.name!r} reads {name!r}, which is neither an input of the request nor used "
                f"(there are: {', '.join(names) or 'none'}).{nearest(name, names)}"
            )
    expression_from(expression_tree(feature.expr), f"{where}: feature {feature.name!r}")
