"""Every class of change between two versions of a contract, in both directions: what it is called and whom it breaks."""

from datetime import timedelta
from typing import Any, Optional

import pandera.polars as pa
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.checks import Block, Contract, Field, QuarantineLimits, rule
from assay.checks.contract.field import RowCount
from assay.checks.exchange.compare import Change, compare_contracts
from assay.checks.exchange.constraint_order import narrower
from assay.errors import AssayError

R, S, RS, OK = ("readers",), ("suppliers",), ("readers", "suppliers"), ()


def define(fields: dict[str, tuple[Any, Any]], rules: dict[str, Any] | None = None, **config: Any) -> type[Contract]:
    body = {name: field for name, (_, field) in fields.items()} | (rules or {})
    annotations = {name: annotation for name, (annotation, _) in fields.items()}
    made = type("Config", (Contract.Config,), {"version": "1.0.0", **config})
    return type("Orders", (Contract,), {"__annotations__": annotations, "Config": made, **body})


def v(annotation: Any = int, **options: Any) -> dict[str, tuple[Any, Any]]:
    return {"v": (annotation, Field(**options))}


def two(**options: Any) -> dict[str, tuple[Any, Any]]:
    return {"v": (int, Field()), "other": (str, Field(**options))}


def row(bound: int) -> Any:
    return rule(name="limit")(lambda cls: pl.col("v") < bound)


def code() -> Any:
    return pa.check("v", name="odd")(lambda cls, data: data.lazyframe.select(pl.col(data.key) % 2 == 1))


warned = {"severity": {"v.ge": "warn"}}
info = {"severity": {"v.ge": "info"}}
blocked = {"severity": {"v.ge": "block"}}

#: name, old, new, (kind, breaks) from old to new, (kind, breaks) from new to old.
CASES: list[tuple[str, Any, Any, tuple[str, Any], tuple[str, Any]]] = [
    ("column", v(), two(), ("column_added", S), ("column_removed", R)),
    (
        "optional column",
        v(),
        v() | {"other": (Optional[str], Field(nullable=True))},  # noqa: UP045 - what pandera reads
        ("column_added", OK),
        ("column_removed", R),
    ),
    (
        "strict column",
        (v(), {"strict": True}),
        (two(), {"strict": True}),
        ("column_added", S),
        ("column_removed", RS),
    ),
    (
        "rename",
        {"amount": (float, Field())},
        {"amount_eur": (float, Field())},
        ("column_renamed", RS),
        ("column_renamed", RS),
    ),
    (
        "order",
        {"v": (int, Field()), "w": (str, Field())},
        {"w": (str, Field()), "v": (int, Field())},
        ("columns_reordered", OK),
        ("columns_reordered", OK),
    ),
    ("integer", v(pl.Int32), v(pl.Int64), ("type_widened", R), ("type_narrowed", S)),
    ("unsigned", v(pl.UInt32), v(pl.Int64), ("type_widened", R), ("type_narrowed", S)),
    ("sign", v(pl.UInt64), v(pl.Int64), ("type_changed", RS), ("type_changed", RS)),
    ("float", v(pl.Float32), v(pl.Float64), ("type_widened", R), ("type_narrowed", S)),
    ("integer to float", v(pl.Int32), v(pl.Float64), ("type_widened", R), ("type_narrowed", S)),
    ("long to float", v(pl.Int64), v(pl.Float64), ("type_changed", RS), ("type_changed", RS)),
    ("decimal", v(pl.Decimal(8, 2)), v(pl.Decimal(12, 4)), ("type_widened", R), ("type_narrowed", S)),
    ("decimal places", v(pl.Decimal(8, 2)), v(pl.Decimal(8, 4)), ("type_changed", RS), ("type_changed", RS)),
    ("enum type", v(pl.Enum(["a"])), v(pl.Enum(["a", "b"])), ("type_widened", R), ("type_narrowed", S)),
    ("enum to text", v(pl.Enum(["a"])), v(str), ("type_widened", R), ("type_narrowed", S)),
    ("list", v(pl.List(pl.Int8)), v(pl.List(pl.Int16)), ("type_widened", R), ("type_narrowed", S)),
    ("time unit", v(pl.Datetime("ms", "UTC")), v(pl.Datetime("us", "UTC")), ("type_widened", R), ("type_narrowed", S)),
    (
        "zone",
        v(pl.Datetime("us", "UTC")),
        v(pl.Datetime("us", "Europe/Berlin")),
        ("type_changed", RS),
        ("type_changed", RS),
    ),
    ("kind", v(int), v(str), ("type_changed", RS), ("type_changed", RS)),
    ("null", v(), v(nullable=True), ("nullable", R), ("not_nullable", S)),
    ("required", v(), v(Optional[int]), ("not_required", R), ("required", S)),  # noqa: UP045
    ("coerce", v(), v(coerce=True), ("coerced", R), ("not_coerced", S)),
    (
        "naive",
        v(pl.Datetime("us", "UTC")),
        v(pl.Datetime("us", "UTC"), naive_utc=True),
        ("zone_assumed", R),
        ("zone_demanded", S),
    ),
    ("form", v(float), v(float, decimal=","), ("form_changed", RS), ("form_changed", RS)),
    ("form of all", v(float), (v(float), {"decimal": ","}), ("form_changed", RS), ("form_changed", RS)),
    ("no value", v(missing="-"), v(missing=("-", "?")), ("missing_added", R), ("missing_removed", S)),
    ("pii", v(str), v(str, pii="name"), ("pii_added", OK), ("pii_removed", R)),
    ("pii class", v(str, pii="email"), v(str, pii="name"), ("pii_changed", OK), ("pii_changed", OK)),
    ("key", two(), two(key=True), ("key_changed", RS), ("key_changed", RS)),
    ("unique", v(), v(unique=True), ("rule_added", S), ("rule_removed", R)),
    ("joint unique", two(), (two(), {"unique": ["v", "other"]}), ("rule_added", S), ("rule_removed", R)),
    ("rule", v(), v(ge=0), ("rule_added", S), ("rule_removed", R)),
    ("warning", v(), (v(ge=0), warned), ("rule_added", OK), ("rule_removed", OK)),
    ("text rule", v(str), v(str, no_email=True), ("rule_added", S), ("rule_removed", R)),
    ("ge", v(ge=0), v(ge=1), ("rule_tightened", S), ("rule_loosened", R)),
    ("ge, a warning", (v(ge=0), warned), (v(ge=1), warned), ("rule_tightened", OK), ("rule_loosened", OK)),
    ("lt", v(lt=9), v(lt=8), ("rule_tightened", S), ("rule_loosened", R)),
    ("in_range", v(in_range=(0, 9)), v(in_range=(1, 8)), ("rule_tightened", S), ("rule_loosened", R)),
    ("moved range", v(in_range=(0, 9)), v(in_range=(5, 12)), ("rule_changed", RS), ("rule_changed", RS)),
    ("length", v(str, str_length=(1, 9)), v(str, str_length=(2, 9)), ("rule_tightened", S), ("rule_loosened", R)),
    ("enum", v(str, isin=["a", "b"]), v(str, isin=["a"]), ("values_removed", S), ("values_added", R)),
    ("other enum", v(str, isin=["a", "b"]), v(str, isin=["a", "c"]), ("rule_changed", RS), ("rule_changed", RS)),
    ("notin", v(str, notin=["a"]), v(str, notin=["a", "b"]), ("values_removed", S), ("values_added", R)),
    ("pattern", v(str, str_matches="a"), v(str, str_matches="b"), ("rule_changed", RS), ("rule_changed", RS)),
    ("row rule", (v(), {}, {"r": row(1)}), (v(), {}, {"r": row(2)}), ("rule_changed", RS), ("rule_changed", RS)),
    (
        "foreign key",
        v(exists_in="clean/a"),
        v(exists_in="clean/b"),
        ("rule_changed", RS),
        ("rule_changed", RS),
    ),
    (
        "code",
        (v(), {}, {"c": code()}),
        (v(pii="name"), {}, {"c": code()}),
        ("rule_unclear", RS),
        ("rule_unclear", RS),
    ),
    ("severity", v(ge=0), (v(ge=0), warned), ("severity_lowered", R), ("severity_raised", S)),
    ("severity that counts", (v(ge=0), info), (v(ge=0), warned), ("severity_changed", OK), ("severity_changed", OK)),
    ("block", v(ge=0), (v(ge=0), blocked), ("severity_raised", RS), ("severity_lowered", OK)),
    (
        "threshold",
        (v(ge=0), {"severity": {"v.ge": Block(share=0.1)}}),
        (v(ge=0), {"severity": {"v.ge": Block(share=0.2)}}),
        ("threshold_changed", RS),
        ("threshold_changed", RS),
    ),
    (
        "severity of the type",
        v(),
        (v(), {"severity": {"v.dtype": "warn"}}),
        ("severity_lowered", R),
        ("severity_raised", S),
    ),
    (
        "required_if",
        two(nullable=True, required_if={"v": 1}),
        two(nullable=True, required_if={"v": [1, 2]}),
        ("rule_changed", RS),
        ("rule_changed", RS),
    ),
    ("sequence", v(), v(sequence="increasing"), ("rule_added", S), ("rule_removed", R)),
    ("format", v(str, format="email"), v(str, format="iban"), ("rule_changed", RS), ("rule_changed", RS)),
    (
        "row count",
        (v(), {"row_count": RowCount("crm")}),
        (v(), {"row_count": RowCount("crm", rows=5)}),
        ("rule_changed", RS),
        ("rule_changed", RS),
    ),
    (
        "order of an ordered contract",
        ({"v": (int, Field()), "w": (str, Field())}, {"ordered": True}),
        ({"w": (str, Field()), "v": (int, Field())}, {"ordered": True}),
        ("columns_reordered", S),
        ("columns_reordered", S),
    ),
    ("ordered", v(), (v(), {"ordered": True}), ("ordered", S), ("not_ordered", OK)),
    ("strict", v(), (v(), {"strict": True}), ("strict", S), ("not_strict", OK)),
    (
        "freshness",
        (v(), {"freshness": "1d"}),
        (v(), {"freshness": timedelta(hours=36)}),
        ("freshness_loosened", R),
        ("freshness_tightened", S),
    ),
    (
        "quarantine stops a batch",
        v(),
        (v(), {"quarantine": QuarantineLimits(block=0.3)}),
        ("quarantine_tightened", S),
        ("quarantine_loosened", R),
    ),
    (
        "quarantine stops nothing",
        (v(), {"quarantine": QuarantineLimits(block=None)}),
        v(),
        ("quarantine_tightened", S),
        ("quarantine_loosened", R),
    ),
    (
        "quarantine, both ways",
        (v(), {"quarantine": QuarantineLimits(block=0.3, rows=50)}),
        v(),
        ("quarantine_changed", RS),
        ("quarantine_changed", RS),
    ),
    (
        "quarantine warns",
        (v(ge=0), {"quarantine": QuarantineLimits(rules={"v.ge": 0.1})}),
        v(ge=0),
        ("quarantine_warns", OK),
        ("quarantine_warns", OK),
    ),
    ("no freshness", (v(), {"freshness": "1d"}), v(), ("freshness_loosened", R), ("freshness_tightened", S)),
    ("owner", (v(), {"owner": "a"}), (v(), {"owner": "b"}), ("owner_changed", OK), ("owner_changed", OK)),
]


def made(case: Any, version: str) -> type[Contract]:
    fields, config, rules = (*case, {}, {})[:3] if isinstance(case, tuple) else (case, {}, {})
    return define(fields, rules, **{"version": version, **config})


@pytest.mark.parametrize(("old", "new", "there", "back"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_every_class_of_change_in_both_directions(
    old: Any, new: Any, there: tuple[str, Any], back: tuple[str, Any]
) -> None:
    for first, second, wanted in ((old, new, there), (new, old, back)):
        changes = compare_contracts(made(first, "1.0.0"), made(second, "2.0.0"))
        assert ("version_changed", "version", OK) in [(c.kind, c.where, c.breaks) for c in changes]
        found = [(c.kind, c.breaks) for c in changes if c.kind not in ("version_changed", "pii_added", "pii_removed")]
        if wanted[0].startswith("pii"):
            found = [(c.kind, c.breaks) for c in changes if c.kind.startswith("pii")]
        assert found == [wanted]
        assert all(change.reason for change in changes)
        assert any(change.breaking for change in changes if change.kind == wanted[0]) == bool(wanted[1])


def versions(before: str, after: str, **options: Any) -> list[str]:
    changes = compare_contracts(define(v(), version=before), define(v(**options), version=after))
    return [change.kind for change in changes if change.kind.startswith("version")]


def test_the_version_must_tell() -> None:
    assert versions("1.0.0", "1.0.0") == []
    assert versions("1.0.0", "1.0.0", ge=0) == ["version_not_raised"]
    assert versions("1.0.0", "1.1.0", ge=0) == ["version_understated"]
    assert versions("1.0.0", "2.0.0", ge=0) == ["version_changed"]
    assert versions("1.9.0", "1.10.0") == ["version_changed"]
    assert versions("1.10.0", "1.9.0") == ["version_lowered"]
    assert versions("2026-a", "2026-b", ge=0) == ["version_changed"]


def test_a_contract_equals_itself_and_only_contracts_are_compared() -> None:
    orders = define(two(key=True) | v(ge=0), {"r": row(3), "c": code()}, owner="me")
    assert compare_contracts(orders, orders) == []
    with pytest.raises(AssayError, match="a contract is a subclass"):
        compare_contracts(orders, dict)  # pyright: ignore[reportArgumentType] - the mistake


def test_what_a_removed_column_implied_is_not_told_twice() -> None:
    changes = compare_contracts(define(two(isin=["a"], no_email=True)), define(v(), version="2.0.0"))
    assert [change.where for change in changes] == ["other", "version"]
    assert changes[0] == Change("column_removed", "other", ("readers",), "queries that read it fail")


bound = st.integers(-4, 4)
checks = st.one_of(
    st.tuples(st.just("greater_than"), st.builds(lambda a: {"min_value": a}, bound)),
    st.tuples(st.just("less_than_or_equal_to"), st.builds(lambda a: {"max_value": a}, bound)),
    st.tuples(
        st.just("in_range"),
        st.builds(
            lambda a, b, c, d: {"min_value": a, "max_value": b, "include_min": c, "include_max": d},
            bound,
            bound,
            st.booleans(),
            st.booleans(),
        ),
    ),
    st.tuples(st.just("isin"), st.builds(lambda a: {"allowed_values": a}, st.lists(bound))),
    st.tuples(st.just("notin"), st.builds(lambda a: {"forbidden_values": a}, st.lists(bound))),
)


def valid(check: str, arguments: dict[str, Any]) -> set[float]:
    """By brute force: which halves between -6 and 6 pass."""
    tests = {
        "greater_than": lambda x: x > arguments["min_value"],
        "less_than_or_equal_to": lambda x: x <= arguments["max_value"],
        "isin": lambda x: x in arguments["allowed_values"],
        "notin": lambda x: x not in arguments["forbidden_values"],
        "in_range": lambda x: (
            (x >= arguments["min_value"] if arguments["include_min"] else x > arguments["min_value"])
            and (x <= arguments["max_value"] if arguments["include_max"] else x < arguments["max_value"])
        ),
    }
    return {x / 2 for x in range(-12, 13) if tests[check](x / 2)}


@given(checks, checks)
def test_narrower_is_subset(old: tuple[str, dict[str, Any]], new: tuple[str, dict[str, Any]]) -> None:
    if old[0] != new[0]:
        return
    subset = valid(*new) <= valid(*old)
    told = narrower(old[0], old[1], new[1])
    # An empty interval is inside every other one; nobody can declare one.
    assert told == subset or not valid(*new)
