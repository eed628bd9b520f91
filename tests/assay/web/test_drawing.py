"""Every kind of table has its colour."""

from pathlib import Path

from assay.web import drawing


def test_every_kind_has_a_colour_in_the_stylesheet() -> None:
    sheet = Path(drawing.__file__).with_name("static").joinpath("console.css").read_text(encoding="utf-8")
    missing = [kind for kind in drawing.KINDS if f".kind-{kind}.dot" not in sheet or f".kind-{kind} .edge" not in sheet]
    assert not missing
