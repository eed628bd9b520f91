"""One scan: whatever a contract demands, the batch is read once. Counted at the source."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pandera.polars as pa
import polars as pl
import pytest
from polars.io.plugins import register_io_source

from assay.checks import Contract, Field, rule, validate, validate_spilled
from assay.checks.validation import blocks
from assay.errors import AssayError

PAIR = ["shop", "number"]
ROWS = pl.DataFrame(
    {
        "id": ["a", "b", "c", "a"],
        "shop": ["x", "y", "y", "x"],
        "number": ["1", "2", "2", "no"],
        "amount": ["1.5", "nan", "-1", "3"],
        "name": ["ACME Ltd", "Acme Limited", None, "Beta"],
    }
)


class OneRule(Contract):
    id: str = Field(nullable=True)

    class Config(Contract.Config):
        severity: ClassVar = {"id.dtype": "warn"}


class ManyRules(Contract):
    id: str = Field(key=True, str_matches="[a-z]$", str_length={"max_value": 9})
    shop: str = Field(exists_in="shops", isin=["x", "y"])
    number: int = Field(ge=0, in_range=(0, 9))
    amount: float = Field(ge=0, lt=1e6, ne=7.0)
    name: str = Field(nullable=True, canonical_unique="shop", no_email=True)

    class Config(Contract.Config):
        unique = PAIR

    @rule(name="above_mean")
    def above_mean(cls) -> pl.Expr:
        return pl.col("amount") >= pl.col("amount").mean() / 100

    @pa.check("number")
    @classmethod
    def few(cls, data: pa.PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(pl.col(data.key) < 100)

    @pa.check("amount")
    @classmethod
    def moderate(cls, data: pa.PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(pl.col(data.key).sum() < 1000)


class Counted:
    """A frame that counts how often it is read."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.reads = 0
        self._frame = frame
        self.lazy = register_io_source(self._batches, schema=frame.schema, validate_schema=True)

    def _batches(
        self, columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, size: int | None
    ) -> Iterator[pl.DataFrame]:
        self.reads += 1
        for start in range(0, self._frame.height, 2):
            part = self._frame[start : start + 2].select(columns or pl.all())
            yield part if predicate is None else part.filter(predicate)


def spilled(frame: pl.LazyFrame, contract: type[Contract], folder: Path, **given: Any) -> Any:
    return validate_spilled(frame, contract, folder, **given)


def in_memory(frame: pl.LazyFrame, contract: type[Contract], folder: Path, **given: Any) -> Any:
    return validate(frame, contract, **given)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("run", [in_memory, spilled])
@pytest.mark.parametrize(("contract", "rules"), [(OneRule, 1), (ManyRules, 16)])
def test_the_batch_is_read_once(run: Callable[..., Any], contract: type[Contract], rules: int, tmp_path: Path) -> None:
    source, shops = Counted(ROWS), Counted(pl.DataFrame({"shop": ["x", "y"]}))
    outcome = run(source.lazy, contract, tmp_path, lookup_tables={"shops": shops.lazy}, published=ROWS[:0].lazy())
    assert outcome.clean.lazy().collect().height + outcome.quarantined.lazy().collect().height == ROWS.height
    assert len(outcome.report.rules) >= rules
    assert all(result.evaluated for result in outcome.report.rules)
    assert source.reads == 1
    assert shops.reads == (1 if contract is ManyRules else 0)


def test_the_counting_source_notices_a_second_scan() -> None:
    source = Counted(ROWS)
    source.lazy.select("id").collect()
    source.lazy.select("shop").collect()
    assert source.reads == 2


@pytest.mark.parametrize("rows", [2, 100])
def test_a_folder_holds_one_batch(rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "ROWS", rows)
    outcome = validate_spilled(ROWS, ManyRules, tmp_path, lookup_tables={"shops": pl.DataFrame({"shop": ["x"]})})
    before = outcome.quarantined.collect()
    with pytest.raises(AssayError, match="holds a batch already"):
        validate_spilled(ROWS[:1], ManyRules, tmp_path)
    assert outcome.quarantined.collect().equals(before)


@pytest.mark.usefixtures("small_blocks")
def test_only_the_owner_may_read_a_spilled_batch(tmp_path: Path) -> None:
    validate_spilled(ROWS, OneRule, tmp_path)
    assert {file.stat().st_mode & 0o077 for file in tmp_path.rglob("*") if file.is_file()} == {0}
