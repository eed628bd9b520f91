"""Running dlt's resources: every item is a line, the state comes out as it must go in, and errors hold no value."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
import requests

from assay.assets.extracted.resource import ExtractionError, extract
from assay.assets.lacking import DENIED, UNREACHABLE, NotConnected

dlt = pytest.importorskip("dlt")


AT = datetime(2026, 9, 1, tzinfo=UTC)


def lines(file: Path) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in file.read_text().splitlines()]
    assert all(record.pop("_extracted_at") == AT.isoformat() for record in records)
    return records


def test_items_of_every_kind_are_lines(tmp_path: Path) -> None:
    rows = [{"id": 1, "at": datetime(2026, 9, 1, tzinfo=UTC)}, {"id": 2, "at": None}]

    @dlt.resource
    def mixed() -> Iterator[Any]:
        yield {"id": 0, "price": Decimal("1.10"), "day": date(2026, 9, 1), "tags": ["a"], "of": {"b": 1}}
        yield rows
        yield pa.Table.from_pylist(rows)
        yield pl.DataFrame(rows)
        yield {"id": 3, "price": [float("nan"), float("-inf")]}
        yield None

    found = extract("mixed", mixed, "", tmp_path / "a.jsonl", AT)
    assert found.rows == 8
    written = lines(tmp_path / "a.jsonl")
    assert written[0] == {"id": 0, "price": "1.10", "day": "2026-09-01", "tags": ["a"], "of": {"b": 1}}
    assert written[1:3] == written[3:5] == written[5:7]
    assert written[1] == {"id": 1, "at": "2026-09-01T00:00:00+00:00"}
    assert written[7] == {"id": 3, "price": ["nan", "-inf"]}


def test_the_state_goes_in_and_comes_out(tmp_path: Path) -> None:
    upstream = [{"id": n, "at": datetime(2026, 9, n, tzinfo=UTC)} for n in (1, 2)]

    @dlt.resource(primary_key="id")
    def orders(moved: Any = dlt.sources.incremental("at")) -> Iterator[Any]:  # noqa: B008 - as dlt has it
        state = dlt.current.resource_state()
        state["calls"] = state.get("calls", 0) + 1
        since = moved.last_value
        yield [row for row in upstream if since is None or row["at"] >= since]

    first = extract("orders", orders, "", tmp_path / "a.jsonl", AT)
    assert [row["id"] for row in lines(tmp_path / "a.jsonl")] == [1, 2]
    upstream.append({"id": 3, "at": datetime(2026, 9, 2, tzinfo=UTC)})  # of the same moment
    second = extract("orders", orders, first.state, tmp_path / "b.jsonl", AT)
    assert [row["id"] for row in lines(tmp_path / "b.jsonl")] == [3]
    assert (
        extract("orders", orders, first.state, tmp_path / "c.jsonl", AT) == second
    )  # what was not committed comes again
    assert extract("orders", orders, second.state, tmp_path / "d.jsonl", AT).rows == 0
    assert '"calls":3' in extract("orders", orders, second.state, tmp_path / "e.jsonl", AT).state.replace(" ", "")


def test_a_source_has_resources_by_name(tmp_path: Path) -> None:
    @dlt.source
    def shop() -> Any:
        return [dlt.resource([{"id": 1}], name="orders"), dlt.resource([{"id": 2}], name="refunds")]

    assert extract("refunds", shop, "", tmp_path / "a.jsonl", AT).rows == 1
    assert lines(tmp_path / "a.jsonl") == [{"id": 2}]
    with pytest.raises(ExtractionError, match="There are: orders, refunds"):
        extract("people", shop, "", tmp_path / "a.jsonl", AT)


def failing(problem: Exception) -> Callable[[], Any]:
    @dlt.resource
    def orders() -> Iterator[Any]:
        yield {"id": 1}
        raise problem

    return orders


def answered(status: int) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(f"{status} for https://shop.example/?key=SECRET", response=response)


@pytest.mark.parametrize(
    ("problem", "lack"),
    [
        (answered(429), UNREACHABLE),
        (answered(503), UNREACHABLE),
        (answered(401), DENIED),
        (answered(404), None),
        (requests.ConnectionError("https://shop.example/?key=SECRET"), UNREACHABLE),
        (requests.ReadTimeout("https://shop.example/?key=SECRET"), UNREACHABLE),
        (ValueError("SECRET"), None),
    ],
)
def test_why_it_fails_is_said_without_values(tmp_path: Path, problem: Exception, lack: str | None) -> None:
    with pytest.raises(NotConnected if lack else ExtractionError) as failed:
        extract("orders", failing(problem), "", tmp_path / "a.jsonl", AT)
    assert getattr(failed.value, "lack", None) == lack
    assert "SECRET" not in str(failed.value)
    assert "orders" in str(failed.value)


@pytest.mark.parametrize("item", ["text", 7, [["text"]]])
def test_what_is_no_record_is_refused(tmp_path: Path, item: Any) -> None:
    with pytest.raises(ExtractionError, match="yield records"):
        extract("orders", dlt.resource([item, item], name="orders"), "", tmp_path / "a.jsonl", AT)


@pytest.mark.parametrize("item", [{("a", "b"): 1}, {b"a": 1}, {"a": 10**5000}, {"a": {("b",): 1}}])
def test_a_record_that_json_cannot_hold_is_refused(tmp_path: Path, item: Any) -> None:
    with pytest.raises(ExtractionError, match="JSON cannot hold"):
        extract("orders", dlt.resource([item], name="orders"), "", tmp_path / "a.jsonl", AT)


def test_what_comes_again_is_another_delivery_of_the_same_content(tmp_path: Path) -> None:
    again = [dlt.resource([{"id": 1}, {}], name="orders") for _ in range(2)]
    one, two = (
        extract("orders", made, "", tmp_path / name, AT + timedelta(hours=n))
        for n, (made, name) in enumerate(zip(again, "ab", strict=True))
    )
    assert one.content == two.content
    assert (tmp_path / "a").read_bytes() != (tmp_path / "b").read_bytes()


def test_what_is_no_resource_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExtractionError, match=r"@dlt\.resource"):
        extract("orders", lambda: [{"id": 1}], "", tmp_path / "a.jsonl", AT)
