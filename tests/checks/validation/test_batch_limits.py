"""How much of a batch may be quarantined: by default, by a contract, by a rule; and nonsense is refused."""

import pytest

from assay.checks import Contract, Field, QuarantineLimits, contract_info, quarantined
from assay.errors import AssayError


@pytest.mark.parametrize(
    ("rows", "held", "status"),
    [
        (100, 10, "passed"),
        (100, 11, "warned"),
        (100, 50, "warned"),
        (100, 51, "blocked"),
        (0, 0, "passed"),
        (9, 4, "passed"),
        (9, 9, "warned"),
        (10, 6, "blocked"),
    ],
)
def test_a_share_warns_and_a_larger_one_stops_the_batch(rows: int, held: int, status: str) -> None:
    assert quarantined(rows, held, QuarantineLimits()).status == status


def test_limits_are_declared_and_none_of_them_is_no_limit() -> None:
    assert quarantined(100, 100, QuarantineLimits(warn=None, block=None)).status == "passed"
    assert quarantined(3, 1, QuarantineLimits(block=0.0, rows=0)).status == "blocked"


def test_a_contract_has_the_default_limits_or_its_own() -> None:
    class Plain(Contract):
        n: int = Field(ge=0)

    class Strict(Contract):
        n: int = Field(ge=0)

        class Config(Contract.Config):
            quarantine = QuarantineLimits(block=0.2, rules={"n.ge": 0.01})

    assert contract_info(Plain).quarantine == QuarantineLimits()
    assert contract_info(Strict).quarantine.block == 0.2


def test_what_cannot_be_a_limit_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(AssayError, match="block = 50 is not a share"):
        QuarantineLimits(block=50)
    with pytest.raises(AssayError, match=r"unknown rule 'n\.gee'\. Did you mean 'n\.ge'"):

        class Misspelt(Contract):
            n: int = Field(ge=0)

            class Config(Contract.Config):
                quarantine = QuarantineLimits(rules={"n.gee": 0.1})

    with pytest.raises(AssayError, match="must be QuarantineLimits"):

        class Number(Contract):
            n: int = Field(ge=0)

            class Config(Contract.Config):
                quarantine = 0.5


def test_rows_that_left_for_other_batches_warn_and_never_stop() -> None:
    assert quarantined(100, 100, QuarantineLimits(), elsewhere=60).status == "warned"
    assert quarantined(100, 100, QuarantineLimits(), elsewhere=49).status == "blocked"
    assert quarantined(100, 8, QuarantineLimits(), elsewhere=8).status == "passed"
