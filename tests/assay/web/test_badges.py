"""One state a badge: what was set aside as agreed is grey, what was stopped red, and only what was judged is counted."""

from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from assay.features.storage.verdict import CheckState
from assay.web import badges, create_router
from assay.web.badges import Badge, State, both, checks_badge
from tests.assay.web.reading import Page

HELD, ASIDE, WARNED, FAILED, UNJUDGED = (
    CheckState.HELD,
    CheckState.SET_ASIDE,
    CheckState.WARNED,
    CheckState.FAILED,
    CheckState.NOT_JUDGED,
)

AGREED = "rules are in quarantine, as agreed"


@pytest.mark.parametrize(
    ("names", "held", "badge"),
    [
        ({}, 30, Badge("✓ 30", "ok", "30 checks held")),
        ({HELD: ["x"]}, 0, Badge("✓ 1", "ok", "its check held")),
        ({ASIDE: ["b", "a"]}, 21, Badge("○ 2/23, set aside", "aside", f"rows that broke 2 of 23 {AGREED}: a, b")),
        (
            {WARNED: ["v"], ASIDE: ["a"]},
            1,
            Badge(
                "! 1/3, warned, 1 set aside", "warned", f"1 of 3 checks warned: v; rows that broke 1 of 3 {AGREED}: a"
            ),
        ),
        ({FAILED: ["f"]}, 2, Badge("✗ 1/3, failed", "failed", "1 of 3 checks failed: f")),
        ({UNJUDGED: ["volume"]}, 29, Badge("✓ 29/30, 1 not judged", "ok", "1 not judged yet: volume")),
        ({UNJUDGED: ["b", "a"]}, 0, Badge("– 2/2, not judged", "plain", "2 not judged yet: a, b")),
    ],
)
def test_what_checks_come_to(names: dict[CheckState, list[str]], held: int, badge: Badge) -> None:
    assert checks_badge(names, held=held) == badge


def test_no_check_has_no_badge_and_many_names_are_cut() -> None:
    assert checks_badge({}) is None
    many = checks_badge({ASIDE: [f"r{number}" for number in range(9)]}, where="in 2 of 3 batches")
    assert many is not None
    assert many.meaning.endswith(": r0, r1, r2, r3, r4 and 4 more; in 2 of 3 batches")


@given(st.dictionaries(st.sampled_from(CheckState), st.lists(st.text("abc", min_size=1), max_size=3)))
def test_nothing_is_green_that_found_something(names: dict[CheckState, list[str]]) -> None:
    badge = checks_badge(names)
    bad = [state for state in (FAILED, WARNED, ASIDE) if names.get(state)]
    assert (badge is None) == (not any(names.values()))
    assert badge is None or (badge.state in ("ok", "plain")) == (not bad)
    if bad:
        assert badge is not None
        assert badge.state == {FAILED: "failed", WARNED: "warned", ASIDE: "aside"}[bad[0]]
        assert all(str(state) in badge.text for state in bad)


def test_of_two_marks_the_worse_gives_the_colour() -> None:
    refused, held = Badge("⊘ 1 refused", "refused", "One."), Badge("✓ 2", "ok", "two")
    assert both(refused, held) == Badge("⊘ 1 refused, checks ✓ 2", "refused", "One. two")
    assert both(Badge("! 1 missing", "warned", "One."), Badge("✗ 1/2, failed", "failed", "two")) == Badge(
        "! 1 missing, checks ✗ 1/2, failed", "failed", "One. two"
    )
    assert both(None, held) is held
    assert both(refused, None) is refused


def test_every_state_has_its_colours() -> None:
    sheet = Path(badges.__file__).with_name("static").joinpath("console.css").read_text(encoding="utf-8")
    assert [state for state in get_args(State) if state != "plain" and f".badge.{state} " not in sheet] == []


def test_a_badge_says_what_rules_demand_and_where_the_rows_are() -> None:
    demands = {"a.ge": "a is at least 0"}
    badge = checks_badge({ASIDE: ["a.ge"], WARNED: ["own"]}, words=lambda name: demands.get(name, name), rows="/q")
    assert badge is not None
    assert badge.meaning == f"1 of 2 checks warned: own; rows that broke 1 of 2 {AGREED}: a is at least 0 (a.ge)"
    assert badge.href == "/q"
    warned = checks_badge({WARNED: ["own"]}, rows="/q")
    assert warned is not None and warned.href == "", "of what only warned no row was set aside"


def test_pages_agree_about_what_became_of_a_batch(bank: Any) -> None:
    """Rows that were set aside are grey on every page, with the rule in words, and a link to where they are."""
    client = TestClient(Starlette(routes=[Mount("/", create_router(bank.store.lineage_store, bank.store.lake))]))

    def marks(address: str) -> list[tuple[str, str]]:
        tags = Page(client.get(address).text).tags
        spans = [given for tag, given in tags if tag == "span" and str(given.get("class")).startswith("badge ")]
        return [(str(given["class"]), given.get("title") or "") for given in spans]

    aside = [title for state, title in marks("/versions/clean/transfers") if state == "badge aside"]
    assert aside and all("amount" in title and "as agreed" in title for title in aside)
    assert any("amount is at least 0 (amount.ge)" in title for title in aside)
    index = bank.store.table("clean/transfers").at().index
    versions = [f"dataset:assay:clean/transfers@{version}" for version in index.written(index.latest)]
    shown = [mark for node in versions for mark in marks(f"/graph?focus={node}&up=0&down=0")]
    # The newest version's mark also says which day is missing.
    assert all(any(title.endswith(one) for _, title in shown) for one in aside)
    for address in ("/", "/pipeline", "/versions/clean/transfers"):
        assert "/versions/quarantine/transfers" in Page(client.get(address).text).addresses(), address
    (warned,) = [title for state, title in marks("/") if state == "badge warned" and "channel.isin" in title]
    assert any(title.endswith(warned) for state, title in marks("/pipeline") if state == "badge warned")
