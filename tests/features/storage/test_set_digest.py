"""A set digest carried on is the one computed from what is there, and the reader offline computes the same."""

from collections import Counter
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.features.storage import set_digest as module
from assay.features.storage.set_digest import set_digest
from assay.features.storage.table_index import open_index
from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.log_replay import replay_log
from assay.features.tables.run_record import CheckResult, NullRecorder, Work
from assay.features.tables.transaction import transaction
from assay.lineage.evidence.verifier.commits import set_digest as set_digest_offline
from tests.conftest import SOAK
from tests.growth.calls import count_calls

NAME = "clean/t"
EXCLUDED = ((), ("a",), ("b", "none"))
STEPS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.sampled_from(["replace", "append"]), st.booleans()),
    min_size=1,
    max_size=8,
)


def write(lake: Lake, partition: str, value: int, mode: Any = "replace", *, passed: bool = True) -> None:
    with transaction(lake, NullRecorder(), Work(NAME, partition)) as tx:
        tx.write(NAME, pl.DataFrame({"n": [value]}), mode=mode)
        tx.check(CheckResult("rule", NAME, passed, severity="warn"))


def looked_up(lake: Lake, version: int, excluded: tuple[str, ...]) -> str:
    return lake.table(NAME).at(version).slice(lookup=True, excluded=excluded).set_digest


@settings(max_examples=100 if SOAK else 5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_it_is_that_of_the_replayed_log_at_every_version(tmp_path_factory: Any, steps: Any) -> None:
    lake, known = open_lake(tmp_path_factory.mktemp("lake")), dict[int, str]()
    for partition, value, mode, passed in steps:
        write(lake, partition, value, mode, passed=passed)
        latest = lake.table(NAME).at().version
        known[latest] = looked_up(lake, latest, ())
    log = replay_log(lake, NAME)
    assert log is not None
    for version in range(log.latest + 1):
        assert known.get(version, looked_up(lake, version, ())) == looked_up(lake, version, ())
        for excluded in EXCLUDED:
            files = [file.path for file in log.files(version, None, excluded)]
            wrote = [commit.version for commit in log.writers(version, None, excluded)]
            commits = [(number, log.snapshot(number).commit_sha256) for number in wrote]
            assert looked_up(lake, version, excluded) == set_digest(files, commits)
            named = [f"{number}:{sha256}" for number, sha256 in commits]
            assert set_digest(files, commits) == set_digest_offline(files, named)


@given(st.lists(st.text(max_size=3), max_size=6), st.lists(st.text(max_size=3), max_size=6))
@settings(max_examples=50, deadline=None)
def test_equal_for_equal_bags_alone(one: list[str], other: list[str]) -> None:
    assert set_digest(one, []) == set_digest(one[::-1], [])
    assert (set_digest(one, []) == set_digest(other, [])) == (Counter(one) == Counter(other))
    assert not one or set_digest(one, []) != set_digest([], [(0, one[0])])


def test_it_costs_what_changed_and_not_what_the_table_holds(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = open_lake(tmp_path)
    for number in range(12):
        write(lake, f"{number:02d}", number)
    looked_up(lake, 12, ())
    counted = Counter[str]()
    count_calls(monkeypatch, counted, module.hashlib, "shake_256", "elements")
    looked_up(lake, 12, ())
    assert counted["elements"] == 0
    looked_up(lake, 12, ("03",))
    assert counted["elements"] == 2, "a file and its commit"
    looked_up(lake, 10, ())
    assert counted["elements"] == 6, "of two later versions"
    write(lake, "03", 99)
    assert open_index(lake.storage, NAME) is not None
    assert counted["elements"] == 10, "what came and what went"
