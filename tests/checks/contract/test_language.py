"""What the contract language says beyond pandera: formats, normal forms, required if, sequences, row counts, column order."""

from typing import Any, ClassVar

import pandera.polars as pa
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.checks import ColumnsError, Contract, Field, RowCount, canonical_spellings, validate
from assay.checks.text.codes import IBAN_LENGTHS
from assay.checks.text.normalization import NORMAL_FORMS
from assay.errors import AssayError


def text_contract(**options: Any) -> type[Contract]:
    return type("One", (Contract,), {"__annotations__": {"v": str}, "v": Field(nullable=True, **options)})


def left(frame: pl.DataFrame, contract: type[Contract], **kwargs: Any) -> dict[int, list[str]]:
    """Position -> rules, of the rows that leave."""
    numbered = frame.with_columns(_row_number=pl.int_range(pl.len()))
    return dict(validate(numbered, contract, **kwargs).quarantined.select("_row_number", "_rules").iter_rows())


FORMATS = [
    ("date", ["2026-02-28"], ["2026-02-30", "28.02.2026", "2026-2-3", "2026-02-28T00:00", ""]),
    ("date:%d.%m.%Y", ["28.02.2026"], ["2026-02-28", "1.2.2026", "31.02.2026", "28.02.26"]),
    ("money", ["12.50 EUR", "EUR 12", "-1,234,567.8USD", "100 JPY", "1.125 BHD"], ["12.5", "12,50 EUR", "1 EURO", "1 XYZ"]),
    ("money", ["0 EUR"], ["1.5 JPY", "1.125 EUR", "12,34.5 EUR", "EUR 1 EUR", " 1 EUR", "1 eur", "€1"]),
    ("money:EUR,CHF", ["1 EUR", "CHF 2"], ["1 USD"]),
    ("unit", ["12.5 kg", "3°C", "-1e3 Pa", "80 km/h", "5 %"], ["12", "kg", "12 KG", "1,5 kg", "5  m", "5 m "]),
    ("unit:kg,g", ["1 g"], ["1 m"]),
    ("country", ["DE", "GB"], ["de", "UK", "DEU", "Germany", ""]),
    ("country:alpha3", ["DEU"], ["DE", "GER"]),
    ("currency", ["EUR"], ["eur", "EURO", "€"]),
    ("currency:EUR,USD", ["USD"], ["GBP"]),
    ("email", ["jo@example.com", "a.b+c@sub.example.co", "jö@exämple.de"], ["jo@example", "a..b@example.com", ".a@example.com"]),
    ("email", ["x" * 64 + "@example.com"], ["x" * 65 + "@example.com", "a@b.c", "a@-b.com", "a b@c.de", "a@b.de\n", "@b.de"]),
    ("phone", ["+49 30 1234567", "+1 (212) 555-0100", "+442071838750"], ["030 1234567", "0049301234567", "+0123456789"]),
    ("phone", ["+1234567"], ["+123456", "+1234567890123456", "+49 30 CALL"]),
    # The examples of the IBAN registry, and the same with one digit changed, two swapped, a wrong length, a wrong case.
    ("iban", ["DE89370400440532013000", "GB29NWBK60161331926819", "MT84MALT011000012345MTLCAST001S", "NO9386011117947"], []),
    ("iban", ["DE89 3704 0044 0532 0130 00", "FR1420041010050500013M02606"], ["DE8937040044 0532013000"]),
    ("iban", [], ["DE88370400440532013000", "DE89370400440532010300", "DE8937040044053201300", "de89370400440532013000"]),
    ("iban", [], ["ZZ89370400440532013000", "DE89370400440532013000 ", "", "DE"]),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "valid", "invalid"), FORMATS)
def test_format(spec: str, valid: list[str], invalid: list[str]) -> None:
    values = [*valid, *invalid, None]
    expected = {len(valid) + index: ["v.format"] for index in range(len(invalid))}
    assert left(pl.DataFrame({"v": values}, schema={"v": pl.String}), text_contract(format=spec)) == expected


ALNUM = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@settings(max_examples=12)
@given(st.sampled_from(sorted(IBAN_LENGTHS)), st.data())
def test_iban_check_digits_equal_plain_arithmetic(country: str, data: st.DataObject) -> None:
    size = IBAN_LENGTHS[country] - 4
    account = data.draw(st.text(ALNUM, min_size=size, max_size=size))
    number = int("".join(str(int(char, 36)) for char in account + country + "00"))
    digits = f"{98 - number % 97:02}"
    others = [f"{country}{other:02}{account}" for other in range(2, 99) if f"{other:02}" != digits]
    frame = pl.DataFrame({"v": [f"{country}{digits}{account}", *others]})
    assert validate(frame, text_contract(format="iban")).clean["v"].to_list() == [f"{country}{digits}{account}"]


class Customers(Contract):
    id: int = Field(key=True)
    name: str = Field(nullable=True, normal=("nfc", "spaces"))
    country: str = Field(nullable=True, format="country", normal="code")
    iban: str = Field(nullable=True, format="iban")
    phone: str = Field(nullable=True, normal="phone")
    mail: str = Field(nullable=True, normal="email")


def test_normal_forms_are_proposed_and_never_applied() -> None:
    frame = pl.DataFrame(
        {
            "id": [1, 2, 3],
            "name": [" Jo  Do ", "Jo", "Zoe\u0308"],
            "country": ["de", "DE", None],
            "iban": ["DE89 3704 0044 0532 0130 00", None, "nonsense"],
            "phone": ["0049 (30) 12", None, "+4930"],
            "mail": [" Jo@Example.COM", "Jo@example.com", "no address"],
        }
    )
    outcome = validate(frame, Customers)
    assert outcome.quarantined["_rules"].to_list() == [
        ["name.normal", "country.format", "country.normal", "phone.normal", "mail.normal"],
        ["name.normal", "iban.format"],
    ]
    results = {result.name: result for result in outcome.report.rules}
    assert (results["name.normal"].status, results["name.normal"].invalid) == ("warned", 2)
    assert outcome.quarantined.drop("_rules").equals(frame[[0, 2]])
    proposed = canonical_spellings(outcome.quarantined, Customers)
    assert proposed.drop("_proposed").equals(outcome.quarantined)
    nothing = dict.fromkeys(["name", "country", "iban", "phone", "mail"])
    assert proposed["_proposed"].to_list() == [
        {
            "name": "Jo Do",
            "country": "DE",
            "iban": "DE89370400440532013000",
            "phone": "+493012",
            "mail": "Jo@example.com",
        },
        nothing | {"name": "Zo\u00eb"},
    ]
    assert canonical_spellings(outcome.clean, Customers).is_empty()


CHARACTERS = st.text(st.sampled_from("aB0+@ .-&'\t\u00a0\u00e9e\u0301\u00df\u0130\ufb01ltdco"), max_size=12)


@pytest.mark.parametrize("form", list(NORMAL_FORMS))
@settings(max_examples=12)
@given(texts=st.lists(CHARACTERS, min_size=20, max_size=20))
def test_what_is_proposed_is_in_normal_form(form: str, texts: list[str]) -> None:
    frame = pl.DataFrame({"v": texts})
    proposed = canonical_spellings(frame, text_contract(normal=form))
    spelling = proposed["_proposed"].struct.field("v")
    assert (spelling != proposed["v"]).all()
    results = validate(spelling.to_frame(), text_contract(normal=form)).report.rules
    assert results[-1].invalid == 0
    # The others are in normal form already.
    assert validate(frame, text_contract(normal=form)).report.rules[-1].invalid == proposed.height


def test_proposals_of_a_contract_without_any() -> None:
    assert canonical_spellings(pl.DataFrame({"v": [" a "]}), text_contract()).is_empty()


class Parcels(Contract):
    status: str = Field(nullable=True)
    country: str = Field(nullable=True)
    shipped: int = Field(nullable=True, required_if={"status": ["sent", "back"]})
    customs: str = Field(nullable=True, required_if={"status": "sent", "country": "CH"})


def test_required_if() -> None:
    frame = pl.DataFrame(
        {
            "status": ["sent", "sent", "open", None, "back", "sent"],
            "country": ["DE", "CH", "CH", "CH", "CH", None],
            "shipped": ["1", None, None, None, None, "x"],
            "customs": [None, None, None, None, None, None],
        }
    )
    outcome = validate(frame, Parcels)
    assert outcome.quarantined["_rules"].to_list() == [
        ["shipped.required_if", "customs.required_if"],
        ["shipped.required_if"],
        ["shipped.dtype"],
    ]
    with pytest.raises(pa.errors.SchemaError):
        Parcels.validate(frame.with_columns(pl.lit(None, dtype=pl.Int64).alias("shipped")))


READINGS = st.lists(
    st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from(["1", "2", "3", "x", None]), st.booleans()),
    max_size=10,
)
COMPARE = {
    "increasing": lambda now, before: now >= before,
    "strictly_increasing": lambda now, before: now > before,
    "decreasing": lambda now, before: now <= before,
    "strictly_decreasing": lambda now, before: now < before,
    "consecutive": lambda now, before: now == before + 1,
}


@pytest.mark.parametrize("order", list(COMPARE))
@pytest.mark.parametrize("per", [(), ("device",)])
@settings(max_examples=12)
@given(rows=READINGS)
def test_sequences_equal_a_walk_row_by_row(order: str, per: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    body = {"device": Field(nullable=True), "v": Field(nullable=True, sequence=order, per=per)}
    contract = type("Readings", (Contract,), {"__annotations__": {"device": str, "v": int}, **body})
    last: dict[Any, int] = {}
    expected: dict[int, list[str]] = {}
    unknown = 0
    for index, (device, text, defect) in enumerate(rows):
        unknown += text == "x" or defect
        if defect:
            expected[index] = ["row.unparsable"]
        elif text == "x":
            expected[index] = ["v.dtype"]
        elif text is not None and (device is not None or not per):
            group = device if per else ""
            if group in last and not COMPARE[order](int(text), last[group]):
                expected[index] = ["v.sequence"]
            last[group] = int(text)
    frame = pl.DataFrame(
        [(device, text, "unparsable" if defect else None) for device, text, defect in rows],
        schema=dict.fromkeys(["device", "v", "_defect"], pl.String),
        orient="row",
    )
    assert left(frame, contract) == expected
    result = next(result for result in validate(frame, contract).report.rules if result.name == "v.sequence")
    assert result.unknown == unknown


def test_pandera_by_itself_knows_sequences() -> None:
    contract = type(
        "Steps", (Contract,), {"__annotations__": {"v": int}, "v": Field(sequence="increasing", nullable=True)}
    )
    contract.validate(pl.DataFrame({"v": [1, None, 2]}))
    with pytest.raises(pa.errors.SchemaError):
        contract.validate(pl.DataFrame({"v": [2, None, 1]}))


class Counted(Contract):
    v: int = Field()

    class Config(Contract.Config):
        row_count = RowCount("raw/orders", share=0.1)


@pytest.mark.parametrize(
    ("counted", "status", "unknown"),
    [(10, "passed", 0), (11, "passed", 0), (12, "blocked", 0), (8, "blocked", 0), (None, "unknown", 1)],
)
def test_row_counts_are_reconciled(counted: int | None, status: str, unknown: int) -> None:
    frame = pl.DataFrame({"v": ["x", *map(str, range(9))]})
    outcome = validate(frame, Counted, counts={} if counted is None else {"raw/orders": counted})
    result = outcome.report.rules[-1]
    assert (result.name, result.status, result.unknown) == ("row_count", status, unknown)
    assert outcome.report.blocked == (status == "blocked")
    assert outcome.clean.height == 9


def test_row_count_tolerance_and_severity() -> None:
    class Warned(Contract):
        v: int = Field()

        class Config(Contract.Config):
            row_count = RowCount("t", rows=1)
            severity: ClassVar = {"row_count": "warn"}

    frame = pl.DataFrame({"v": [1, 2]})
    statuses = [validate(frame, Warned, counts={"t": n}).report.rules[-1].status for n in (1, 3, 4)]
    assert statuses == ["passed", "passed", "warned"]


def test_ordered_columns() -> None:
    class Ordered(Contract):
        a: int = Field()
        b: int = Field()
        c: int | None = Field()

        class Config(Contract.Config):
            ordered = True

    validate(pl.DataFrame({"_line": ["1"], "a": [1], "x": [0], "b": [2]}), Ordered)
    with pytest.raises(ColumnsError, match="come as b, a instead of a, b"):
        validate(pl.DataFrame({"b": [1], "a": [2]}), Ordered)


def test_strict_filter_keeps_the_contract_columns_only() -> None:
    class Filtered(Contract):
        v: int = Field()

        class Config(Contract.Config):
            strict = "filter"

    assert validate(pl.DataFrame({"v": [1], "w": [2]}), Filtered).clean.columns == ["v"]


class Sensors(Contract):
    id: int = Field(key=True)
    celsius: float = Field(alias=r"t_[0-9]+", regex=True, ge=-50, nullable=True)
    note: str | None = Field(alias=r"^note_.*$", regex=True, not_empty=True)

    class Config(Contract.Config):
        severity: ClassVar = {"t_[0-9]+.ge": "warn"}
        strict = True


def test_pattern_columns() -> None:
    frame = pl.DataFrame({"id": [1, 2], "t_1": ["1", "x"], "t_22": ["-99", None], "note_a": ["", "b"]})
    outcome = validate(frame, Sensors)
    assert outcome.quarantined["_rules"].to_list() == [["t_22.ge", "note_a.not_empty"], ["t_1.dtype"]]
    status = {result.name: result.status for result in outcome.report.rules}
    assert status["t_22.ge"] == "warned"
    assert status["t_1.not_nan"] == "passed"
    assert outcome.clean.columns == ["id", "t_1", "t_22", "note_a"]
    assert outcome.report.digest == validate(frame.drop("t_1"), Sensors).report.digest


def test_pattern_without_a_match() -> None:
    assert validate(pl.DataFrame({"id": [1], "t_1": [0.5]}), Sensors).clean.columns == ["id", "t_1"]
    with pytest.raises(ColumnsError, match="missing column 't_"):
        validate(pl.DataFrame({"id": [1], "note_a": ["b"]}), Sensors)
    with pytest.raises(ColumnsError, match="does not know the column 't_x'"):
        validate(pl.DataFrame({"id": [1], "t_1": [0.5], "t_x": [0.5]}), Sensors)


def test_two_patterns_for_one_column() -> None:
    class Twice(Contract):
        a: int = Field(alias="x.*", regex=True)
        b: int = Field(alias=".*y", regex=True)

    assert validate(pl.DataFrame({"x1": [1], "1y": [1]}), Twice).clean.height == 1
    with pytest.raises(AssayError, match="two patterns match the column 'xy'"):
        validate(pl.DataFrame({"xy": [1]}), Twice)


BOUNDS = st.integers(-2, 2)
NUMBERS = st.fixed_dictionaries(
    {},
    optional={
        "ge": BOUNDS,
        "gt": BOUNDS,
        "le": BOUNDS,
        "lt": BOUNDS,
        "ne": BOUNDS,
        "isin": st.lists(BOUNDS, min_size=1),
        "notin": st.lists(BOUNDS, min_size=1),
        "in_range": st.tuples(BOUNDS, BOUNDS, st.booleans(), st.booleans()).filter(lambda ends: ends[0] < ends[1]),
    },
)


def meets(value: float, rules: dict[str, Any]) -> bool:
    low, high, with_low, with_high = rules.get("in_range", (-9, 9, True, True))
    return (
        value >= rules.get("ge", -9)
        and value > rules.get("gt", -9)
        and value <= rules.get("le", 9)
        and value < rules.get("lt", 9)
        and value != rules.get("ne")
        and value in rules.get("isin", [value])
        and value not in rules.get("notin", [])
        and (low < value or (with_low and low == value))
        and (value < high or (with_high and high == value))
    )


@given(NUMBERS)
def test_a_contract_is_contradictory_when_no_number_meets_it(rules: dict[str, Any]) -> None:
    # Between neighbouring bounds lies a half. One point left by two bounds and taken away by `ne` or `notin` is not looked for.
    tries = [step / 2 for step in range(-16, 17)]
    inner = rules if "isin" in rules else {name: rule for name, rule in rules.items() if name not in ("ne", "notin")}
    possible = any(meets(number, inner) for number in tries)
    definition = {"__annotations__": {"v": float}, "v": Field(nullable=True, **rules)}
    if possible:
        frame = pl.DataFrame({"v": tries})
        clean = validate(frame, type("Numbers", (Contract,), definition)).clean["v"].to_list()
        assert clean == [number for number in tries if meets(number, rules)]
    else:
        with pytest.raises(AssayError, match="contradictory rules"):
            type("Numbers", (Contract,), definition)
