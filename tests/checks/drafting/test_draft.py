"""Drafted contracts: a reviewer would accept them on the raw support data and on real queries, and they catch defects."""

import re
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.assets.sources.deliveries import Delivery
from assay.assets.sources.dispatch import read_delivery
from assay.assets.support.upstream.calendar import LAST_DAY
from assay.assets.support.upstream.card_events import event_files
from assay.assets.support.upstream.customers import current
from assay.assets.support.upstream.texts import load
from assay.assets.support.upstream.ticket_files import ticket_files
from assay.checks import Contract, contract_info, contract_rules, validate
from assay.checks.contract.contract import compiled
from assay.checks.drafting.column_stats import stats_of
from assay.checks.drafting.dependencies import Determined
from assay.checks.drafting.draft import draft_contract
from assay.checks.drafting.pattern_inference import common_pattern
from assay.checks.drafting.table_stats import Batch, table_stats
from assay.errors import AssayError
from tests.conftest import SOAK


def contract_of(source: str) -> type[Contract]:
    """The one contract that a module's source declares."""
    module: dict[str, Any] = {"__name__": "drafted"}
    exec(compile(source, "drafted.py", "exec"), module)
    (found,) = (
        value
        for value in module.values()
        if isinstance(value, type) and value is not Contract and issubclass(value, Contract)
    )
    return found


def read(files: Any) -> pl.DataFrame:
    """Every record of the files, with the file and the number of the record."""
    return pl.concat(by_file(files), how="diagonal_relaxed")


def by_file(files: Any) -> list[pl.DataFrame]:
    return [
        read_delivery(Delivery.of_bytes(file.path, file.content, ""), file.content).with_columns(
            _source_file=pl.lit(file.path)
        )
        for file in files
        if file.defect is None
    ]


@pytest.fixture(scope="module")
def tickets() -> tuple[list[pl.DataFrame], list[Any]]:
    files = ticket_files(*load(None))
    return by_file(files), [row for file in files if file.defect is None for row in file.planted]


@pytest.fixture(scope="module")
def drafted_tickets(tickets: tuple[list[pl.DataFrame], list[Any]]) -> str:
    return draft_contract(tickets[0], "raw/tickets")


@pytest.fixture(scope="module")
def events() -> list[pl.DataFrame]:
    return by_file(event_files())


def columns(contract: type[Contract]) -> dict[str, Any]:
    return {column.name: column for column in compiled(contract).columns}


def rules(contract: type[Contract]) -> set[str]:
    return {made.name for made in contract_rules(contract) if made.name.rpartition(".")[2] not in ("dtype", "not_null")}


def test_raw_tickets(drafted_tickets: str) -> None:
    source, contract = drafted_tickets, contract_of(drafted_tickets)
    info = contract_info(contract)
    assert (info.name, info.key) == ("Tickets", ("ticket_id",))
    assert [column.name for column in info.columns if column.nullable] == ["intent"]
    assert {column.name: column.pii for column in info.columns if column.pii} == {"text": "free_text"}
    assert columns(contract)["created_at"].dtype == pl.Datetime("us", "UTC")
    assert rules(contract) == {
        "ticket_id.unique",
        "ticket_id.matches",
        "customer_id.matches",
        "channel.isin",
        "text.not_empty",
        "text.no_email",
        "text.no_card_number",
        "intent.isin",
    }
    assert 'channel: str = Field(isin=["chat", "email", "phone", "web"])' in source
    assert r'ticket_id: str = Field(key=True, str_matches=r"^T[0-9]{7}$")' in source
    assert "are distinct, in each batch and across them: the key? 8 rows repeat a value" in source
    assert "8 rows could not be read and were left out." in source
    assert "6 of 6,048 (<0.1%) rows have other, rare values (like 'aaa', 'aaaaaaaa'), which are not listed" in source
    assert not re.search(r"example\.com|telegram|fax|4111", source), "neither personal data nor what is left out"


def test_raw_card_events(events: list[pl.DataFrame]) -> None:
    contract = contract_of(draft_contract(events, "card_events.parquet"))
    assert contract_info(contract).name == "CardEvents"
    assert contract_info(contract).key == ("event_id",)
    assert [column.nullable for column in contract_info(contract).columns] == [False] * 5
    assert rules(contract) >= {"kind.isin", "amount.ge", "event_id.matches", "customer_id.matches"}
    assert (columns(contract)["amount"].dtype, columns(contract)["event_time"].dtype) == (
        pl.Float64(),
        pl.Datetime("us", "UTC"),
    )


def test_customers() -> None:
    customers = pl.DataFrame([asdict(customer) for customer in current(LAST_DAY)])
    customers = customers.with_columns(email=pl.when(pl.int_range(pl.len()) % 5 > 0).then("email"))
    source = draft_contract([customers.gather_every(3, start) for start in range(3)], "customers")
    info = contract_info(contract_of(source))
    assert info.key == ("customer_id",)
    assert {column.name: column.pii for column in info.columns if column.pii} == {
        "name": "name",
        "email": "email",
        "phone": "phone",
    }
    assert [column.name for column in info.columns if column.nullable] == ["email"]
    assert 'country: str = Field(format="country")' in source
    assert 'email: str = Field(nullable=True, pii="email", format="email")' in source
    assert 'plan: str = Field(isin=["business", "free", "plus"])' in source
    assert not any(str(value) in source for value in customers.select("name", "phone").head(50).row(7))


def test_what_one_batch_shows_is_asked_and_no_rule(events: list[pl.DataFrame]) -> None:
    source = draft_contract(events[0], "events")
    contract = contract_of(source)
    assert rules(contract) == {
        "event_id.unique",
        "event_id.matches",
        "customer_id.matches",
        "amount.ge",
        "amount.not_nan",
    }
    assert {c.name for c in contract_info(contract).columns if c.nullable} == set(events[0].columns[1:5])
    asked = 'seen in 1 batch: all there are? Then isin=["decline", "purchase", "refund", "topup", "withdrawal"].'
    assert asked in source.replace("\n    # ", " ")
    assert "One batch cannot show what stays the same" in source


def test_a_change_log_has_a_key_of_two_columns() -> None:
    ids = [f"C{number:03d}" for number in range(50)] * 4
    when = [datetime(2026, 1, 1 + day, tzinfo=UTC) for day in range(4) for _ in range(50)]
    city = [f"Town {chr(65 + int(name[1:]) % 7)}" for name in ids]
    source = draft_contract(pl.DataFrame({"customer_id": ids, "updated_at": when, "city": city}), "customers")
    assert contract_info(contract_of(source)).key == ("customer_id", "updated_at")
    assert "# customer_id and updated_at together tell 200 of 200 rows apart: the key?" in source


def test_few_rows_have_a_key_whose_support_is_said_to_be_small() -> None:
    towns = [f"Town {chr(65 + number)}" for number in range(12)]
    found = pl.DataFrame({"town": towns, "town_code": [f"{number:02d}" for number in range(12)], "size": [1, 2, 3] * 4})
    source = draft_contract(found, "towns")
    assert contract_info(contract_of(source)).key == ("town_code",), "it is called like one"
    assert "12 of 12 values are distinct: the key?\n    # 12 rows prove little: more may repeat a value." in source
    assert "No key" not in source
    unnamed = draft_contract(found.select("town", "size"), "towns")
    assert contract_info(contract_of(unnamed)).key == ()
    assert "# No key: town tells the rows apart, which in one batch may be chance: is it the key?" in unnamed
    assert contract_info(
        contract_of(draft_contract([found.select("town"), found.select(pl.col("town") + "!")], "t"))
    ).key
    assert "# No key: no column tells these few rows apart." in draft_contract(found.select("size"), "towns")
    assert "# No key: 1 row cannot show one." in draft_contract(found.head(1), "towns")
    times = [datetime(2026, 1, day, tzinfo=UTC) for day in range(1, 25)]
    said = "# No key: at tells the rows apart, but is not of the kind that a key is."
    for rows in (12, 24):
        assert said in draft_contract(pl.DataFrame({"at": times[:rows], "x": [1, 1] * (rows // 2)}), "times")


def test_real_queries(banking77: Path) -> None:
    frame = pl.read_csv(banking77 / "train.csv")
    days = frame.sample(fraction=1, shuffle=True, seed=1)
    source = draft_contract([days.gather_every(4, start) for start in range(4)], "train")
    contract = contract_of(source)
    info = contract_info(contract)
    assert (info.key, [c.nullable for c in info.columns]) == ((), [False, False])
    assert {column.name: column.pii for column in info.columns} == {"text": "free_text", "category": None}
    assert (
        "77 values, each in 129 rows on average: all there are? The last half of 4 batches had no new ones." in source
    )
    assert validate(frame, contract).report.rows_quarantined == 0
    assert validate(pl.read_csv(banking77 / "test.csv"), contract).report.rows_quarantined == 0
    spoiled = pl.DataFrame({"text": [None, " ", "a@b.example is mine"], "category": ["age_limit", "age_limit", "pin"]})
    assert validate(spoiled, contract).quarantined["_rules"].to_list() == [
        ["text.not_null"],
        ["text.not_empty"],
        ["text.no_email", "category.isin"],
    ]


def test_planted_defects_are_caught_by_a_contract_drafted_from_clean_rows(
    tickets: tuple[list[pl.DataFrame], list[Any]],
) -> None:
    frames, planted = tickets
    frame = pl.concat(frames, how="diagonal_relaxed")
    bad = pl.DataFrame([{"_source_file": row.file, "_row_number": row.row_number, "rule": row.rule} for row in planted])
    bad = bad.cast({"_row_number": frame.schema["_row_number"]})
    cleaned = [one.join(bad, on=["_source_file", "_row_number"], how="anti") for one in frames]
    clean = pl.concat(cleaned, how="diagonal_relaxed")
    contract = contract_of(draft_contract(cleaned, "tickets"))
    assert validate(clean, contract).report.rows_quarantined == 0
    outcome = validate(frame, contract)
    found = {
        (file, row): broken
        for file, row, broken in outcome.quarantined.select("_source_file", "_row_number", "_rules").rows()
    }
    # Which customers exist, no table of tickets says; an id that came before is told with the published rows.
    for file, row, rule in bad.rows():
        if rule != "customer_id.exists":
            assert found.pop((file, row), []) == [rule]
    assert not found, "and nothing else"


def test_types_are_read_from_text_and_kept_from_types() -> None:
    texts = pl.DataFrame(
        {
            "count": ["1", "-2"] * 30,
            "ratio": ["0.5", "1"] * 30,
            "flag": ["true", "FALSE"] * 30,
            "day": ["2026-01-02", "2026-02-03"] * 30,
            "at": ["2026-01-02T03:04:05", "2026-01-02T03:04:05Z"] * 30,
            "clock": ["12:30", "12:30:01"] * 30,
            "zip": ["01234", "99999"] * 30,
            "nothing": [None, None] * 30,
        },
        schema_overrides={"nothing": pl.String},
    )
    source = draft_contract(texts, "t")
    found = {name: column.dtype for name, column in columns(contract_of(source)).items()}
    assert list(found.values()) == [
        pl.Int64(),
        pl.Float64(),
        pl.Boolean(),
        pl.Date(),
        pl.Datetime("us", "UTC"),
        pl.Time(),
        pl.String(),
        pl.String(),
    ]
    assert "30 of 60 times have no zone: UTC?" in source
    assert "naive_utc=True" in source
    assert "No values in 60 rows: the type is a guess." in source
    assert validate(texts, contract_of(source)).report.rows_quarantined == 0


def test_every_type_is_drafted_as_it_is() -> None:
    frame = pl.DataFrame(
        {
            "tiny": pl.Series([1, 2], dtype=pl.Int8),
            "price": pl.Series([Decimal("1.50"), Decimal("2.00")], dtype=pl.Decimal(8, 2)),
            "tags": [["a"], []],
            "place": [{"lat": 1.0, "at": datetime(2026, 1, 1, tzinfo=UTC)}] * 2,
            "vector": pl.Series([[1.0, 2.0]] * 2, dtype=pl.Array(pl.Float32, 2)),
            "kind": pl.Series(["a", "b"], dtype=pl.Categorical),
            "took": pl.Series([1, 2], dtype=pl.Duration("ms")),
            "day": [date(2026, 1, 1)] * 2,
            "blob": [b"x", b"y"],
        }
    )
    contract = contract_of(draft_contract(frame, "t"))
    found = {name: column.dtype for name, column in columns(contract).items()}
    assert found == {**dict(frame.schema), "kind": pl.String()}
    assert validate(frame, contract).report.rows_quarantined == 0


def test_names_that_python_or_pandera_use_get_an_alias() -> None:
    frame = pl.DataFrame({"class": [1], "validate": [2], "unit price (€)": [3], 'a"\nb': [4], "plain": [5]})
    source = draft_contract(frame, "2026 sales!")
    assert list(columns(contract_of(source))) == frame.columns
    assert 'column_1: int = Field(alias="class", nullable=True)' in source
    assert "class Table(Contract):" in source


def test_measurements_are_told_apart_by_their_time_and_temperatures_get_no_bound() -> None:
    hours = [f"2026-06-{day:02d}T{hour:02d}:00:00Z" for day in range(1, 4) for hour in range(24) for _ in range(3)]
    frame = pl.DataFrame(
        {
            "station": ["north", "south", "east"] * 72,
            "measured": hours,
            "temperature": [10.5 + number % 9 for number in range(216)],
            "rainAmount": [number % 7 for number in range(216)],
        }
    )
    source = draft_contract(frame, "weather")
    assert [name for name, column in columns(contract_of(source)).items() if column.options.key] == [
        "station",
        "measured",
    ]
    assert "temperature: float = Field(nullable=True)" in source
    assert "rainAmount: int = Field(nullable=True, ge=0)" in source
    assert "So few rows cannot show that each row of a column has a value" in source


def test_functional_dependencies_are_told_as_questions() -> None:
    frame = pl.DataFrame(
        {
            "shop": [f"S{number % 10:02d}" for number in range(200)],
            "city": [f"C{number % 5:02d}" for number in range(200)],
            "till": [f"T{number % 7:02d}" for number in range(200)],
        }
    )
    assert table_stats([Batch("t", lambda: frame)]).determines == (Determined("shop", "city", 200, 10, 0),)
    assert "# shop determines city in 200 rows, 10 groups: always?" in draft_contract(frame, "t")


def test_a_share_of_defects_is_tolerated_and_counted() -> None:
    numbers = pl.Series("n", [str(number) for number in range(98)] + ["x", "-4"])
    found = stats_of(numbers)
    assert (found.dtype, found.misfits, found.negative, found.low, found.high) == (pl.Int64(), 1, 1, -4, 97)
    assert stats_of(numbers.head(95).append(pl.Series(["x"] * 5))).dtype == pl.String()
    assert stats_of(pl.Series("v", ["a"] * 99 + ["b"])).values == ("a",)
    assert stats_of(pl.Series("v", ["a"] * 90 + ["b"] * 10)).values == ("a", "b")


@pytest.mark.parametrize(
    ("texts", "pattern"),
    [
        (["AB-12", "CD-345"], "^[A-Z]{2}-[0-9]+$"),
        (["x.1", "x.2"], r"^x\.[0-9]{1}$"),
        (["DE", "FR"], "^[A-Z]{2}$"),
        (["APPLES", "PEARS"], None),
        (["red", "blue"], None),
        (["12 a", "13 b"], None),
    ],
)
def test_patterns_are_those_of_codes(texts: list[str], pattern: str | None) -> None:
    found = common_pattern(pl.Series("v", texts * 10), 0.98)
    assert found == (None if pattern is None else (pattern, 0))


@settings(max_examples=300 if SOAK else 8)
@given(
    st.lists(
        st.one_of(
            st.lists(st.one_of(st.none(), st.integers(-9, 9), st.floats()), min_size=40, max_size=40),
            st.lists(
                st.sampled_from([None, "a", "b", "x@y.example", "2026-01-01", "7", "A1", "1e400"]),
                min_size=40,
                max_size=40,
            ),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_a_draft_always_compiles_and_holds_for_nearly_all_of_its_rows(values: list[list[Any]]) -> None:
    frame = pl.DataFrame({f"c{index}_id": pl.Series(column, strict=False) for index, column in enumerate(values)})
    contract = contract_of(draft_contract(frame, "t"))
    for result in validate(frame, contract).report.rules:
        # A rare value may be left out of a list, and NaN is never a value.
        assert result.share <= 0.05 or result.name.endswith("not_nan")


def test_the_source_is_formatted(drafted_tickets: str, tmp_path: Path) -> None:
    file = tmp_path / "drafted.py"
    file.write_text(drafted_tickets)
    ruff = [sys.executable, "-m", "ruff", "--quiet"]
    done = subprocess.run(
        [*ruff[:3], "format", "--check", "--line-length", "120", str(file)], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_files_of_one_length_have_one_number_of_rows() -> None:
    frames = [pl.DataFrame({"a": range(size)}) for size in (4, 4, 5)]
    assert "A batch has 4 rows." in draft_contract(frames[:2], "t")
    assert "A batch has 4 to 5 rows." in draft_contract(frames, "t")


def test_nothing_to_draft_from() -> None:
    with pytest.raises(AssayError, match="no columns to draft a contract from"):
        draft_contract(pl.DataFrame(), "t")
    assert "Drafted from 0 rows." in draft_contract(pl.DataFrame({"a": []}, schema={"a": pl.String}), "t")
