"""The finished run, once more: nothing is done twice."""

from typing import Any


def test_done_again_nothing_is_done(full_run: Any) -> None:
    before = full_run.versions()
    again = full_run.place.json("materialize")
    assert "runs" in again and not any(again.values()), again
    forced = full_run.place.json("materialize", "--force", "--partition", "2026-09-25")
    assert [run["new_versions"] for run in forced["runs"]] == [[]] * len(forced["runs"])
    assert full_run.versions() == before
