"""The same text as `repr`, but for sets; and the digest of every kind of declaration is the same in every process."""

import os
import subprocess
import sys
from collections import namedtuple
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from assay.stable_text import stable_text

ATOMS = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.floats() | st.dates()
VALUES = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@dataclass(frozen=True)
class Shown:
    name: str
    value: Any
    hidden: int = field(default=0, repr=False)

    @dataclass(frozen=True)
    class Within:
        value: Any


@dataclass
class Own:
    value: Any

    def __repr__(self) -> str:
        return "as it likes"


class Inherits(Own):
    pass


@given(VALUES)
def test_without_sets_it_is_the_repr(value: Any) -> None:
    for one in (value, Shown("a", value), Shown.Within([value]), Own(value), Inherits(value)):
        assert stable_text(one) == repr(one)
    assert stable_text([set(), frozenset(), Shown]) == repr([set(), frozenset(), Shown])
    pair = namedtuple("pair", "a b")(1, 2)
    assert stable_text(pair) == repr(pair)


@given(st.sets(st.text(max_size=2) | st.integers(), min_size=1))
def test_a_set_is_what_its_text_says(values: set[Any]) -> None:
    assert eval(stable_text(values)) == values
    assert eval(stable_text(frozenset(values))) == values
    assert stable_text({"a": (values,)}) == f"{{'a': ({stable_text(values)},)}}"


# In a file of its own: the source of functions and of lambdas counts.
DECLARED = """
from dataclasses import dataclass
from functools import partial
from typing import Any

import polars as pl

from assay.assets.callable_digest import callable_digest
from assay.assets.databases.rows import Rows
from assay.assets.sources.files import Files
from assay.assets.sources.reader import SourceReader
from assay.assets.sources.source import Source
from assay.assets.steps.clean import clean_step
from assay.assets.steps.raw import raw_step
from assay.checks import Contract, Field, Timestamp, contract_info
from assay.features.tables.partitioning import Partitioning
from assay.features.views.entity import Entity
from assay.features.views.feature_view import FeatureView
from assay.features.views.windowed import windows

CODES = {"aa", "bb", "cc", "dd", "ee"}
NESTED = {frozenset({"aa", "bb", "cc"}), frozenset({"dd", "ee"}), frozenset({"ff"})}


class Sales(Contract):
    id: str = Field(key=True)
    at: Timestamp = Field()
    code: str = Field(isin=CODES, nullable=True, metadata={"codes": CODES})
    other: str = Field(notin=CODES, required_if={"code": CODES}, nullable=True, was={"aaa", "bbb", "ccc"})
    number: int = Field(sequence="increasing", per={"id", "code", "other"}, isin={1, 2, 300})
    flag: bool = Field(true_values={"yes", "ja", "oui"}, false_values={"no", "nein"})

    class Config(Contract.Config):
        missing = {"-", "n/a", "?"}


@dataclass(frozen=True)
class Own(SourceReader):
    codes: frozenset = frozenset(CODES)
    nested: tuple = (NESTED, {"a": CODES})

    def deliveries(self, reading: Any) -> Any: ...
    def read(self, delivery: Any) -> Any: ...


def uses(a):
    return a in CODES or a in NESTED


DAILY = Partitioning.daily("2026-09-01")
sources = [
    Source("own", Own(), Sales, ("id",), "at", partitioning=DAILY),
    Source("files", Files("s/{day}/*", {".csv", ".tsv", ".txt"}), Sales, {"id", "code", "other"}, "at", partitioning=DAILY),
    Source("rows", Rows("t", mode="snapshot", connection="c"), Sales, ("id",), "at"),
]
view = FeatureView(
    "spending",
    entity=Entity("shopper", {"id", "code", "other"}),
    event_time="event_time",
    max_age="1d",
    features=windows(["1d"], source="clean/own", time="at", orders=pl.len()),
)
print(contract_info(Sales).digest)
for source in sources:
    print(source.name, raw_step(source).code_version, clean_step(source).code_version)
print(view.digest())
print(callable_digest(uses), callable_digest(partial(uses, CODES, a={"x": CODES})))
"""


def test_no_digest_of_a_declaration_depends_on_the_order_of_a_set(tmp_path: Any) -> None:
    file = tmp_path / "declared.py"
    file.write_text(DECLARED)

    def printed(seed: str) -> list[str]:
        environment = os.environ | {"PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, file], capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    first = printed("1")
    assert len(first) == 6
    assert printed("2") == first
    assert printed("3") == first
