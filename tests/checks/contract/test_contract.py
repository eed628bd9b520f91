"""A contract that cannot work says so where it is written; one that works has a brief and a digest."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from typing import Any, ClassVar

import pandera.polars as pa
import polars as pl
import pytest
from pandera.api.dataframe.model_components import parser

from assay.checks import Block, Contract, Field, RowCount, Timestamp, contract_info, contract_rules, rule, validate
from assay.errors import AssayError


def define(body: dict[str, Any], annotations: dict[str, Any], **config: Any) -> type[Contract]:
    return type(
        "Orders",
        (Contract,),
        {"__annotations__": annotations, "Config": type("Config", (Contract.Config,), config), **body},
    )


def one(annotation: Any = str, **options: Any) -> type[Contract]:
    return define({"v": Field(**options)}, {"v": annotation})


def with_rule(build: Callable[[Any], Any]) -> type[Contract]:
    return define({"v": Field(), "r": rule()(build)}, {"v": int})


BAD: list[tuple[str, Callable[[], object]]] = [
    ("does not compile", lambda: one(str_matches="(")),
    ("look-around", lambda: one(str_contains="(?=x)")),
    ("unknown class of personal data", lambda: one(pii="emial")),
    ("custom check 'isinn'", lambda: one(isinn=["a"])),
    ("empty interval", lambda: one(int, in_range=(3, 1))),
    ("empty interval", lambda: one(str_length=(3, 1))),
    ("does not fit", lambda: one(int, str_length=(1, 3))),
    ("does not fit", lambda: one(str, ge=1)),
    ("does not fit", lambda: one(Timestamp, ge=datetime(2026, 1, 1))),  # noqa: DTZ001 - the naive bound is the point
    ("not all of the column's type", lambda: one(int, isin=["a"])),
    ("is empty", lambda: one(isin=[])),
    ("a key column cannot be nullable", lambda: one(key=True, nullable=True)),
    ("needs a zone", lambda: one(datetime)),
    ("a default would hide", lambda: one(default="x")),
    ("pattern 'v\\('.*does not compile", lambda: one(alias="v(", regex=True)),
    ("also matches the column 'w'", lambda: define({"v": Field(alias=".", regex=True)}, {"v": str, "w": str})),
    ("cannot be the key", lambda: one(alias="v.*", regex=True, key=True)),
    ("unknown column 'v.'", lambda: define({"v": Field(alias="v.", regex=True)}, {"v": str}, unique=["v.", "v."])),
    ("a key column cannot be optional", lambda: one(int | None, key=True)),
    ("contradictory rules.*between the bounds 5 and 1", lambda: one(int, ge=5, le=1)),
    ("contradictory rules.*between the bounds 5 and 5", lambda: one(int, ge=5, lt=5)),
    ("contradictory rules.*between the bounds 5 and 4", lambda: one(int, gt=5, in_range=(1, 4))),
    ("contradictory rules.*none of the listed", lambda: one(int, isin=[1, 2], ge=3)),
    ("contradictory rules.*none of the listed", lambda: one(str, eq="a", ne="a")),
    ("contradictory rules.*none of the listed", lambda: one(str, isin=["a", "b"], notin=["b", "a"])),
    ("contradictory rules.*none of the listed", lambda: one(str, isin=["a"], str_length=(2, 3))),
    ("contradictory rules.*none of the listed", lambda: one(str, isin=["de"], format="country")),
    ("of different types", lambda: one(date, ge=date(2026, 1, 1), lt=datetime(2026, 2, 1))),  # noqa: DTZ001
    ("is always required", lambda: one(int, required_if={"v": 1})),
    ("does not say of what", lambda: one(pl.Enum)),
    ("does not say of what", lambda: one(pl.List)),
    ("does not say of what", lambda: one(pl.Struct)),
    ("cannot be judged", lambda: one(pl.Object)),
    ("compared with NaN", lambda: one(float, ge=float("nan"))),
    ("kept as '_partition_key'", lambda: define({"partition_key": Field()}, {"partition_key": str})),
    ("kept as '__status'", lambda: define({"v": Field(alias="_status")}, {"v": str})),
    (
        "unknown column 'custmer'.*'customer'",
        lambda: define({"customer": Field(canonical_unique="custmer")}, {"customer": str}),
    ),
    ("unknown column 'w'", lambda: define({"v": Field()}, {"v": str}, unique=["v", "w"])),
    ("cannot be compared", lambda: define({"v": Field(key=True)}, {"v": pl.List(pl.Int64)})),
    ("unknown column 'amont'", lambda: with_rule(lambda cls: pl.col("amont") > 0)),
    ("truth value per row", lambda: with_rule(lambda cls: pl.col("v") + 1)),
    ("must return a polars expression", lambda: with_rule(lambda cls: True)),
    ("does not fit", lambda: with_rule(lambda cls: pl.col("v") > "a")),
    ("unknown severity 'wran'", lambda: rule(severity="wran")),
    ("unknown severity 'fatal'", lambda: define({"v": Field(ge=0)}, {"v": int}, severity={"v.ge": "fatal"})),
    ("no rule 'v.gee'.*'v.ge'", lambda: define({"v": Field(ge=0)}, {"v": int}, severity={"v.gee": "warn"})),
    (
        "no row can leave",
        lambda: define({"v": Field(unique_values_eq=["a"])}, {"v": str}, severity={"v.unique_values_eq": "quarantine"}),
    ),
    ("share is between", lambda: Block(share=5)),
    ("not negative", lambda: Block(rows=-1)),
    ("unknown option Config.verison.*'version'", lambda: define({"v": Field()}, {"v": str}, verison="1")),
    ("annotate each column", lambda: define({"v": Field()}, {"v": str}, dtype=str)),
    ("always leave", lambda: define({"v": Field()}, {"v": str}, drop_invalid_rows=True)),
    ("declare the column Optional", lambda: define({"v": Field()}, {"v": str}, add_missing_columns=True)),
    ("declare the column Optional", lambda: define({"v": Field()}, {"v": str}, on_missing_columns="add")),
    ("declare its levels as columns", lambda: define({"v": Field()}, {"v": str}, multiindex_unique=["v"])),
    ("read the data before", lambda: define({"v": Field()}, {"v": str}, from_format="csv")),
    ("parsers are not supported", lambda: define({"v": Field(), "p": parser("v")(lambda cls, v: v)}, {"v": str})),
    ("must be a RowCount", lambda: define({"v": Field()}, {"v": str}, row_count=7)),
    ("share is between", lambda: RowCount("t", share=7)),
    ("not negative", lambda: RowCount("t", rows=-7)),
    ("unknown format 'ibn'.*'iban'", lambda: one(format="ibn")),
    ("takes no parameter", lambda: one(format="iban:DE")),
    ("no known currency", lambda: one(format="money:EURO")),
    ("no known unit", lambda: one(format="unit:kilo")),
    ("whole date", lambda: one(format="date:%d.%m")),
    ("whole date", lambda: one(format="date:%d.%m.%y")),
    ("alpha-2", lambda: one(format="country:DE")),
    ("does not fit", lambda: one(int, format="iban")),
    ("unknown normal form 'uper'.*'upper'", lambda: one(normal="uper")),
    ("unknown order.*'increasing'", lambda: one(int, sequence="increasin")),
    ("within which rows", lambda: one(int, per="v")),
    ("unknown column 'w'", lambda: one(int, sequence="increasing", per="w")),
    ("unknown column 'w'", lambda: one(int, nullable=True, required_if={"w": 1})),
    ("name the values", lambda: one(int, nullable=True, required_if={"v": []})),
    ("does not fit", lambda: one(int, nullable=True, required_if={"v": "a"})),
    ("not a duration", lambda: define({"v": Field()}, {"v": str}, freshness="soon")),
    ("not a duration", lambda: define({"v": Field()}, {"v": str}, freshness="0d")),
    ("cannot be built", lambda: define({"v": 1}, {"v": str})),
    ("'v' and 'V' differ only in case", lambda: define({"v": Field(), "V": Field()}, {"v": str, "V": str})),
    (
        "two rules are called v.ge",
        lambda: define({"v": Field(ge=0), "r": rule(name="v.ge")(lambda cls: pl.col("v") > 1)}, {"v": int}),
    ),
    ("no columns", lambda: contract_info(type("Empty", (Contract,), {}))),
    ("a subclass of", lambda: contract_info(pa.DataFrameModel)),  # pyright: ignore[reportArgumentType] - the mistake
]


@pytest.mark.parametrize(("message", "make"), BAD, ids=[message for message, _ in BAD])
def test_bad_contract_is_refused_at_definition(message: str, make: Callable[[], object]) -> None:
    with pytest.raises(AssayError, match=f"(?s).*{message}"):
        make()


class Tickets(Contract):
    ticket_id: str = Field(key=True, str_matches=r"T[0-9]+$")
    at: Timestamp = Field()
    text: str = Field(nullable=True, pii="free_text", not_empty=True, no_email=True)
    channel: str = Field(isin={"email", "chat", "web"})

    class Config(Contract.Config):
        version = "1.2.0"
        owner = "support"
        freshness = "12h"
        severity: ClassVar = {"text.no_email": "warn", "at.dtype": Block(share=0.01)}

    @rule(severity="info")
    def known_long_ago(cls) -> pl.Expr:
        return pl.col("at").dt.year() > 2000


def test_contract_info() -> None:
    info = contract_info(Tickets)
    assert (info.name, info.version, info.owner, info.freshness) == ("Tickets", "1.2.0", "support", timedelta(hours=12))
    assert info.key == ("ticket_id",)
    assert [(column.name, column.dtype, column.nullable, column.pii) for column in info.columns] == [
        ("ticket_id", "String", False, None),
        ("at", "Datetime(time_unit='us', time_zone='UTC')", False, None),
        ("text", "String", True, "free_text"),
        ("channel", "String", False, None),
    ]


def test_rule_names_are_stable_and_in_order() -> None:
    assert [(rule.name, rule.column, str(rule.severity)) for rule in contract_rules(Tickets)] == [
        ("ticket_id.dtype", "ticket_id", "quarantine"),
        ("ticket_id.not_null", "ticket_id", "quarantine"),
        ("ticket_id.matches", "ticket_id", "quarantine"),
        ("ticket_id.unique", "ticket_id", "quarantine"),
        ("at.dtype", "at", "block"),
        ("at.not_null", "at", "quarantine"),
        ("text.dtype", "text", "quarantine"),
        ("text.not_empty", "text", "quarantine"),
        ("text.no_email", "text", "warn"),
        ("channel.dtype", "channel", "quarantine"),
        ("channel.not_null", "channel", "quarantine"),
        ("channel.isin", "channel", "quarantine"),
        ("known_long_ago", None, "info"),
    ]


def test_contract_inherits_options_and_columns() -> None:
    class Child(Tickets):
        extra: int = Field()

        class Config(Tickets.Config):
            version = "2"

    info = contract_info(Child)
    assert (info.name, info.version, info.owner) == ("Child", "2", "support")
    assert [column.name for column in info.columns][-1] == "extra"
    assert "known_long_ago" in [rule.name for rule in contract_rules(Child)]


def test_digest_follows_every_part_of_the_declaration() -> None:
    def digest(
        annotation: Any = int,
        bound: int = 0,
        expr: pl.Expr | None = None,
        field: dict[str, Any] | None = None,
        **config: Any,
    ) -> str:
        check = rule(name="r")(lambda cls: pl.col("v") > 1 if expr is None else expr)
        return contract_info(
            define({"v": Field(ge=bound, **(field or {})), "r": check}, {"v": annotation}, **config)
        ).digest

    variants = [
        digest(),
        digest(float),
        digest(bound=1),
        digest(expr=pl.col("v") > 2),
        digest(expr=pl.col("v").is_in([*range(100), 7])),
        digest(expr=pl.col("v").is_in([*range(100), 8])),
        digest(field={"ignore_na": False}),
        digest(field={"sequence": "increasing"}),
        digest(field={"sequence": "decreasing"}),
        digest(field={"nullable": True, "required_if": {"v": 1}}),
        digest(field={"nullable": True, "required_if": {"v": 2}}),
        digest(ordered=True),
        digest(row_count=RowCount("t")),
        digest(row_count=RowCount("t", rows=1)),
        digest(version="2"),
        digest(owner="me"),
        digest(freshness="1d"),
        digest(strict=True),
        digest(severity={"v.ge": "warn"}),
        digest(severity={"v.ge": Block(rows=1)}),
    ]
    assert len(set(variants)) == len(variants)
    assert digest() == variants[0]
    assert contract_info(one(alias="v", regex=True)).digest != contract_info(one()).digest


def test_digest_sees_the_source_of_custom_checks() -> None:
    def custom(bound: int) -> str:
        body = "lambda cls, data: data.lazyframe.select(pl.col(data.key) > {})"
        check = pa.check("v", name="c")(eval(body.format(bound), {"pl": pl}))
        return contract_info(define({"v": Field(), "c": check}, {"v": int})).digest

    assert custom(1) != custom(2)
    assert custom(1) == custom(1)


def test_digest_is_the_same_in_every_process() -> None:
    program = (
        "from assay.checks import *\n"
        "class C(Contract):\n"
        "    v: str = Field(isin={'email', 'chat', 'web', 'phone'}, key=True)\n"
        "print(contract_info(C).digest)"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1


def test_contract_works_in_other_threads() -> None:
    frame = pl.DataFrame(
        {"ticket_id": ["T1", "T1"], "at": ["2026-01-01T00:00:00Z"] * 2, "text": ["a", "b"], "channel": ["web"] * 2}
    )
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(validate, frame, Tickets).result()
        assert outcome.quarantined["_rules"].to_list() == [["ticket_id.unique"]]
        with pytest.raises(pa.errors.SchemaErrors):
            pool.submit(Tickets.validate, outcome.quarantined.vstack(outcome.quarantined), lazy=True).result()


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("_id: str = Field(key=True)", "_id"),
        ("__status: str = Field()", "__status"),
        ("_bare: str", "_bare"),
    ],
)
def test_an_attribute_that_pandera_would_leave_out_is_refused(body: str, name: str) -> None:
    source = f"class Shop(Contract):\n    x: int = Field()\n    {body}\n"
    with pytest.raises(AssayError, match=rf"Shop\.{name}: .*Field\(alias='{name}'\)"):
        exec(source, {"Contract": Contract, "Field": Field, "__name__": "anywhere"})


def test_what_is_no_column_may_begin_with_an_underscore() -> None:
    class Fine(Contract):
        x: int = Field()
        _limit: ClassVar[int] = 3

    assert validate(pl.DataFrame({"x": [1]}), Fine).clean.columns == ["x"]
