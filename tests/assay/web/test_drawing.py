"""Every kind of table has its colour, and the mark of its checks counts only what was judged."""

from pathlib import Path

from assay.web import drawing
from assay.web.drawing import Badge, checks_badge


def test_every_kind_has_a_colour_in_the_stylesheet() -> None:
    sheet = Path(drawing.__file__).with_name("static").joinpath("console.css").read_text(encoding="utf-8")
    missing = [kind for kind in drawing.KINDS if f".kind-{kind}.dot" not in sheet or f".kind-{kind} .edge" not in sheet]
    assert not missing


def test_a_check_without_a_verdict_is_not_counted_as_held() -> None:
    assert checks_badge(30, []) == Badge("✓ 30", "ok", "30 checks passed")
    assert checks_badge(29, [], not_judged=["volume"]) == Badge(
        "✓ 29/30, 1 not judged", "ok", "29 of 30 checks held, 1 not judged: volume"
    )
    assert checks_badge(0, [], not_judged=["b", "a"]) == Badge(
        "– 0/2, 2 not judged", "plain", "0 of 2 checks held, 2 not judged: a, b"
    )
    held = checks_badge(1, ["x"], quarantined=["x"], not_judged=["volume"])
    assert held is not None
    assert (held.text, held.state) == ("✓ 2/3, 1 with quarantine, 1 not judged", "ok")
    for kind, state in (({"warned": ["x"]}, "warned"), ({}, "failed")):
        found = checks_badge(1, ["x"], **kind, not_judged=["volume"])
        assert found is not None
        assert (found.state, found.text[2:]) == (state, f"1/3, {state}, 1 not judged")
        assert found.meaning == f"1 of 3 checks {state}, 1 not judged: volume"
