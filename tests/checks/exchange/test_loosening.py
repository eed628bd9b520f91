"""Another contract that only loosens takes what the earlier one took: the same rows, with the same values."""

from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any, Optional

import pandera.polars as pa
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.checks import Block, Contract, Field, QuarantineLimits, contract_info, quarantined, rule, validate
from assay.checks.contract.contract import contract_text
from assay.checks.contract.field import RowCount
from assay.checks.exchange.loosening import loosened
from tests.conftest import SOAK

EXAMPLES = 1500 if SOAK else 30


def define(
    fields: dict[str, tuple[Any, Any]], rules: dict[str, Any] | None = None, name: str = "Orders", **config: Any
) -> type[Contract]:
    body = {column: field for column, (_, field) in fields.items()} | (rules or {})
    annotations = {column: annotation for column, (annotation, _) in fields.items()}
    made = type("Config", (Contract.Config,), {"version": "1.0.0", **config})
    return type(name, (Contract,), {"__annotations__": annotations, "Config": made, **body})


def v(annotation: Any = int, **options: Any) -> dict[str, tuple[Any, Any]]:
    return {"v": (annotation, Field(**options))}


def w_in_v(annotation: Any = int, **options: Any) -> dict[str, tuple[Any, Any]]:
    return {"w": (str, Field())} | v(annotation, **options)


def row(bound: int) -> dict[str, Any]:
    return {"limit": rule(name="limit")(lambda cls: pl.col("v") < bound)}


def code(source: str = "data.lazyframe.select(pl.col(data.key) % 2 == 1)") -> dict[str, Any]:
    return {"odd": pa.check("v", name="odd")(eval(f"lambda cls, data: {source}", {"pl": pl}))}


def compare(old: type[Contract], new: type[Contract]) -> frozenset[str] | None:
    return loosened(contract_text(old), contract_text(new))


def made(case: Any) -> type[Contract]:
    fields, rules, config = (*case, {}, {})[:3] if isinstance(case, tuple) else (case, {}, {})
    return define(fields, rules, **config)


DAY, TIME = date(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC)
ENUM = pl.Enum(["a", "b"])
NONE: set[str] = set()
SEQUENCES = (("strictly_increasing", "w"), ("increasing", ()))
#: name, old, new, the rules by which more is taken, and whether the way back is no loosening, too.
LOOSER: list[tuple[str, Any, Any, set[str]]] = [
    ("nothing", v(), v(), NONE),
    ("version, owner", v(), (v(), {}, {"version": "2.0.0", "owner": "me"}), NONE),
    ("name", v(), (v(), {}, {"name": "Renamed"}), NONE),
    ("words", v(), v(description="a number", title="V", metadata={"unit": "EUR"}), NONE),
    ("value", v(str, isin=["a"]), v(str, isin=["b", "a"]), {"v.isin"}),
    ("value of a set", v(str, isin={"a"}), v(str, isin={"b", "a"}), {"v.isin"}),
    ("value of a set of numbers", v(isin={1}), v(isin={2, 1}), {"v.isin"}),
    ("value of a list in a set", v(str, isin=["a"]), v(str, isin={"a", "b"}), {"v.isin"}),
    ("value of a set in a list", v(str, isin={"a"}), v(str, isin=["a", "b"]), {"v.isin"}),
    ("text in quotes", v(str, isin=["'a'"]), v(str, isin=["'a'", "b"]), {"v.isin"}),
    ("day", v(pl.Date, isin=[DAY]), v(pl.Date, isin=[DAY, date(2026, 1, 2)]), {"v.isin"}),
    ("value not forbidden", v(str, notin=["a", "b"]), v(str, notin=["a"]), {"v.notin"}),
    ("at least", v(ge=1), v(ge=0), {"v.ge"}),
    ("more than", v(float, gt=0.5), v(float, gt=-1), {"v.gt"}),
    ("at most", v(le=1), v(le=2), {"v.le"}),
    ("less than", v(str, lt="b"), v(str, lt="c"), {"v.lt"}),
    ("since a day", v(pl.Date, ge=DAY), v(pl.Date, ge=date(2025, 1, 1)), {"v.ge"}),
    (
        "until a time",
        v(pl.Datetime("us", "UTC"), lt=TIME),
        v(pl.Datetime("us", "UTC"), lt=datetime(2027, 1, 1, tzinfo=UTC)),
        {"v.lt"},
    ),
    ("decimal", v(pl.Decimal(9, 2), ge=Decimal("1.5")), v(pl.Decimal(9, 2), ge=Decimal("1.25")), {"v.ge"}),
    (
        "range",
        v(in_range={"min_value": 1, "max_value": 2}),
        v(in_range={"min_value": 0, "max_value": 2, "include_min": False}),
        {"v.in_range"},
    ),
    ("length", v(str, str_length={"max_value": 3}), v(str, str_length={"max_value": 4}), {"v.length"}),
    ("null", v(), v(nullable=True), {"v.not_null"}),
    ("optional", v(), v(Optional[int]), NONE),  # noqa: UP045 - what pandera reads
    ("rule gone", v(ge=1), v(), {"v.ge"}),
    ("rule of a row gone", (v(), row(3)), v(), {"limit"}),
    ("code gone", (v(), code()), v(), {"v.odd"}),
    ("only counts", v(ge=1), (v(ge=1), {}, {"severity": {"v.ge": "warn"}}), {"v.ge"}),
    ("counted and gone", (v(ge=1), {}, {"severity": {"v.ge": "warn"}}), v(), NONE),
    ("counts in silence", *((v(ge=1), {}, {"severity": {"v.ge": kind}}) for kind in ("warn", "info")), NONE),
    ("stops no more", (v(ge=1), {}, {"severity": {"v.ge": "block"}}), v(ge=1), NONE),
    ("stops later", *((v(ge=1), {}, {"severity": {"v.ge": Block(rows=n)}}) for n in (1, 2)), NONE),
    (
        "stops at some",
        *((v(ge=1), {}, {"severity": {"v.ge": block}}) for block in ("block", Block(share=0.1))),
        NONE,
    ),
    ("repeats", v(unique=True), v(), {"v.unique"}),
    ("no foreign key", v(exists_in="clean/x.v"), v(), {"v.exists"}),
    ("spellings", v(str, canonical_unique="v"), v(str), {"v.canonical_unique"}),
    ("required", v(nullable=True, required_if={"v": 1}), v(nullable=True), {"v.required_if"}),
    ("sequence", v(sequence="increasing"), v(), {"v.sequence"}),
    ("sequence and its groups", w_in_v(sequence="increasing", per="w"), w_in_v(), {"v.sequence"}),
    ("format", v(str, format="iban"), v(str), {"v.format"}),
    ("normal", v(str, normal="strip"), v(str), NONE),
    ("not strict", (v(), {}, {"strict": True}), v(), NONE),
    ("not ordered", (v(), {}, {"ordered": True}), v(), NONE),
    ("limit", v(), (v(), {}, {"quarantine": QuarantineLimits(block=0.9, warn=None)}), NONE),
    ("rows counted", *((v(), {}, {"row_count": RowCount("x", rows=n)}) for n in (1, 2)), NONE),
    ("category", v(ENUM), v(pl.Enum(["a", "b", "c"])), {"v.dtype"}),
    ("category and value", v(ENUM, isin=["a"]), v(pl.Enum(["a", "b", "c"]), isin=["a", "c"]), {"v.dtype", "v.isin"}),
    ("key", v(key=True, ge=1), v(key=True, ge=0), {"v.ge"}),
    ("beside a rule of a row", (v(ge=1), row(3)), (v(ge=0), row(3)), {"v.ge"}),
    ("beside code", (v(ge=1), code()), (v(ge=0), code()), {"v.ge"}),
]

OTHER: list[Any] = [
    ("column", v(), v() | {"w": (Optional[str], Field(nullable=True))}),  # noqa: UP045
    ("column gone", v() | {"w": (str, Field())}, v()),
    ("order", v() | {"w": (str, Field())}, {"w": (str, Field())} | v()),
    ("name of a column", v(), {"w": (int, Field())}),
    ("former name", v(), v(was="w")),
    ("type", v(pl.Int32), v(pl.Int64)),
    ("category before", v(ENUM), v(pl.Enum(["c", "a", "b"]))),
    (
        "category with a rule of a row",
        *((v(pl.Enum(names)), {"r": rule(name="r")(lambda cls: pl.col("v") != "b")}) for names in ("ab", "abc")),
    ),
    (
        "category that was null in a row that stayed",
        *((v(pl.Enum(names), nullable=True), {}, {"severity": {"v.dtype": "warn"}}) for names in ("ab", "abc")),
    ),
    ("conversion", v(), v(coerce=True)),
    ("times without a zone", v(pl.Datetime("us", "UTC")), v(pl.Datetime("us", "UTC"), naive_utc=True)),
    ("form", v(float), v(float, decimal=",")),
    ("missing", v(nullable=True), v(nullable=True, missing="-")),
    ("personal", v(str), v(str, pii="name")),
    ("key", v(key=True), v()),
    ("code", (v(), code()), (v(), code("data.lazyframe.select(pl.col(data.key) % 2 == 0)"))),
    ("expression", (v(), row(3)), (v(), row(4))),
    ("pattern", v(str, str_matches="a"), v(str, str_matches="a|b")),
    ("another bound", v(gt=0), v(ge=0)),
    ("texts in quotes for a set", v(str, isin={"a"}), v(str, isin=["'a'", "'b'"])),
    ("set for texts in quotes", v(str, isin=["'a'"]), v(str, isin={"a", "b"})),
    ("set for forbidden texts in quotes", v(str, notin=["'a'", "'b'"]), v(str, notin={"a"})),
    ("float for a whole number", v(lt=2**53 + 4), v(lt=float(2**53 + 4))),
    ("whole number for a float", v(ge=float(2**53 + 4)), v(ge=2**53 + 3)),
    ("range in floats", *(v(in_range={"min_value": 0, "max_value": top}) for top in (2**53 + 4, 2.0**53 + 4))),
    ("float for a whole number in few bits", v(pl.Float32, lt=16777217), v(pl.Float32, lt=16777217.0)),
    ("more than the type holds", v(pl.UInt64, lt=2**64 - 1), v(pl.UInt64, lt=2**64)),
    ("less than the type holds", v(pl.UInt8, ge=0), v(pl.UInt8, ge=-1)),
    ("one looser, one tighter", v(ge=1, le=9), v(ge=0, le=8)),
    ("sequence of all rows", *(w_in_v(sequence="increasing", per=per) for per in ("w", ()))),
    ("sequence of more rows", *(w_in_v(sequence="increasing", per=per) for per in (["w", "v"], "w"))),
    ("another sequence without its groups", *(w_in_v(sequence=kind, per=per) for kind, per in SEQUENCES)),
    ("one condition less", *(w_in_v(nullable=True, required_if={"w": "a"} | more) for more in ({"v": 1}, {}))),
    ("one column less of an entity", *(w_in_v(str, canonical_unique=names) for names in (["v", "w"], "w"))),
    ("spelled otherwise", v(str, format="iban"), v(str, format="email")),
    ("table of a foreign key", v(exists_in="clean/x.v"), v(exists_in="clean/y.v")),
    ("duplicates", v(key=True), (v(key=True), {}, {"duplicates": "latest"})),
    ("count of another table", *((v(), {}, {"row_count": RowCount(table)}) for table in ("x", "y"))),
    ("not counted", (v(), {}, {"row_count": RowCount("x")}), v()),
    ("fresher or not", (v(), {}, {"freshness": "1d"}), (v(), {}, {"freshness": "2d"})),
    ("rule that counts", v(), (v(ge=1), {}, {"severity": {"v.ge": "warn"}})),
    (
        "limit of another rule",
        *((v(ge=0), {}, {"quarantine": QuarantineLimits(rules={"v.ge": n})}) for n in (0.2, 0.1)),
    ),
]


@pytest.mark.parametrize(("old", "new", "rules"), [case[1:] for case in LOOSER], ids=[case[0] for case in LOOSER])
def test_what_only_loosens_names_the_rules_by_which_more_is_taken(old: Any, new: Any, rules: set[str]) -> None:
    first, second = made(old), made(new)
    assert compare(first, second) == rules
    about = {"nothing", "version, owner", "name", "words"}
    same = contract_text(first) == contract_text(second) or any(old is case[1] and case[0] in about for case in LOOSER)
    assert (compare(second, first) is None) != same, "the way back tightens"


@pytest.mark.parametrize(("old", "new"), [case[1:] for case in OTHER], ids=[case[0] for case in OTHER])
def test_whatever_else_changes_is_no_loosening(old: Any, new: Any) -> None:
    assert compare(made(old), made(new)) is None


def test_a_list_of_texts_that_reads_like_a_set_is_another_declaration() -> None:
    both = [contract_info(made(v(str, isin=values))).digest for values in ({"a"}, ["'a'"])]
    assert both[0] != both[1]


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "not json", '{"name": 1}'])
def test_what_cannot_be_read_is_no_loosening(text: str) -> None:
    good = contract_text(made(v()))
    assert loosened(text, good) is loosened(good, text) is loosened(text, text) is None


def test_the_declaration_is_what_the_digest_is_of() -> None:
    contract = made((v(ge=1) | {"w": (str, Field(isin=["é"]))}, row(3) | code()))
    assert sha256(contract_text(contract).encode()).hexdigest() == contract_info(contract).digest


# -- against what validation does --------------------------------------------------------------------------------------

bounds = st.integers(-2, 4)
texts = st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=4, unique=True)
some = st.sampled_from([None, 0.2, 0.5, 0.8])
OPTIONS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "v": {
        "ge": bounds,
        "lt": bounds.map(lambda n: n + 5),
        "isin": st.lists(st.integers(-1, 8), min_size=5, max_size=8, unique=True),
        "nullable": st.just(True),
        "unique": st.just(True),
        "sequence": st.sampled_from(["increasing", "consecutive"]),
        "per": st.sampled_from(["g", ["g", "c"]]),
        "exists_in": st.just("clean/x"),
    },
    "w": {
        "isin": texts,
        "notin": texts,
        "str_length": st.fixed_dictionaries({"min_value": st.integers(0, 1), "max_value": st.integers(1, 3)}),
        "nullable": st.just(True),
        "required_if": st.sampled_from([{"v": [1, 2]}, {"v": [1, 2], "g": "p"}, {"g": ["p"]}]),
        "canonical_unique": st.sampled_from(["g", ["g", "c"]]),
        "str_matches": st.sampled_from(["[a-c]", "[a-d]"]),
    },
    "f": {
        "format": st.sampled_from(["country", "country:alpha3"]),
        "normal": st.just("upper"),
        "no_email": st.just(True),
    },
}
WIDENED = ("ge", "lt", "isin", "notin", "str_length")
severities = st.sampled_from(["info", "warn", "quarantine", "block", Block(share=0.5), Block(rows=2)])


@st.composite
def declared(draw: st.DrawFn) -> dict[str, Any]:
    """What a contract declares, as a dictionary that can be changed."""
    fields = {
        name: {option: draw(value) for option, value in options.items() if draw(st.integers(0, 2)) == 0}
        for name, options in OPTIONS.items()
    }
    if "per" in fields["v"]:
        fields["v"].setdefault("sequence", draw(OPTIONS["v"]["sequence"]))
    return {
        "fields": fields,
        "categories": draw(st.sampled_from([["x"], ["x", "y"], ["y", "x"], ["x", "y", "z"]])),
        "key": draw(st.booleans()),
        "mean": draw(st.booleans()),
        "severity": draw(
            st.dictionaries(st.sampled_from(["v.ge", "v.not_null", "w.isin", "w.dtype", "c.dtype"]), severities)
        ),
        "limits": {"warn": draw(some), "block": draw(some)},
        "strict": draw(st.booleans()),
    }


@st.composite
def pairs(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two declarations that differ in little, so that many loosen."""
    old, other = draw(declared()), draw(declared())
    new = {**old, "fields": {name: dict(options) for name, options in old["fields"].items()}}
    for _ in range(draw(st.integers(1, 3))):
        part = draw(st.sampled_from([*new, *["fields"] * 12]))
        if part != "fields":
            new[part] = other[part]
            continue
        column = draw(st.sampled_from(sorted(OPTIONS)))
        options = new["fields"][column]
        option = draw(st.sampled_from(sorted(options or OPTIONS[column])))
        way = draw(st.sampled_from(["without", "another", "wider", "wider"]))
        if way == "another":
            options[option] = draw(OPTIONS[column][option])
        elif way == "wider" and option in WIDENED and option in options:
            options[option] = wider(option, options[option])
        else:
            options.pop(option, None)
    return old, new


def wider(option: str, value: Any) -> Any:
    match option:
        case "ge":
            return value - 1
        case "lt":
            return value + 1
        case "isin":
            return [*value, 0, 1] if isinstance(value[0], int) else [*value, "a", "d"]
        case "notin":
            return value[:1]
    return {"min_value": 0, "max_value": value["max_value"] + 1}


def contract_of(given: dict[str, Any]) -> type[Contract] | None:
    """The contract; None where nothing could meet it."""
    mean = {"near": rule(name="near")(lambda cls: pl.col("v") < pl.col("v").mean() + 3)} if given["mean"] else {}
    config = {"strict": given["strict"], "quarantine": QuarantineLimits(**given["limits"], rows=3)}
    try:
        columns = {
            "k": (int, Field(key=given["key"])),
            "v": (int, Field(**given["fields"]["v"])),
            "w": (str, Field(**given["fields"]["w"])),
            "c": (pl.Enum(given["categories"]), Field()),
            "g": (str, Field()),
            "f": (str, Field(**given["fields"]["f"])),
        }
        names = {rule.name for rule in define(columns, mean, **config).__compiled__.rules}  # type: ignore[union-attr]
        severity = {name: value for name, value in given["severity"].items() if name in names}
        return define(columns, mean, severity=severity, **config)
    except Exception:
        return None


ROW = st.fixed_dictionaries(
    {
        "k": st.sampled_from([*map(str, range(9)), "x"]),
        "v": st.sampled_from([*map(str, range(-2, 9)), "y", None]),
        "w": st.sampled_from(["a", "b", "c", "d", "a", "b", "c", "d", "abcd", "", None]),
        "c": st.sampled_from(["x", "x", "y", "z"]),
        "g": st.sampled_from(["p", "q"]),
        "f": st.sampled_from(["DE", "FR", "FRA", "fr", "x@y.org"]),
    }
)
PARENTS = {"clean/x": pl.DataFrame({"v": range(7)})}
batches = st.lists(ROW, min_size=6, max_size=12).map(
    lambda rows: pl.DataFrame(rows, schema=dict.fromkeys("kvwcgf", pl.String)).with_columns(
        _row_number=pl.int_range(pl.len(), dtype=pl.Int64)
    )
)


def compares(given: dict[str, Any]) -> bool:
    """Whether a rule looks at other rows, so that one that comes back may change what becomes of its neighbours."""
    return given["key"] or any({"unique", "sequence", "canonical_unique"} & {*of} for of in given["fields"].values())


def clean_rows(frame: pl.DataFrame) -> dict[int, tuple[Any, ...]]:
    """By row number, with categories as the texts that a table holds."""
    rows = frame.with_columns(pl.col("c").cast(pl.String))
    return {row["_row_number"]: tuple(row.values()) for row in rows.iter_rows(named=True)}


@st.composite
def less(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A few rules of one column, and the same without one option, which may be a rule or what says where another one holds."""
    column = draw(st.sampled_from(sorted(OPTIONS)))
    names = draw(st.sets(st.sampled_from(sorted(OPTIONS[column])), max_size=2)) | ({"per"} if column == "v" else set())
    names |= {"sequence"} if "per" in names else set()
    options = {name: draw(OPTIONS[column][name]) for name in sorted(names)}
    gone = draw(st.sampled_from(sorted(names) or [""]))
    plain = {"categories": ["x", "y", "z"], "key": False, "mean": False, "severity": {}, "strict": False}
    plain |= {"limits": {"warn": None, "block": None}}
    fields = {name: {} for name in OPTIONS}
    fewer = {name: value for name, value in options.items() if name != gone}
    return tuple(plain | {"fields": fields | {column: given}} for given in (options, fewer))  # type: ignore[return-value]


@settings(max_examples=EXAMPLES)
@given(pairs() | less(), batches)
def test_what_was_clean_stays_clean_with_the_same_values(
    both: tuple[dict[str, Any], dict[str, Any]], batch: pl.DataFrame
) -> None:
    old, new = map(contract_of, both)
    if old is None or new is None or (rules := compare(old, new)) is None:
        return
    before, after = judged(batch, old), judged(batch, new)
    clean, then = clean_rows(before.clean), clean_rows(after.clean)
    if not compares(both[0]):
        assert clean.items() <= then.items()
        removing = {one.name for one in old.__compiled__.rules if one.severity.removes_row}  # type: ignore[union-attr]
        left = {row["_row_number"]: {*row["_rules"]} & removing for row in before.quarantined.iter_rows(named=True)}
        assert all(left[number] <= rules for number in then.keys() - clean.keys())
        assert stopped(after, new) <= stopped(before, old)
    # Without the rows that left nothing changes, whatever the rules compare.
    whole = batch.filter(pl.col("_row_number").is_in(list(clean)))
    alone = judged(whole, old)
    if alone.report.rows_quarantined == 0:
        assert clean_rows(judged(whole, new).clean) == clean_rows(alone.clean)


def judged(batch: pl.DataFrame, contract: type[Contract]) -> Any:
    return validate(batch, contract, lookup_tables=PARENTS)


def stopped(outcome: Any, contract: type[Contract]) -> bool:
    report = outcome.report
    limits = contract_info(contract).quarantine
    return report.blocked or quarantined(report.rows_in, report.rows_quarantined, limits).status == "blocked"
