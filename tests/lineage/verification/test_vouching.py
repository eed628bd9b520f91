"""Who is accused where records of a commit differ: the one that the others contradict."""

from itertools import product

import pytest

from assay.lineage.verification.vouching import Judgement, Record, Strength, judge

IS, WAS = "a" * 64, "b" * 64
ALONE, KEPT, VOUCHED = Strength


def test_a_commit_without_records_is_vouched_for_by_nobody() -> None:
    assert judge("t@1", IS, []) == Judgement(vouched=False)


def test_agreeing_records_vouch() -> None:
    assert judge("t@1", IS, [Record("t@2", IS, ALONE)]) == Judgement(vouched=True)


@pytest.mark.parametrize(
    ("against", "culprits"),
    [
        ([Record("t@2", WAS, VOUCHED)], {"t@1"}),
        ([Record("t@2", WAS, VOUCHED), Record("seal", IS, KEPT), Record("store", IS, KEPT)], {"t@1"}),
        ([Record("t@2", IS, VOUCHED), Record("store", WAS, KEPT)], {"store"}),
        ([Record("t@2", IS, VOUCHED), Record("store", WAS, KEPT), Record("seal", WAS, KEPT)], {"store", "seal"}),
        ([Record("t@2", WAS, ALONE), Record("store", IS, KEPT)], {"t@2"}),
        ([Record("t@2", WAS, ALONE), Record("store", WAS, KEPT)], {"t@1"}),
    ],
)
def test_the_one_whom_better_records_contradict_is_accused(against: list[Record], culprits: set[str]) -> None:
    found = judge("t@1", IS, against)
    assert {name for name, _ in found.accused} == culprits
    assert found.was_changed is ("t@1" in culprits)


def test_where_two_records_contradict_each_other_both_are_named() -> None:
    found = judge("t@1", IS, [Record("seal", IS, KEPT), Record("store", WAS, KEPT)])
    assert found.accused == (("t@1", "was changed, or these records of it were: store"),)
    alone = judge("t@1", IS, [Record("seal", WAS, KEPT)])
    assert alone.accused == (("t@1", "was changed after it was recorded, or the record was: seal"),)


def test_a_contradiction_never_goes_unnamed() -> None:
    kinds = [Record(f"r{number}", sha, how) for number, (sha, how) in enumerate(product((IS, WAS), Strength))]
    for chosen in product((False, True), repeat=len(kinds)):
        records = [record for record, taken in zip(kinds, chosen, strict=True) if taken]
        found = judge("t@1", IS, records)
        assert bool(found.accused) is any(record.sha256 == WAS for record in records)
        assert not (found.was_changed and found.vouched)
