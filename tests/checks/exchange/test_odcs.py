"""Contracts as ODCS documents, and back."""

from datetime import date, timedelta
from typing import Any

import jsonschema_rs
import polars as pl
import pytest
import yaml
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from assay.checks import (
    Block,
    Contract,
    Field,
    QuarantineLimits,
    Timestamp,
    contract_info,
    from_odcs,
    to_odcs,
    validate,
)
from assay.checks.contract.contract import compiled
from assay.checks.contract.field import RowCount
from assay.checks.exchange.compare import compare_contracts
from assay.checks.exchange.to_python import to_source
from assay.errors import AssayError
from tests.checks.exchange.kinds import CONTRACTS, Forms, Promises, Texts, rules


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.__name__)
def test_round_trip(contract: type[Contract]) -> None:
    text = to_odcs(contract)
    back = from_odcs(text)
    assert compiled(back).columns == compiled(contract).columns
    assert compiled(back).strict == compiled(contract).strict
    assert rules(back) == rules(contract)
    assert compare_contracts(contract, back) == compare_contracts(back, contract) == []
    one, other = contract_info(contract), contract_info(back)
    assert (one.name, one.version, one.owner, one.freshness, one.key, one.quarantine) == (
        other.name,
        other.version,
        other.owner,
        other.freshness,
        other.key,
        other.quarantine,
    )
    # A set of values has no order, so its contract reads back as that with a list of them.
    assert other.digest == one.digest or contract in (Texts,)
    assert contract_info(from_odcs(to_odcs(back))).digest == other.digest
    assert yaml.safe_load(to_odcs(back)) == yaml.safe_load(text)


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.__name__)
def test_a_document_is_valid_by_the_standards_schema(
    contract: type[Contract], official: jsonschema_rs.Validator
) -> None:
    document = yaml.safe_load(to_odcs(contract))
    assert [(error.message, list(error.instance_path)) for error in official.iter_errors(document)] == []
    document["schema"][0]["logicalType"] = "thing"
    assert not official.is_valid(document)


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.__name__)
def test_a_contract_becomes_source_that_declares_it(contract: type[Contract]) -> None:
    source = to_source(from_odcs(to_odcs(contract)))
    module: dict[str, Any] = {"__name__": "imported"}
    exec(compile(source, "imported.py", "exec"), module)
    back = module[contract_info(contract).name]
    assert rules(back) == rules(contract)
    assert contract_info(back).quarantine == contract_info(contract).quarantine
    assert compare_contracts(contract, back) == compare_contracts(back, contract) == []


def test_a_beginning_is_kept_and_is_no_part_of_the_digest() -> None:
    class Orders(Contract):
        order: str = Field(key=True)

        class Config(Contract.Config):
            since = date(2026, 10, 1)

    back = from_odcs(to_odcs(Orders))
    assert contract_info(back).since == contract_info(Orders).since == date(2026, 10, 1)
    assert contract_info(back).digest == contract_info(Orders).digest
    module: dict[str, Any] = {"__name__": "imported"}
    exec(compile(to_source(back), "imported.py", "exec"), module)
    assert contract_info(module["Orders"]).since == date(2026, 10, 1)


def test_every_type_is_among_them() -> None:
    kinds = {type(column.dtype) for contract in CONTRACTS for column in compiled(contract).columns}
    known = {kind for kind in vars(pl).values() if isinstance(kind, type) and issubclass(kind, pl.DataType)}
    unsupported = {
        "Int128",
        "UInt128",
        "Float16",
        "Null",
        "Object",
        "Unknown",
        "Field",
        "BaseExtension",
        "Extension",
        "Map",
    }
    assert {kind.__name__ for kind in known - kinds - {pl.DataType}} <= unsupported


def test_the_form_of_all_columns_is_written_once() -> None:
    text, source = to_odcs(Forms), to_source(Forms)
    assert text.count("assay.decimal") == text.count("assay.false_values") + 1 == 2
    assert (source.count("decimal = "), source.count("decimal=")) == (1, 1)


def test_an_imported_contract_works() -> None:
    batch = pl.DataFrame(
        {"v": ["1", "12", "x"], "w": [0.5, -1.0, None], "at": ["2026-01-01T00:00:00Z"] * 3}
    ).with_columns(partition_key=pl.lit("2025-12-31"))
    outcomes = [validate(batch, contract) for contract in (Promises, from_odcs(to_odcs(Promises)))]
    counts = [{r.name: (r.status, r.invalid, r.unknown) for r in outcome.report.rules} for outcome in outcomes]
    assert counts[0] == counts[1]
    assert counts[0]["late"] == ("blocked", 3, 0)


TEXT = st.text(max_size=6)
WORDS = st.dictionaries(
    st.text("abcXYZ_.", min_size=1, max_size=8),
    st.integers(-9, 9) | TEXT | st.lists(TEXT, max_size=2) | st.dictionaries(TEXT, st.booleans(), max_size=2),
    max_size=3,
)
NUMBERS = {"ge": st.integers(-9, 0), "lt": st.integers(1, 9), "ne": st.just(3), "raise_warning": st.booleans()}
NUMBERS |= {"notin": st.lists(st.integers(20, 30), min_size=1, max_size=3)}
TEXTS = {
    # In normal form: a list that `normal` refuses as a whole is a contradiction.
    "isin": st.lists(st.text("aÄß7-;#'\"\\", min_size=1, max_size=5), min_size=1, max_size=4),
    "not_empty": st.booleans(),
    "no_email": st.booleans(),
    "pii": st.sampled_from(["name", "email", "free_text"]),
    "normal": st.sampled_from(["nfc", ["nfc", "spaces"]]),
    "exists_in": st.sampled_from(["clean/t", "clean/t.id", "t.id"]),
    "canonical_unique": st.just("a"),
}
FORMATS = ["date", "date:%d.%m.%Y", "iban", "phone", "phone:DE", "stdnum:isbn", "money:EUR"]
LENGTH = {"str_length": st.fixed_dictionaries({"min_value": st.integers(0, 2), "max_value": st.integers(3, 9)})}
PATTERNS = {
    "str_matches": st.sampled_from(["a|b", "[a-z]+$"]),
    "str_contains": st.sampled_from(["x", "^(?:x)", "^(?:x)|y"]),
    "str_startswith": TEXT,
    "str_endswith": TEXT,
}
NESTED = [pl.Date, Timestamp, bool, pl.List(pl.String), pl.Struct({"a": pl.Int8}), pl.Array(pl.Float32, 2)]
COLUMN = st.one_of(
    st.tuples(st.sampled_from([pl.Int64, pl.Int8, pl.Float64, pl.UInt32]), st.fixed_dictionaries({}, optional=NUMBERS)),
    st.tuples(st.just(str), st.fixed_dictionaries({}, optional=TEXTS)),
    st.tuples(st.just(str), st.fixed_dictionaries({"format": st.sampled_from(FORMATS)})),
    st.tuples(st.just(str), st.fixed_dictionaries(LENGTH, optional=PATTERNS)),
    st.tuples(st.sampled_from(NESTED), st.just({})),
)
PROSE = {"title": TEXT, "description": TEXT, "metadata": WORDS}
SAID = st.fixed_dictionaries({"nullable": st.booleans()}, optional={"coerce": st.booleans(), **PROSE})
OPTIONS = {
    "version": st.from_regex("[1-9][.][0-9]", fullmatch=True),
    "owner": st.text(min_size=1, max_size=5),
    "freshness": st.sampled_from(
        ["24h", "1d", "90m", "2w", *(timedelta(minutes=minutes) for minutes in (1440, 90, 0.5))]
    ),
    "strict": st.sampled_from([True, "filter"]),
    "ordered": st.booleans(),
    "row_count": st.just(RowCount("raw/t", share=0.5)),
    "quarantine": st.just(QuarantineLimits(block=0.2, rules={"a.dtype": 0.1})),
    "severity": st.sampled_from([{}, {"a.dtype": "warn"}, {"a.dtype": Block(share=0.1)}, {"a.not_null": "info"}]),
}


@settings(
    max_examples=40, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)  # contracts shrink slowly
@given(st.lists(st.tuples(COLUMN, SAID), max_size=4), st.fixed_dictionaries({}, optional={**OPTIONS, **PROSE}))
def test_any_contract_reads_back_with_the_same_digest(columns: list[Any], options: dict[str, Any]) -> None:
    annotations: dict[str, Any] = {"a": str}
    body: dict[str, Any] = {"a": Field(key=True)}
    for name, ((kind, rules_of), words) in zip("bcde", columns, strict=False):
        annotations[name], body[name] = kind, Field(**rules_of, **words)
    config = type("Config", (Contract.Config,), options)
    try:
        made = type(
            "Made", (Contract,), {"__annotations__": annotations, "__module__": __name__, "Config": config, **body}
        )
    except AssayError as problem:
        assume("contradictory rules" not in str(problem))
        raise
    text = to_odcs(made)
    back = from_odcs(text)
    assert contract_info(back).digest == contract_info(made).digest
    assert rules(back) == rules(made)
    assert to_odcs(back) == text
