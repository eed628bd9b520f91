"""Kept sessions change how often Dagster's files are opened, and nothing that is in them."""

import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage import sql
from dagster._core.storage.event_log.sqlite import sqlite_event_log

from assay.assets.dagster.materialize import open_instance
from assay.assets.dagster.sessions import kept_sessions


@dg.asset(check_specs=[dg.AssetCheckSpec("fits", asset="thing")])
def thing() -> dg.MaterializeResult:
    return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True, check_name="fits")])


def told(home: Path, runs: int) -> tuple[Counter[str], list[int]]:
    """How often each kind of event is in the history, and the storage ids of the materialisations."""
    with open_instance(home) as instance:
        events = [
            record.event_log_entry.dagster_event_type
            for run in instance.get_runs()
            for record in instance.get_records_for_run(run.run_id).records
        ]
        assert len(instance.get_runs()) == runs
        made = instance.fetch_materializations(dg.AssetKey("thing"), limit=100).records
        return Counter(str(kind) for kind in events), [record.storage_id for record in made]


def test_the_history_is_the_same_and_files_are_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    opened: list[str] = []
    connect: Any = sqlite3.dbapi2.connect  # type: ignore[attr-defined]

    def counting(place: str, *args: Any, **options: Any) -> Any:
        opened.append(str(place))
        return connect(place, *args, **options)

    monkeypatch.setattr("sqlite3.dbapi2.connect", counting)
    runs = 2
    with open_instance(tmp_path / "plain") as instance:
        for _ in range(runs):
            assert dg.materialize([thing], instance=instance).success
    plainly = Counter(place.startswith(str(tmp_path / "plain")) for place in opened)[True]
    with kept_sessions(files=3), open_instance(tmp_path / "kept") as instance:
        for _ in range(runs):
            assert dg.materialize([thing], instance=instance).success
    kept = len(opened) - plainly
    assert kept * 4 < plainly
    assert told(tmp_path / "kept", runs) == told(tmp_path / "plain", runs)


def test_dagster_is_as_it_was_afterwards() -> None:
    names = [(sqlite_event_log, "create_engine"), (sql, "ScriptDirectory")]
    before = [getattr(module, name) for module, name in names]
    with pytest.raises(ZeroDivisionError), kept_sessions():
        assert all(getattr(module, name) is not old for (module, name), old in zip(names, before, strict=True))
        raise ZeroDivisionError
    assert [getattr(module, name) for module, name in names] == before
