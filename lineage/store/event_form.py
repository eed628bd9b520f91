"""Whether an event says what it is about. A job or a dataset without a name of its own would be one node for all who left it out,
and would join pipelines that have nothing to do with each other.

Strict about names and ids, and about where they stand; what a facet holds is its producer's business.
"""

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from assay.errors import AssayError

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_FACETS = ("facets", "inputFacets", "outputFacets")


_KINDS = ("START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER")


def refuse_nameless(event: Any) -> None:
    """Raises AssayError with the first place (a JSON pointer, RFC 6901) at which the event is not an OpenLineage event. No value
    of the event is quoted."""
    if problem := _problem(event):
        raise AssayError(f"{problem[1]} (at {problem[0] or 'the top'})")


def is_named(item: Mapping[str, Any]) -> bool:
    """Whether a facet names a dataset in full."""
    return _is_name(item.get("namespace")) and _is_name(item.get("name"))


_Problem = tuple[str, str] | None  # its place, and what it is


def _problem(event: Any) -> _Problem:
    if not isinstance(event, dict):
        return "", "An OpenLineage event is a JSON object; this is not one."
    present = [part for part in ("run", "job", "dataset") if event.get(part) is not None]
    if not present:
        return "", "An OpenLineage event has a `run`, a `job` or a `dataset`; this has none."
    for part in present:
        if not isinstance(event[part], dict):
            return f"/{part}", f"The event's {part} is a JSON object; this is not one."
    if "run" in present and (problem := _of_run(event)):
        return problem
    for part in ("job", "dataset"):
        if part in present and (problem := _of_named(event[part], part)):
            return f"/{part}{problem[0]}", problem[1]
    for side in ("inputs", "outputs"):
        if problem := _of_datasets(event.get(side), side):
            return problem
    kind = event.get("eventType") or ""
    if not isinstance(kind, str):
        return "/eventType", "The event's eventType is a text; this is not one."
    if kind and kind.upper() not in _KINDS:
        return "/eventType", f"The event's eventType is one of {', '.join(_KINDS)}; this is none of them."
    return None


def _of_run(event: Mapping[str, Any]) -> _Problem:
    run_id = event["run"].get("runId")
    if not isinstance(run_id, str) or not _is_uuid(run_id):
        return "/run/runId", "The event's run.runId is missing or not a UUID."
    if problem := _of_facets(event["run"]):
        return f"/run{problem[0]}", problem[1]
    if event.get("job") is None:
        return "/job", "The event of a run names its job; this one does not."
    return None


def _of_datasets(given: Any, side: str) -> _Problem:
    if given is None:
        return None
    if not isinstance(given, list):
        return f"/{side}", f"The event's {side} are a list; this is not one."
    for index, item in enumerate(given):
        if not isinstance(item, dict):
            return f"/{side}/{index}", "A dataset is a JSON object; this is not one."
        if problem := _of_named(item, "dataset"):
            return f"/{side}/{index}{problem[0]}", problem[1]
    return None


def _of_named(item: Mapping[str, Any], what: str) -> _Problem:
    for key in ("namespace", "name"):
        if not _is_name(item.get(key)):
            state = "is missing" if item.get(key) is None else "is not a text, or is empty"
            return f"/{key}", f"The {key} of a {what} {state}."
    return _of_facets(item)


def _of_facets(item: Mapping[str, Any]) -> _Problem:
    for side in _FACETS:
        if side in item and not isinstance(item[side] or {}, dict):
            return f"/{side}", "Facets are a JSON object; these are not."
    return None


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and not (value == "" or value.isspace())


def _is_uuid(text: str) -> bool:
    try:
        uuid_text(text)
    except ValueError:
        return False
    return True


def uuid_text(text: str) -> str:
    """A UUID as it is usually written. Raises ValueError for what is none."""
    return text if _UUID.fullmatch(text) else str(UUID(text))
