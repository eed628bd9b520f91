"""Values as every page writes them."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from assay.web.drawing import cut

_LONGEST = 80  # characters of a value in a line


def moment(time: datetime) -> str:
    """A time to the second, as pages write it (UTC)."""
    return time.strftime("%Y-%m-%d %H:%M:%S")


def metrics(value: Any) -> str:
    """The numbers among a model's metrics."""
    try:
        given = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return ""
    numbers = given.items() if isinstance(given, dict) else ()
    return " · ".join(f"{name} {value:.4g}" for name, value in numbers if isinstance(value, int | float))


def value_text(value: Any) -> str:
    """One value: four significant digits of a number with decimals, lists and structures in short."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else cut(str(value), _LONGEST)


def answer_text(answer: Mapping[str, Any], *, named: bool = False) -> str:
    """A model's outputs in one line: `risk_class HIGH · score 0.8125`; a single one needs no name, unless it is to be `named`."""
    if len(answer) == 1 and not named:
        return value_text(next(iter(answer.values())))
    return " · ".join(f"{name} {value_text(value)}" for name, value in answer.items())
