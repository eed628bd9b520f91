"""How far back the features of a row look, from what the commits of their views recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from assay.features.views.transformation import recorded_rows_read


@dataclass(frozen=True, slots=True)
class Lookback:
    """How far before a row's time the values of a view look.

    Args:
        view: Its name.
        keys: The columns that the view is joined by.
        back: Longest window of the features that are used, plus how old a value may be that is served; None: not known.
        why: Why it is not known, as the end of a sentence.
    """

    view: str
    keys: tuple[str, ...]
    back: timedelta | None = timedelta(0)
    why: str = ""


def lookback_of(
    name: str,
    keys: Sequence[str],
    view: Mapping[str, Any],
    serving: Mapping[str, Any],
    features: Sequence[str],
) -> Lookback:
    """The lookback of some features of a view.

    The rows of a windowed view are of earlier moments than the rows that they are joined to: by at most the view's `max_age`;
    without one, a step of the view is counted.

    Args:
        name: The view's name.
        keys: The columns that it is joined by.
        view: The view, as its table's commit describes it.
        serving: How it is served, from the same commit.
        features: The features that are used.
    """
    windows = [
        timedelta(microseconds=feature["window_us"])
        for feature in view.get("features", [])
        if feature["name"] in features and feature.get("window_us")
    ]
    if not windows:
        reads = recorded_rows_read(view, serving)
        if not reads:
            return Lookback(name, tuple(keys), None, "does not record how far back its rows look")
        if any(item.time is None for item in reads):
            return Lookback(name, tuple(keys), None, "reads all rows of an entity, whatever their time")
        windows = [item.width for item in reads if item.width]
    if not windows:  # each value is of one moment
        return Lookback(name, tuple(keys))
    age = serving.get("max_age_us") or view.get("every_us") or 0
    return Lookback(name, tuple(keys), max(windows) + timedelta(microseconds=age))
