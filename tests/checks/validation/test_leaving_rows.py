"""The names of the rules that rows break: any number of rules and rows, of which few or all are different."""

from pathlib import Path

import polars as pl
import pytest

from assay.checks import Contract, Field, validate, validate_spilled
from assay.checks.validation import leaving_rows


@pytest.mark.parametrize("rules", [1, 3, 64, 65, 130])
@pytest.mark.parametrize("many", [False, True])
def test_names_are_those_of_the_broken_rules(
    rules: int, many: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if many:
        monkeypatch.setattr(leaving_rows, "_FEW", 0)
    names = [f"c{number:03d}" for number in range(rules)]
    contract = type(
        "Wide", (Contract,), {"__annotations__": dict.fromkeys(names, int)} | {name: Field(ge=0) for name in names}
    )
    number = pl.int_range(500)
    frame = pl.select(
        pl.when(number.hash(seed=index) % 7 < index % 3).then(-1).otherwise(1).alias(name)
        for index, name in enumerate(names)
    )
    outcome = validate(frame, contract)
    broken = [[f"{name}.ge" for name, value in row.items() if value < 0] for row in frame.iter_rows(named=True)]
    assert outcome.quarantined["_rules"].to_list() == [names for names in broken if names]
    monkeypatch.setattr("assay.checks.validation.blocks.ROWS", 100)
    spilled = validate_spilled(frame, contract, tmp_path).quarantined
    assert spilled.collect().equals(outcome.quarantined)
    assert spilled.select("_rules").collect().equals(outcome.quarantined.select("_rules"))
    assert spilled.select(names[0]).collect().equals(outcome.quarantined.select(names[0]))
    assert spilled.select(pl.len()).collect().item() == outcome.quarantined.height


class Noted(Contract):
    note: str
    n: int = Field(ge=0)


def test_the_few_rows_that_leave_blocks_do_not_keep_the_texts_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow")  # it shows what memory a column holds, which Polars does not say
    monkeypatch.setattr("assay.checks.validation.blocks.ROWS", 1000)
    number = pl.int_range(5000)
    batch = pl.select(
        note=pl.format("{}{}", pl.lit("x" * 100), number), n=pl.when(number % 100 == 0).then(-1).otherwise(1)
    )
    outcome = validate(batch, Noted)
    quarantined = validate_spilled(batch, Noted, tmp_path).quarantined.collect()
    assert quarantined.equals(outcome.quarantined) and quarantined.height == 50
    held = quarantined["note"].to_arrow(compat_level=pl.CompatLevel.newest()).nbytes
    assert held < 20_000  # all texts have half a million bytes
