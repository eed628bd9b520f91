"""All detectors together: on tables with planted errors, ranked, masked, sampled."""

from collections.abc import Callable

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.checks import Contract, Field, suggest
from assay.checks.suggesting import suggest as module
from assay.errors import AssayError
from tests.checks.suggesting import natural
from tests.checks.suggesting.planted import TABLES, Planted

#: Seeds that were not looked at while detectors were tuned.
SEED = 97


@pytest.mark.parametrize("make", TABLES, ids=lambda make: make.__name__)
def test_planted_errors_are_found_and_hardly_anything_else(make: Callable[[int], Planted]) -> None:
    planted = make(SEED)
    cells = {(cell.row - 1, cell.column) for cell in suggest(planted.dirty).cells}
    hits = len(cells & planted.errors)
    assert hits >= 0.95 * len(cells)
    assert hits >= 0.75 * len(planted.errors)
    assert suggest(planted.clean).doubted <= 0.005 * planted.clean.height * planted.clean.width


@pytest.mark.parametrize("make", natural.TABLES, ids=lambda make: make.__name__)
def test_hardly_anything_is_doubted_in_untidy_tables_without_errors(make: Callable[[int], pl.DataFrame]) -> None:
    frame = make(SEED)
    assert suggest(frame).doubted <= 0.01 * frame.height * frame.width


def table() -> pl.DataFrame:
    towns = ["Dothan", "Mobile", "Selma"] * 40
    frame = pl.DataFrame({"id": [f"K{number:03d}" for number in range(120)], "town": towns, "mail": "jo@example.org"})
    return frame.with_columns(
        town=pl.when(pl.col("id") == "K007").then(pl.lit("Mobxle")).otherwise("town"),
        mail=pl.when(pl.col("id") == "K050").then(pl.lit("n/a")).otherwise("mail"),
    )


def test_a_suggestion_names_the_cell_the_reason_and_the_value_to_expect() -> None:
    found = suggest(table())
    assert (found.rows, found.looked_at, found.doubted) == (120, 120, 2)
    by_column = {cell.column: cell for cell in found.cells}
    cell = by_column["town"]
    assert (cell.row, cell.value, cell.expected, cell.kind) == (8, "Mobxle", "Mobile", "near_value")
    assert cell.reason == "It differs in one character from a value that 39 rows have; 1 has this one."
    assert 0.5 <= cell.confidence <= 0.99
    assert list(found.cells) == sorted(found.cells, key=lambda cell: -round(cell.confidence, 3))


def test_personal_values_are_masked_with_and_without_a_contract() -> None:
    class People(Contract):
        id: str = Field(key=True)
        town: str = Field(pii="free_text")
        mail: str = Field(pii="email")

    by_form = {cell.column: cell for cell in suggest(table()).cells}
    assert by_form["mail"].value == "‹email›"
    by_contract = {cell.column: cell for cell in suggest(table(), People).cells}
    assert by_contract["town"].value == "‹text: 6 characters, 1 word›"
    assert by_contract["town"].expected == "‹text: 6 characters, 1 word›"
    assert by_contract["town"].key == {"id": "K007"}
    shown = {cell.column: cell for cell in suggest(table(), People, unmask=True).cells}
    assert (shown["town"].value, shown["mail"].value) == ("Mobxle", "n/a")
    assert "Mob" not in "".join(cell.reason for cell in by_contract.values())


def test_what_the_contract_declares_is_not_doubted() -> None:
    class Declared(Contract):
        id: str = Field(key=True)
        town: str = Field()
        mail: str = Field(nullable=True, missing=("n/a",))

    class Required(Contract):
        id: str = Field(key=True)
        town: str = Field()
        mail: str = Field(missing=("n/a",))

    assert {cell.column for cell in suggest(table()).cells} == {"town", "mail"}
    assert [cell.column for cell in suggest(table(), Declared).cells] == ["town"]
    assert {cell.column for cell in suggest(table(), Required).cells} == {"town", "mail"}, "it must not lack there"


def test_ids_are_those_of_the_cells_whatever_is_shown() -> None:
    ids = {(cell.row, cell.column): cell.id for cell in suggest(table()).cells}
    again = suggest(table(), columns=["town"], limit=1, unmask=True).cells
    assert [ids[cell.row, cell.column] for cell in again] == [cell.id for cell in again]
    assert len(set(ids.values())) == len(ids)


def test_columns_and_limit() -> None:
    assert {cell.column for cell in suggest(table(), columns=["mail"]).cells} == {"mail"}
    found = suggest(table(), limit=1)
    assert (found.doubted, len(found.cells)) == (2, 1)
    with pytest.raises(AssayError, match=r"There is no column twn.*town"):
        suggest(table(), columns=["twn"])


def test_rows_that_could_not_be_read_are_left_out_and_numbers_stay() -> None:
    frame = table().with_columns(_defect=pl.when(pl.col("id") == "K000").then(pl.lit("row.unparsable")))
    found = suggest(frame, columns=["town"])
    assert found.looked_at == 119
    assert [cell.row for cell in found.cells] == [8]


def test_a_large_table_is_sampled_and_the_answer_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 100)
    found = suggest(table())
    assert found.rows == 120
    assert 95 <= found.looked_at <= 105
    assert suggest(table().lazy()) == found


def test_rows_of_a_table_say_where_they_were_delivered() -> None:
    frame = table().with_columns(_source_sha256=pl.lit("ab" * 32), _row_number=pl.int_range(1, 121))
    (cell,) = suggest(frame, columns=["town"]).cells
    assert cell.source == "abababababab:8"
    # In another order of the rows it is still the same suggestion.
    assert [other.id for other in suggest(frame.reverse(), columns=["town"]).cells] == [cell.id]


@pytest.mark.parametrize("frame", [pl.DataFrame(), pl.DataFrame({"a": []}), pl.DataFrame({"a": [None, None]})])
def test_nothing_is_doubted_in_nothing(frame: pl.DataFrame) -> None:
    assert suggest(frame).cells == ()


def test_typed_tables_are_looked_at_too() -> None:
    frame = pl.DataFrame({"n": [float(number % 10) for number in range(100)] + [1e6], "b": [True] * 101})
    assert [(cell.row, cell.kind) for cell in suggest(frame).cells] == [(101, "outlier")]


TEXTS = st.one_of(
    st.none(),
    st.text(max_size=12),
    st.sampled_from(
        ["", " ", "N/A", "1", "1.5", "-3e400", "1e5", "inf", "2026-02-30", "7:10 a.m.", "12 oz", "Ã©", "\0"]
    ),
)


@given(st.lists(st.lists(TEXTS, min_size=3, max_size=3), max_size=40), st.integers(1, 4))
def test_whatever_texts_a_table_holds_there_is_an_answer(rows: list[list[str | None]], times: int) -> None:
    frame = pl.DataFrame(rows * times, {"_row": pl.String, "b": pl.String, "c c": pl.String}, orient="row")
    found = suggest(frame)
    assert (found.rows, found.looked_at, found.doubted) == (frame.height, frame.height, len(found.cells))
    assert all(0.5 <= cell.confidence <= 0.99 for cell in found.cells)
    assert len({(cell.row, cell.column) for cell in found.cells}) == found.doubted


def test_whatever_types_a_table_has_there_is_an_answer() -> None:
    rows = range(60)
    frame = pl.DataFrame(
        {
            "decimal": pl.Series([f"{row}.25" for row in rows]).cast(pl.Decimal(10, 2)),
            "category": pl.Series(["a", "b"] * 30, dtype=pl.Categorical),
            "time": pl.Series([f"{row % 24:02d}:00:00" for row in rows]).str.to_time(),
            "at": pl.Series([f"2026-09-{row % 28 + 1:02d}" for row in rows]).str.to_datetime("%Y-%m-%d"),
            "nan": [float("nan"), float("inf"), 1.0, 2.5] * 15,
            "bytes": [b"x"] * 60,
            "struct": [{"a": 1}] * 60,
            "null": [None] * 60,
            "span": pl.Series(rows).cast(pl.Duration("ms")),
        }
    )
    assert suggest(frame).looked_at == 60
