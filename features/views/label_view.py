"""Label views: what a model learns to predict, with the time when it became known. A target of training sets, never a feature."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from assay.errors import AssayError
from assay.features.tables.kinds import Kind
from assay.features.tables.serving import Serving
from assay.features.views.feature_view import FeatureView
from assay.features.views.timestamps import microseconds, parse_duration


@dataclass(frozen=True, slots=True, eq=False)
class LabelView(FeatureView):
    """Labels of an entity: a view whose table is `labels/<name>`, computed like any other, and read by training sets alone.

    The label of a moment t is that of the entity's row at t; with a `horizon`, the newest one of `[t, t + horizon]`: what came of
    it. It is known when that row was known (`known_time`), with a horizon not before t + horizon.

    >>> filed = LabelView(                                                                     # doctest: +SKIP
    ...     "filed",
    ...     entity=Entity("ticket", ["ticket_id"]),
    ...     event_time="created_at",
    ...     source="clean/tickets",
    ...     known_time="filed_at",
    ...     features=[Feature("intent", pl.col("intent"))],
    ... )

    Args:
        horizon: How long after a moment its outcome counts: a timedelta or a text such as `"30d"`; None: only the moment itself.

    The other arguments are those of `FeatureView`; `features` are the labels. There is no `max_age`.

    Raises:
        AssayError: As of `FeatureView`, and where neither `known_time` nor `horizon` says when a label becomes known.
    """

    horizon: timedelta | str | None = None

    def __post_init__(self) -> None:
        where = f"label view {self.name!r}"
        if self.horizon is not None:
            parse_duration(self.horizon, f"{where}: horizon")
        elif not self.known_time:
            raise AssayError(
                f"{where}: say when a label becomes known: known_time names the column with that time, or horizon says how long "
                "after its moment"
            )
        if self.max_age is not None:
            raise AssayError(f"{where}: a label has no max_age: horizon says until when it counts")
        FeatureView.__post_init__(self)

    @property
    def table(self) -> str:
        """The table with its rows."""
        return Kind.LABELS.table(self.name)

    @property
    def references(self) -> tuple[str, ...]:
        """There are none: raises AssayError, since labels are no features."""
        raise never_a_feature(self.name)

    @property
    def labels(self) -> tuple[str, ...]:
        """What a training set's `label` may be: `<name>:<label>`."""
        return tuple(f"{self.name}:{name}" for name in self.feature_names)

    def serving(self) -> dict[str, Any]:
        """How a training set finds the label of a moment."""
        horizon = None if self.horizon is None else microseconds(parse_duration(self.horizon, "horizon"))
        return Serving(
            self.entity.name,
            tuple(self.entity.keys),
            self.event_time,
            self.known_time,
            kind="label",
            horizon_us=horizon,
        ).to_dict()


def never_a_feature(name: str) -> AssayError:
    """Why a label view cannot be joined as features."""
    return AssayError(
        f"{name!r} is a label view: its values became known after the moments that they are about, so that a model which read "
        f"them would know the answer. Give it as the target: training_set(…, label='{name}:…')."
    )
