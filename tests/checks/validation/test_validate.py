"""What `validate` promises about rows: nothing is lost, the first clean row stays, originals are kept."""

from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest

from assay.checks import Block, ColumnsError, Contract, Field, Report, Timestamp, mask, rule, validate, validate_spilled
from assay.errors import AssayError

PAIR = ["a", "b"]


class Events(Contract):
    event_id: str = Field(key=True)
    amount: float = Field(ge=0)

    class Config(Contract.Config):
        version = "3"


class Customers(Contract):
    customer_id: str = Field(key=True)
    updated_at: Timestamp = Field(key=True)
    name: str = Field(canonical_unique="customer_id", pii="name")


def reasons(frame: pl.DataFrame, contract: type[Contract], **kwargs: Any) -> list[list[str]]:
    numbered = frame.with_columns(_row_number=pl.int_range(frame.height))
    left = dict(validate(numbered, contract, **kwargs).quarantined.select("_row_number", "_rules").iter_rows())
    return [left.get(index, []) for index in range(frame.height)]


def customers(*rows: tuple[str, str, str]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["customer_id", "updated_at", "name"], orient="row").with_columns(
        updated_at="2026-09-" + pl.col("updated_at") + "T00:00:00Z"
    )


def test_columns_and_order_of_the_outcome() -> None:
    frame = pl.DataFrame(
        {
            "_source_sha256": ["f"] * 4,
            "extra": [1, 2, 3, 4],
            "amount": ["1", "-1", "2.5", None],
            "partition_key": ["2026-09-01"] * 4,
            "event_id": ["a", "b", "c", None],
            "_defect": [None, None, None, "unparsable"],
            "_line": [None, None, None, "raw line"],
        }
    )
    outcome = validate(frame, Events)
    assert outcome.clean.schema == {
        "event_id": pl.String,
        "amount": pl.Float64,
        "_source_sha256": pl.String,
        "partition_key": pl.String,
    }
    assert outcome.clean["event_id"].to_list() == ["a", "c"]
    assert outcome.quarantined.drop("_rules").equals(frame[[1, 3]])
    assert outcome.quarantined["_rules"].to_list() == [["amount.ge"], ["row.unparsable"]]
    again = validate(outcome.quarantined, Events)
    assert again.quarantined.equals(outcome.quarantined)


def test_a_record_the_reader_could_not_read_breaks_only_that() -> None:
    frame = pl.DataFrame(
        {
            "event_id": ["a", "a", "a", "b"],
            "amount": ["x", "1", "1", "1"],
            "_defect": ["encoding", None, "other", None],
        }
    )
    outcome = validate(frame, Events)
    assert outcome.quarantined["_rules"].to_list() == [["row.encoding"], ["row.other"]]
    results = {result.name: result for result in outcome.report.rules}
    assert list(results)[:3] == ["row.unparsable", "row.encoding", "row.other"]
    assert [results[name].invalid for name in list(results)[:3]] == [0, 1, 1]
    assert (results["amount.dtype"].evaluated, results["amount.dtype"].unknown) == (2, 2)
    assert "row.unparsable" not in [result.name for result in validate(frame.drop("_defect"), Events).report.rules]


def test_first_row_of_a_key_stays() -> None:
    frame = pl.DataFrame({"event_id": ["a", "b", "a", "a", None, None], "amount": [1.0, 1, 1, 1, 1, 1]})
    null = ["event_id.not_null"]
    assert reasons(frame, Events) == [[], [], ["event_id.unique"], ["event_id.unique"], null, null]


def test_a_bad_row_does_not_make_a_good_row_a_duplicate() -> None:
    frame = pl.DataFrame({"event_id": ["a", "a", "a"], "amount": [-1.0, 1.0, -1.0]})
    assert reasons(frame, Events) == [["amount.ge"], [], ["event_id.unique", "amount.ge"]]


@pytest.mark.parametrize("lazy", [False, True])
def test_published_keys_are_taken(lazy: bool) -> None:
    published = pl.DataFrame({"event_id": ["a", None], "amount": [5.0, 1.0], "other": [1, 2]})
    frame = pl.DataFrame({"event_id": ["a", "b", "b"], "amount": [1.0, 1.0, 1.0]})
    kept = published.lazy() if lazy else published
    assert reasons(frame, Events, published=kept) == [["event_id.unique"], [], ["event_id.unique"]]
    with pytest.raises(AssayError, match=r"event_id\.unique.*no column 'event_id'"):
        validate(frame, Events, published=published.drop("event_id"))


def test_keys_over_several_columns() -> None:
    class Pair(Contract):
        a: str = Field(nullable=True)
        b: int = Field()

        class Config(Contract.Config):
            unique = PAIR

    frame = pl.DataFrame({"a": ["x", "x", "x", None, None], "b": ["1", "2", "1", "1", "1"]})
    published = pl.DataFrame({"a": ["x"], "b": [2]})
    broken = ["a+b.unique"]
    assert reasons(frame, Pair) == [[], [], broken, [], []]
    assert reasons(frame, Pair, published=published) == [[], broken, broken, [], []]


def test_set_rules_act_together() -> None:
    class Two(Contract):
        a: str = Field(unique=True)
        b: str = Field(unique=True)

    # The second row leaves for `a`, so the third is the first clean row with its `b`.
    frame = pl.DataFrame({"a": ["1", "1", "2", "3"], "b": ["x", "y", "y", "y"]})
    assert reasons(frame, Two) == [[], ["a.unique"], [], ["b.unique"]]


def test_spellings_of_one_name() -> None:
    frame = customers(
        ("c1", "01", "ACME Ltd"),
        ("c2", "01", "acme ltd."),
        ("c3", "01", "Acme, Limited"),
        ("c1", "02", "Acme LTD"),
        ("c4", "01", "ACME"),
        ("c5", "01", "ACME Inc."),
        ("c2", "02", "Other GmbH"),
    )
    variant = ["name.canonical_unique"]
    assert reasons(frame, Customers) == [[], variant, variant, [], [], [], []]


def test_spellings_of_published_names() -> None:
    published = validate(customers(("c1", "01", "ACME Ltd")), Customers).clean
    frame = customers(("c1", "02", "acme limited"), ("c2", "02", "Acme Ltd."), ("c1", "01", "ACME Ltd"))
    assert reasons(frame, Customers, published=published.lazy()) == [
        [],
        ["name.canonical_unique"],
        ["customer_id+updated_at.unique"],
    ]


def test_a_warning_does_not_remove_rows_and_is_still_counted_per_row() -> None:
    class Soft(Contract):
        a: str = Field(unique=True)
        b: int = Field(ge=0)

        class Config(Contract.Config):
            severity: ClassVar = {"a.unique": "warn"}

    outcome = validate(pl.DataFrame({"a": ["x", "x", "x"], "b": [1, 1, -1]}), Soft)
    assert outcome.clean["b"].to_list() == [1, 1]
    assert outcome.quarantined["_rules"].to_list() == [["a.unique", "b.ge"]]
    unique = next(result for result in outcome.report.rules if result.name == "a.unique")
    assert (unique.status, unique.invalid) == ("warned", 2)


def test_missing_column_names_its_likely_partner() -> None:
    frame = pl.DataFrame({"event_id": ["secret"], "amount_eur": [1.0], "_x": [1]})
    with pytest.raises(ColumnsError, match=r"missing column 'amount' \(likely renamed to 'amount_eur'\)") as caught:
        validate(frame, Events)
    assert "secret" not in str(caught.value)
    assert caught.value.drift.missing == ("amount",)
    with pytest.raises(ColumnsError, match="no columns"):
        validate(pl.DataFrame(), Events)


def test_strict_contract_refuses_unknown_columns() -> None:
    class Strict(Contract):
        v: int = Field()

        class Config(Contract.Config):
            strict = True

    validate(pl.DataFrame({"v": [1], "_row_number": [1], "partition_key": ["d"]}), Strict)
    for name in ("w", "_x", "_id", "__status"):
        with pytest.raises(ColumnsError, match=f"does not know the column '{name}'"):
            validate(pl.DataFrame({"v": [1], name: [1]}), Strict)


def test_a_column_with_an_underscore_is_one_like_any_other() -> None:
    class Mongo(Contract):
        key: str = Field(alias="_id", key=True)
        status: str = Field(alias="__status", isin=["open"])

    frame = pl.DataFrame({"_id": ["a", "b", "b"], "__status": ["open"] * 3, "_email": ["jo@example.com"] * 3})
    outcome = validate(frame.with_columns(_row_number=pl.int_range(3)), Mongo)
    assert outcome.clean.rows() == [("a", "open", 0), ("b", "open", 1)]
    assert outcome.quarantined["_rules"].to_list() == [["_id.unique"]]
    shown = mask(outcome.quarantined, Mongo)
    assert "example" not in str(shown["_email"].to_list())


def test_optional_column() -> None:
    class Optional(Contract):
        v: int = Field()
        w: int = Field(required=False, ge=0)

    outcome = validate(pl.DataFrame({"v": [1]}), Optional)
    assert outcome.clean.to_dicts() == [{"v": 1, "w": None}]
    assert {result.status for result in outcome.report.rules if result.column == "w"} == {"unknown"}
    assert reasons(pl.DataFrame({"v": [1], "w": [-1]}), Optional) == [["w.ge"]]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("spilled", [False, True])
def test_a_batch_that_no_rule_can_judge(spilled: bool, tmp_path: Path) -> None:
    class Optional(Contract):
        v: int = Field(required=False, unique=True)

    frame = pl.DataFrame({"other": ["a", "b"]})
    outcome = validate_spilled(frame, Optional, tmp_path) if spilled else validate(frame, Optional)
    assert {(result.status, result.unknown) for result in outcome.report.rules} == {("unknown", 2)}
    assert outcome.clean.lazy().collect().to_dict(as_series=False) == {"v": [None, None]}
    assert outcome.quarantined.lazy().collect().schema == {"other": pl.String, "_rules": pl.List(pl.String)}
    assert (outcome.report.rows_in, outcome.report.rows_quarantined) == (2, 0)


def test_any_number_of_rules_is_listed_in_order() -> None:
    names = [f"c{number:03d}" for number in range(150)]
    fields = {name: Field(ge=0) for name in names}
    contract = type("Wide", (Contract,), {"__annotations__": dict.fromkeys(names, int), **fields})
    broken = [names[:1], names[63:65], [], names[127:129] + names[149:], names, names[:1]]
    frame = pl.DataFrame({name: [-1 if name in row else 1 for row in broken] for name in names})
    assert reasons(frame, contract) == [[f"{name}.ge" for name in row] for row in broken]


def test_reference_without_the_column() -> None:
    class Child(Contract):
        parent: str = Field(exists_in="parents.id")

    with pytest.raises(AssayError, match=r"parent\.exists: the lookup table parents has no column 'id'"):
        validate(pl.DataFrame({"parent": ["a"]}), Child, lookup_tables={"parents": pl.DataFrame({"x": [1]})})


def test_a_rule_that_fails_to_run_is_named_and_no_value_shown() -> None:
    class Partial(Contract):
        v: str = Field(no_email=True)

        @rule(name="v.recent")
        def recent(cls) -> pl.Expr:
            return pl.col("v").str.to_date().dt.year() > 2000

    with pytest.raises(AssayError, match=r"the rule v\.recent failed to run") as caught:
        validate(pl.DataFrame({"v": ["secret"]}), Partial)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("block", "bad", "blocked"),
    [
        (Block(), 0, False),
        (Block(), 1, True),
        (Block(rows=2), 2, False),
        (Block(rows=2), 3, True),
        (Block(share=0.2), 2, False),
        (Block(share=0.2), 3, True),
        (Block(rows=9, share=0.2), 3, True),
    ],
)
def test_block_thresholds(block: Block, bad: int, blocked: bool) -> None:
    config = type("Config", (Contract.Config,), {"severity": {"v.ge": block}})
    contract = type("C", (Contract,), {"__annotations__": {"v": int}, "v": Field(ge=0), "Config": config})
    outcome = validate(pl.DataFrame({"v": [-1] * bad + [1] * (10 - bad)}), contract)
    assert outcome.report.blocked is blocked
    assert outcome.report.rules[-1].status == ("blocked" if blocked else "failed" if bad else "passed")
    assert (outcome.clean.height, outcome.quarantined.height) == (10 - bad, bad)


def test_report_round_trip() -> None:
    report = validate(pl.DataFrame({"event_id": ["a", "a"], "amount": ["1", "x"]}), Events).report
    assert (report.contract, report.version, report.rows_in, report.rows_clean, report.rows_quarantined) == (
        "Events",
        "3",
        2,
        1,
        1,
    )
    assert Report.from_dict(report.to_dict()) == report


def test_empty_batch() -> None:
    outcome = validate(pl.DataFrame({"event_id": [], "amount": []}, schema={"event_id": str, "amount": str}), Events)
    assert outcome.clean.schema == {"event_id": pl.String, "amount": pl.Float64}
    assert outcome.quarantined.schema == {"event_id": pl.String, "amount": pl.String, "_rules": pl.List(pl.String)}
    assert {result.status for result in outcome.report.rules} == {"passed"}


def test_profile() -> None:
    class Wide(Contract):
        i: int = Field(nullable=True)
        f: float = Field(nullable=True)
        at: Timestamp = Field(nullable=True)
        s: str = Field(nullable=True)
        phone: int = Field(pii="phone")

    frame = pl.DataFrame(
        {
            "i": ["1", "3", "3", None],
            "f": ["1.5", "nan", None, "2.5"],
            "at": ["2026-09-02T00:00:00Z", "2026-09-01T00:00:00Z", None, None],
            "s": ["secret", "x", "x", None],
            "phone": [5551234, 5551235, 5551236, 5551237],
        }
    )
    assert validate(frame, Wide).profile == {
        "i": {"count": 4, "null": 1, "distinct": 2, "min": 1, "max": 3, "mean": 7 / 3},
        "f": {"count": 4, "null": 1, "nan": 1, "distinct": 2, "min": 1.5, "max": 2.5, "mean": 2.0},
        "at": {
            "count": 4,
            "null": 2,
            "distinct": 2,
            "min": "2026-09-01T00:00:00+00:00",
            "max": "2026-09-02T00:00:00+00:00",
        },
        "s": {"count": 4, "null": 1, "distinct": 2},
        "phone": {"count": 4, "null": 0, "distinct": 4},
    }


def test_a_typed_value_of_an_unreadable_record_is_unknown() -> None:
    class Count(Contract):
        n: int = Field(nullable=True)

    frame = pl.DataFrame({"n": [1, None, 3], "_defect": [None, "unparsable", None]})
    (result,) = [rule for rule in validate(frame, Count).report.rules if rule.name == "n.dtype"]
    assert (result.evaluated, result.invalid, result.unknown) == (2, 0, 1)


def test_lookup_tables_were_called_references() -> None:
    class Orders(Contract):
        shop: str = Field(key=True, exists_in="shops")

    frame, shops = pl.DataFrame({"shop": ["a", "b"]}), pl.DataFrame({"shop": ["a"]})
    for given in ({"lookup_tables": {"shops": shops}}, {"references": {"shops": shops}}):
        assert validate(frame, Orders, **given).quarantined["shop"].to_list() == ["b"]
    with pytest.raises(AssayError, match="Give one of them"):
        validate(frame, Orders, lookup_tables={}, references={})
