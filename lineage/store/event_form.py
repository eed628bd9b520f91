"""Whether an event says what it is about. A job or a dataset without a name of its own would be one node for all who left it out,
and would join pipelines that have nothing to do with each other.

Strict about names and ids, and about where they stand; what a facet holds is its producer's business.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from assay.errors import AssayError

_FACETS = ("facets", "inputFacets", "outputFacets")


_KINDS = ("START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER")


def refuse_nameless(event: Any) -> None:
    """Raises AssayError with the first place (a JSON pointer, RFC 6901) at which the event is not an OpenLineage event. No value
    of the event is quoted."""
    for place, problem in _problems(event):
        raise AssayError(f"{problem} (at {place or 'the top'})")


def is_named(item: Mapping[str, Any]) -> bool:
    """Whether a facet names a dataset in full."""
    return _is_name(item.get("namespace")) and _is_name(item.get("name"))


def _problems(event: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(event, dict):
        yield "", "An OpenLineage event is a JSON object; this is not one."
        return
    present = [part for part in ("run", "job", "dataset") if event.get(part) is not None]
    if not present:
        yield "", "An OpenLineage event has a `run`, a `job` or a `dataset`; this has none."
    for part in present:
        if not isinstance(event[part], dict):
            yield f"/{part}", f"The event's {part} is a JSON object; this is not one."
    if "run" in present:
        yield from _of_run(event)
    for part in ("job", "dataset"):
        if part in present:
            yield from _of_named(event[part], f"/{part}", part)
    for side in ("inputs", "outputs"):
        yield from _of_datasets(event.get(side), side)
    kind = event.get("eventType") or ""
    if not isinstance(kind, str):
        yield "/eventType", "The event's eventType is a text; this is not one."
    elif kind and kind.upper() not in _KINDS:
        yield "/eventType", f"The event's eventType is one of {', '.join(_KINDS)}; this is none of them."


def _of_run(event: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    run_id = event["run"].get("runId")
    if not isinstance(run_id, str) or not _is_uuid(run_id):
        yield "/run/runId", "The event's run.runId is missing or not a UUID."
    yield from _of_facets(event["run"], "/run")
    if event.get("job") is None:
        yield "/job", "The event of a run names its job; this one does not."


def _of_datasets(given: Any, side: str) -> Iterator[tuple[str, str]]:
    if given is None:
        return
    if not isinstance(given, list):
        yield f"/{side}", f"The event's {side} are a list; this is not one."
        return
    for index, item in enumerate(given):
        if isinstance(item, dict):
            yield from _of_named(item, f"/{side}/{index}", "dataset")
        else:
            yield f"/{side}/{index}", "A dataset is a JSON object; this is not one."


def _of_named(item: Mapping[str, Any], place: str, what: str) -> Iterator[tuple[str, str]]:
    for key in ("namespace", "name"):
        if not _is_name(item.get(key)):
            state = "is missing" if item.get(key) is None else "is not a text, or is empty"
            yield f"{place}/{key}", f"The {key} of a {what} {state}."
    yield from _of_facets(item, place)


def _of_facets(item: Mapping[str, Any], place: str) -> Iterator[tuple[str, str]]:
    for side in _FACETS:
        if not isinstance(item.get(side) or {}, dict):
            yield f"{place}/{side}", "Facets are a JSON object; these are not."


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and not (value == "" or value.isspace())


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
