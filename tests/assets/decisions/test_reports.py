"""The report of a published batch, from the lake alone: what it says is what the tables hold."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay.assets.decisions.reports import batch_report, set_aside
from assay.cli import main
from assay.errors import AssayError

NAMES = ("Ada", "Byron", "Bob", "Noyce")


@pytest.fixture
def report(shop: Any, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """The command, for the shop's domain: exit code, output, complaint."""
    del shop

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["report", *arguments])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def test_a_report_counts_what_the_tables_hold(shop: Any) -> None:
    found = batch_report(shop.env.lake, shop.package.orders.orders, shop.day(2))
    assert (found.table, found.partition) == ("clean/orders", shop.day(2))
    assert (found.report.rows_in, found.report.rows_clean, found.report.rows_quarantined) == (4, 3, 1)
    broken = {rule.name: (rule.status, rule.invalid, rule.share) for rule in found.report.rules if rule.invalid}
    assert broken == {"amount.ge": ("failed", 1, 0.25)}
    unknown = [rule.name for rule in found.report.rules if rule.status == "unknown"]
    assert unknown == ["volume"]  # too few days to know what is usual
    assert found.profile is not None
    assert found.profile.rows == 3
    assert found.examples["_rules"].to_list() == [["amount.ge"]]


def test_the_latest_batch_is_reported_where_none_is_named(shop: Any) -> None:
    assert batch_report(shop.env.lake, shop.package.orders.orders).partition == shop.day(3)


def test_a_batch_that_is_not_there(shop: Any) -> None:
    with pytest.raises(AssayError, match="clean/orders has no published batch 2026-03-09"):
        batch_report(shop.env.lake, shop.package.orders.orders, shop.day(9))


def test_the_command_reports_to_people_scripts_and_browsers(shop: Any, report: Any, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    code, said, _ = report("orders", "--partition", shop.day(2), "--html", str(file))
    assert code == 0
    assert "4 rows in, 3 clean, 1 quarantined (contract Orders v1.0.0)" in said
    assert "amount.ge" in said
    page = file.read_text(encoding="utf-8")
    assert "<td>amount.ge</td>" in page
    code, answer, _ = report("clean/orders", "--partition", shop.day(2), "--json")
    data = json.loads(answer)
    assert (code, data["report"]["rows_in"], data["profile"]["amount"]["max"]) == (0, 4, 30.0)
    assert data["version"] == batch_report(shop.env.lake, shop.package.orders.orders, shop.day(2)).version
    for text in (said, page, answer):
        assert not [name for name in NAMES if name in text]


def test_what_was_set_aside_of_some_batches_is_counted_by_table(shop: Any) -> None:
    lake, first = shop.env.lake, shop.version("clean/orders") + 1
    shop.drop(4, shop.csv(4, 1.0, 2.0))
    shop.drop(5, shop.csv(5, 1.0, -2.0, -3.0))
    written = [name for result in shop.run().results for name in result.new_versions]
    (found,) = set_aside(lake, written)
    assert (found.table, found.rows, found.of, found.versions) == ("clean/orders", 2, 5, (first + 1,))
    assert str(found) == "clean/orders: 2 of 5 rows went to quarantine (`assay quarantine show orders`)"
    assert set_aside(lake, [f"clean/orders@{first}", "raw/orders@0"]) == [] == set_aside(lake, [])


def test_tables_without_a_report_are_said(report: Any) -> None:
    code, _, complaint = report("raw/orders")
    assert code == 1
    assert "raw/orders has no report: tables of a source have one (orders)." in complaint


def test_a_refused_batch_says_why_and_the_latest_published_one_that_it_is_not_the_latest(
    shop: Any, report: Any
) -> None:
    assert "not the latest" not in report("orders")[2]
    shop.drop(4, b"")
    assert shop.run().failed
    code, said, problem = report("orders")
    assert (code, f"clean/orders {shop.day(3)}" in said) == (0, True)
    assert f"It is not the latest that came: {shop.day(4)} refused" in " ".join(problem.split())
    code, _, problem = report("orders", "--partition", shop.day(4))
    assert code == 1
    assert f"clean/orders has no published batch {shop.day(4)}: it was refused. orders/{shop.day(4)}/a.csv" in " ".join(
        problem.split()
    )
