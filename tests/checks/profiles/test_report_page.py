"""The report as a page: everything that was found, nothing that needs the network, nothing that was not masked."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import polars as pl

from assay.checks import Block, Contract, Field, Timestamp, mask, validate
from assay.checks.profiles.profile import profile
from assay.checks.profiles.report_page import BARS, BatchReport, estimate, figure, page, worst_first
from assay.checks.profiles.report_page import share as shown_share


class Orders(Contract):
    order_id: str = Field(key=True)
    email: str = Field(nullable=True, pii="email")
    comment: str = Field(nullable=True, pii="free_text")
    at: Timestamp = Field()
    status: str = Field(isin=["<new>", "paid"])
    amount: float = Field(ge=0, nullable=True)

    class Config(Contract.Config):
        version = "2.1.0"
        severity = {"amount.ge": "warn", "at.dtype": Block(share=0.9)}  # noqa: RUF012


def batch(rows: int = 200) -> BatchReport:
    frame = pl.DataFrame(
        {
            "order_id": [f"A{number}" for number in range(rows)],
            "email": [f"canary{number}@example.com" for number in range(rows)],
            "comment": ["call Zoë Canary <script>alert(1)</script>"] * rows,
            "at": ["2026-09-01T10:00:00Z"] * (rows - 1) + ["soon"],
            "status": ["<new>", "paid"] * (rows // 2 - 1) + ["paid", "lost & <b>found</b>"],
            "amount": [str(number - 1) for number in range(rows)],
        }
    )
    outcome = validate(frame, Orders)
    return BatchReport(
        table="clean/orders",
        partition="2026-09-01",
        version=7,
        written_at="2026-09-02 00:10 UTC",
        report=outcome.report,
        profile=profile(outcome.clean, Orders),
        examples=mask(outcome.quarantined.head(10), Orders),
    )


class Reader(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)
        if tag in ("td", "dd"):
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "dd"} & set(self.open):
            self.cells[-1] += data


def test_a_page_is_whole_and_needs_nothing_else() -> None:
    text = page(batch())
    read = Reader(text)
    assert read.open == []
    assert {tag for tag, _ in read.seen} & {"script", "link", "img", "iframe", "b"} == set()
    assert not any(name in ("src", "href") or name.startswith("on") for _, attrs in read.seen for name in attrs)
    assert not re.search(r"https?:|url\(|@import", text)
    assert "prefers-color-scheme: dark" in text
    assert len(text) < 30_000


def test_a_page_says_what_was_found() -> None:
    found = batch()
    cells = [cell.strip() for cell in Reader(page(found)).cells]
    assert cells[:3] == ["200", "199", "1"]
    row = cells.index("amount.ge")
    assert cells[row : row + 7] == ["amount.ge", "warn", "warned", "1", "0.5 %", "0", "200"]
    row = cells.index("at.dtype")
    assert cells[row : row + 3] == ["at.dtype", "block", "failed"]
    assert "<new>" in " ".join(cells)  # named by the contract, and escaped
    assert [rule.status for rule in worst_first(found.report.rules)][:3] == ["failed", "failed", "warned"]


def test_nothing_personal_is_in_a_page() -> None:
    text = page(batch())
    assert not [word for word in ("canary", "Canary", "Zoë", "example.com", "alert") if word in text]
    assert "‹email›" in text


def test_bars_stand_for_all_values() -> None:
    found = batch()
    assert found.profile is not None
    titles = [attrs["title"] or "" for tag, attrs in Reader(page(found)).seen if tag == "i" and "title" in attrs]
    amounts = [title for title in titles if "2026" not in title]
    assert 3 < len(amounts) <= BARS
    assert sum(int(title.rpartition(": ")[2]) for title in amounts) == found.profile.rows


def test_a_batch_without_profile_and_examples() -> None:
    text = page(replace(batch(), profile=None, examples=pl.DataFrame()))
    assert "Profile" not in text
    assert "Rows in quarantine" not in text


def test_shares_never_hide_a_row() -> None:
    assert [shown_share(value) for value in (0, 1e-9, 0.005, 0.25, 0.99999, 1)] == [
        "0 %",
        "< 0.1 %",
        "0.5 %",
        "25.0 %",
        "> 99.9 %",
        "100 %",
    ]


def test_what_a_sketch_estimates_is_marked() -> None:
    assert (figure("distinct", 1234), figure("distinct", 0), figure("null", 1234)) == ("≈ 1,234", "0", "1,234")
    assert figure("distinct", "") == ""
    cells = " ".join(Reader(page(batch())).cells)
    assert "distinct ≈ 199" in cells
    assert "paid 100<new> 99" in " ".join(cells.split()), "of few different values the counts are exact"
    assert estimate(7) == "≈ 7"
