"""Running a dlt resource: its items as JSON lines in a file, and its state as text. Only extraction is dlt's.

dlt's pipeline would keep the state in a folder of its own: a crash between its commit and ours would lose or double rows. So the
state goes into the resource from our last commit, and comes out for the next one.
"""

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.assets.extracted.one_try import asks_for_later, try_once_while_looking
from assay.assets.lacking import DENIED, UNREACHABLE, NotConnected, outage_of
from assay.assets.sources.value_text import as_text
from assay.errors import AssayError
from assay.optional import require

if TYPE_CHECKING:
    from dlt.extract import DltResource

_LOGIN = (401, 403, 407)


class ExtractionError(AssayError):
    """A resource that cannot be read: which, and the kind of its error. Its text may hold values or a key, and is not quoted."""


@dataclass(frozen=True, slots=True)
class Extraction:
    """What a resource has yielded: so many items, the state to go on from, and the SHA-256 of the items."""

    rows: int
    state: str
    content: str


def extract(name: str, make: Callable[[], Any], state: str, file: Path, at: datetime) -> Extraction:
    """Write what a resource yields to a file of JSON lines.

    Args:
        name: The resource's name: the one to take of a source with several.
        make: Gives a dlt resource, or a source that has it.
        state: That of the extraction before; empty: there was none.
        file: Where the lines go, each with the time of the extraction as `_extracted_at`: what comes again is another
            delivery.
        at: That time.

    Raises:
        NotConnected: The upstream does not answer, or refuses the login.
        ExtractionError: Anything else that the resource raises, or an item that is no record.
        OSError: The file cannot be written.
    """
    require("dlt", "Reading a dlt resource")
    os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
    from dlt.common.configuration.container import Container
    from dlt.common.json import json as typed
    from dlt.common.pipeline import StateInjectableContext

    try_once_while_looking()
    after: Any = typed.typed_loads(state) if state else {}
    rows, content = 0, hashlib.sha256()
    stamp = b'{"_extracted_at": "%s"' % at.astimezone(UTC).isoformat().encode()
    with file.open("wb") as stream:
        items = _items(name, make)
        with Container().injectable_context(StateInjectableContext(state=after)):
            while True:
                try:
                    item = next(items, None)
                except AssayError:
                    raise
                except Exception as problem:
                    raise _explained(name, problem) from None
                if item is None:
                    break
                for record in _records(name, item):
                    line = _line(name, record)
                    content.update(line)
                    stream.write(stamp + (b"" if line == b"{}\n" else b", ") + line[1:])
                    rows += 1
        stream.flush()
        os.fsync(stream.fileno())
    return Extraction(rows, typed.typed_dumps(after), content.hexdigest())


def _line(name: str, record: Mapping[str, Any]) -> bytes:
    try:
        try:
            text = json.dumps(record, default=as_text, ensure_ascii=False, allow_nan=False)
        except ValueError:  # JSON has no NaN and no infinity: as texts they stop their own row only
            text = json.dumps(_finite(record), default=as_text, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as problem:
        raise ExtractionError(
            f"Resource {name!r} of dlt yields a record that JSON cannot hold ({type(problem).__name__}): its names must "
            "be texts, its numbers of usual size, and it must not hold itself."
        ) from None
    return text.encode(errors="surrogatepass") + b"\n"


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def _items(name: str, make: Callable[[], Any]) -> Iterator[Any]:
    yield from (item for item in resource_of(name, make) if item is not None)


def resource_of(name: str, make: Callable[[], Any]) -> "DltResource":
    """The resource of this name. Raises ExtractionError where there is none."""
    from dlt.extract import DltResource, DltSource

    made = make if isinstance(make, DltResource) else make()
    if isinstance(made, DltSource):
        if name not in made.resources:
            raise ExtractionError(f"The dlt source has no resource {name!r}. There are: {', '.join(made.resources)}.")
        return made.resources[name]
    if not isinstance(made, DltResource):
        raise ExtractionError(
            f"Dlt({name!r}): {type(made).__name__} is no dlt resource. Decorate it with @dlt.resource."
        )
    return made


def _records(name: str, item: Any) -> Iterator[Mapping[str, Any]]:
    """The records of what a resource yields at once: one, a list of them, or a table of Arrow or Polars."""
    if isinstance(item, Mapping):
        yield item
    elif isinstance(item, list | tuple):
        for one in item:
            yield from _records(name, one)
    elif hasattr(item, "to_pylist"):  # Arrow
        yield from item.to_pylist()
    elif hasattr(item, "iter_rows"):  # Polars
        yield from item.iter_rows(named=True)
    else:
        raise ExtractionError(f"Resource {name!r} of dlt yields {type(item).__name__}: yield records, such as dicts.")


def _explained(name: str, problem: Exception) -> AssayError:
    inner: BaseException = problem
    status = None
    for one in _chain(problem):
        inner = one
        status = status or getattr(getattr(one, "response", None), "status_code", None)
    kind = f"{type(inner).__module__.partition('.')[0]}.{type(inner).__name__}"
    if isinstance(status, int):
        if status in _LOGIN:
            return NotConnected(f"The upstream of resource {name!r} refuses the login (HTTP {status}).", DENIED)
        if asks_for_later(status):
            return NotConnected(f"The upstream of resource {name!r} answers with HTTP {status}.", UNREACHABLE)
        return ExtractionError(f"The upstream of resource {name!r} answers with HTTP {status}: correct the resource.")
    if lack := outage_of(problem) or ("Timeout" in kind and UNREACHABLE):
        return NotConnected(f"The upstream of resource {name!r} does not answer ({kind}).", lack)
    return ExtractionError(f"Resource {name!r} of dlt fails with {kind}: run it by itself to see more.")


def _chain(problem: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    one: BaseException | None = problem
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__
