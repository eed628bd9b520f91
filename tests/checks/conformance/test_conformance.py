"""The conformance corpus: Assay gives the truth in every case, and every other verdict of pandera's is explained."""

import os
from pathlib import Path

import pytest

from tests.checks.conformance.case import CANNOT_SAY, Case, by_assay, by_pandera, same
from tests.checks.conformance.differences import CHOICE, COARSE, DIFFERENCES, SILENT
from tests.checks.conformance.table import AREAS, CASES, PAGE, page

# A folder and DuckDB for each case take time; the rules over several rows are those that are evaluated differently, and texts
# that mean no value are known by what was delivered.
SPILLED = CASES if os.environ.get("SOAK") else AREAS["Frames, keys, custom checks"] + AREAS["Declared forms of texts"]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_assay_gives_the_truth(case: Case) -> None:
    verdict, clean = by_assay(case)
    assert verdict == case.truth
    assert case.clean is None or (clean is not None and same(clean, case.clean))


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("case", SPILLED, ids=[case.name for case in SPILLED])
def test_a_spilled_batch_gives_the_truth_too(case: Case, tmp_path: Path) -> None:
    assert by_assay(case, tmp_path)[0] == case.truth


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_pandera_differs_only_as_explained(case: Case) -> None:
    verdict = by_pandera(case)
    if verdict != CANNOT_SAY:
        assert verdict == (DIFFERENCES[case.name].verdict if case.name in DIFFERENCES else case.truth)


def test_the_corpus_is_whole() -> None:
    names = [case.name for case in CASES]
    assert len(names) >= 80
    assert len(set(names)) == len(names)
    assert set(DIFFERENCES) <= set(names)
    assert all(d.kind in (SILENT, COARSE, CHOICE) and d.why for d in DIFFERENCES.values())


def test_the_published_table_is_the_corpus() -> None:
    assert PAGE.read_text() == page()
