"""Outlines as plain text, and short forms of long lists."""

import subprocess
import sys

import pytest

from assay.lineage.outline import Outline, Span, leaf, line, listed, short_digest, shorten


def test_an_outline_is_a_tree_of_lines() -> None:
    below = Outline((line(Span("b", "strong"), " of [c]"), line(Span("second", "dim"))), (leaf("d"), leaf("e")))
    outline = Outline((line("a"), line("more of a")), (below, leaf("f")))
    assert str(outline).splitlines() == [
        "a",
        "more of a",
        "├── b of [c]",
        "│   second",
        "│   ├── d",
        "│   └── e",
        "└── f",
    ]


@pytest.mark.parametrize(
    ("partitions", "text"),
    [
        (None, "all of it"),
        ([], "nothing"),
        (["2026-03-01"], "2026-03-01"),
        (["2026-02-27", "2026-02-28", "2026-03-01"], "3 days 2026-02-27 … 2026-03-01"),
        (["2026-02-27", "2026-03-01"], "2 partitions 2026-02-27 … 2026-03-01"),
        (["a", "b", "c"], "3 partitions a … c"),
    ],
)
def test_partitions_are_shortened(partitions: list[str] | None, text: str) -> None:
    assert shorten(partitions) == text


def test_lists_and_digests_are_shortened() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed([str(n) for n in range(10)]) == "0, 1, 2, 3, 4, 5, 6, 7 and 2 more"
    assert short_digest("ab" * 32) == "abababababab"
    assert short_digest("1.0") == "1.0"


def test_no_answer_needs_rich() -> None:
    """Traces, impacts, verifications, differences and columns say what they are where rich cannot be imported."""
    code = (
        "import sys; sys.modules['rich'] = None\n"
        "import assay.lineage.tracing.impact, assay.lineage.verification.verify, assay.lineage.queries.diff\n"
        "from assay.lineage.columns.graph import ColumnTrace\n"
        "from assay.features.storage.verdict import CheckState\n"
        "from assay.lineage.queries.diff import Diff\n"
        "from assay.lineage.verification.finding import Finding, Verification\n"
        "print(Verification((Finding('x commit', None, 'gone'), Finding('y', False, 'changed'))))\n"
        "print(Diff('a', 'b', {}, (1, 2), None, {'r': (CheckState.HELD, CheckState.FAILED)}, None, {}, ('code',)))\n"
        "print(ColumnTrace((), (), (), ('a reason',), 'up'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "broken · answer: not checked",
        "├── ✗ y  changed",
        "└── –\u0020x commit  gone",
        "a → b",
        "├── rows  1 → 2",
        "├── checks",
        "│   └── r  held → failed",
        "└── not known: code",
        "nothing was written",
        "└── a reason",
    ]
