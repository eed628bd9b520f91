"""Columns against columns, row counts against history."""

import pytest

from assay.checks import SchemaDiff, Severity, compare_columns, volume
from assay.errors import AssayError

EXPECTED = {"event_id": "String", "customer_id": "String", "amount": "Float64", "created_at": "Datetime"}


def test_same_columns_in_another_order() -> None:
    assert not compare_columns(EXPECTED, dict(reversed(EXPECTED.items())))


@pytest.mark.parametrize(
    ("old", "new"),
    [("amount", "amount_eur"), ("customer_id", "cust_id"), ("customer_id", "CustomerId"), ("created_at", "createdat")],
)
def test_renamed_column_has_a_partner(old: str, new: str) -> None:
    delivered = {new if name == old else name: dtype for name, dtype in EXPECTED.items()}
    for types in (delivered, dict.fromkeys(delivered, "String")):
        drift = compare_columns(EXPECTED, types)
        assert (drift.missing, drift.unexpected) == ((old,), (new,))
        assert [pair[:2] for pair in drift.renamed] == [(old, new)]
        assert 0.6 <= drift.renamed[0][2] <= 1


def test_unlike_columns_are_not_partners() -> None:
    delivered = {**EXPECTED, "weather": "Float64"}
    del delivered["amount"]
    assert compare_columns(EXPECTED, delivered) == SchemaDiff(("amount",), ("weather",), (), ())


def test_each_column_has_at_most_one_partner_and_the_best() -> None:
    drift = compare_columns(
        {"amount": "Float64", "amount_net": "Float64"}, {"amount_nett": "Float64", "amounts": "Float64"}
    )
    assert [pair[:2] for pair in drift.renamed] == [("amount_net", "amount_nett"), ("amount", "amounts")]


def test_retyped_columns() -> None:
    drift = compare_columns(EXPECTED, {**EXPECTED, "amount": "Int64", "created_at": "String"})
    assert drift.retyped == (("amount", "Float64", "Int64"),)
    assert drift


@pytest.mark.parametrize(
    ("rows", "status"),
    [(100, "passed"), (500, "passed"), (501, "warned"), (20, "passed"), (19, "warned"), (0, "warned")],
)
def test_volume(rows: int, status: str) -> None:
    result = volume(rows, [90, 100, 100, 110, 5000])
    assert (result.name, result.severity, result.status) == ("volume", Severity.WARN, status)


def test_volume_needs_history_and_a_sensible_ratio() -> None:
    result = volume(100, [100] * 4)
    assert (result.status, result.evaluated, result.unknown) == ("unknown", 0, 1)
    assert volume(250, [100] * 5, ratio=2).status == "warned"
    with pytest.raises(AssayError, match="greater than 1"):
        volume(1, [1] * 5, ratio=0.5)
