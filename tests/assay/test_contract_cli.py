"""`assay contract` as people and scripts use it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay.checks import contract_info
from assay.cli.places import contract_at

TICKETS = "assay.assets.support.tickets:Tickets"
OLD = """
from assay.checks import Contract, Field


class Orders(Contract):
    order_id: str = Field(key=True)
    amount: float = Field(ge=0, nullable=True)

    class Config(Contract.Config):
        version = "1.0.0"
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "old.py").write_text(OLD)
    (tmp_path / "new.py").write_text(OLD.replace("nullable=True", "nullable=False").replace("1.0.0", "2.0.0"))
    (tmp_path / "owned.py").write_text(OLD.replace('version = "1.0.0"', 'version = "1.0.1"; owner = "shop"'))
    rows = "".join(f"A{number:03d},{number}.5,{number % 3 == 0}\n" for number in range(60))
    (tmp_path / "orders.csv").write_text(f"order_id,amount,gift\n{rows}")
    return tmp_path


def test_draft_writes_a_contract_that_can_be_used(cli: Callable[..., Any], files: Path) -> None:
    printed = cli("contract", "draft", str(files / "orders.csv"))
    written = cli("contract", "draft", str(files / "orders.csv"), "--out", str(files / "drafted.py"))
    assert (printed.code, written.code) == (0, 0)
    assert (files / "drafted.py").read_text() == printed.out
    info = contract_info(contract_at(f"{files / 'drafted.py'}:Orders"))
    assert (info.key, [column.name for column in info.columns]) == (("order_id",), ["order_id", "amount", "gift"])
    again = cli("contract", "draft", str(files / "orders.csv"), "--out", str(files / "drafted.py"))
    assert (again.code, "File exists" in again.err) == (1, True), "what is there may be edited already"
    as_data = cli("contract", "draft", str(files / "orders.csv"), "--name", "sales", "--json").data
    assert as_data["source"] == printed.out.replace("class Orders", "class Sales")
    assert (as_data["rows"], as_data["defective"], as_data["key"]) == (60, 0, ["order_id"])


def test_draft_of_a_table(desk: Callable[..., Any]) -> None:
    drafted = desk("contract", "draft", "raw/tickets")
    assert drafted.code == 0
    assert "class Tickets(Contract):" in drafted.out
    assert "_source_sha256" not in drafted.out


def test_diff_tells_whom_it_breaks_with_its_exit_code(cli: Callable[..., Any], files: Path) -> None:
    old, new, owned = (f"{files / name}.py:Orders" for name in ("old", "new", "owned"))
    broken = cli("contract", "diff", old, new)
    assert broken.code == 3
    assert broken.out.splitlines()[-1] == "breaking"
    assert "not_nullable" in broken.out
    answer = cli("contract", "diff", old, new, "--json")
    assert (answer.code, answer.data["verdict"]) == (3, "breaking")
    assert [(c["kind"], c["where"], c["breaks"]) for c in answer.data["changes"]] == [
        ("not_nullable", "amount", ["suppliers"]),
        ("version_changed", "version", []),
    ]
    assert cli("contract", "diff", old, new, "--for", "readers", "--json").data["verdict"] == "compatible"
    assert cli("contract", "diff", old, new, "--for", "suppliers").code == 3
    compatible = cli("contract", "diff", old, owned)
    assert (compatible.code, compatible.out.splitlines()[-1]) == (0, "compatible")
    assert cli("contract", "diff", old, old).out == "compatible: nothing changed\n"


def test_export_and_what_others_read(cli: Callable[..., Any], files: Path) -> None:
    exported = cli("contract", "export", TICKETS, "--out", str(files / "tickets.odcs.yaml"))
    assert exported.code == 0
    assert cli("contract", "diff", TICKETS, str(files / "tickets.odcs.yaml")).code == 0
    as_json = cli("contract", "export", TICKETS, "--json")
    assert as_json.data["apiVersion"] == "v3.2.0"
    (files / "tickets.json").write_text(json.dumps(as_json.data))
    same = cli("contract", "diff", TICKETS, f"{files / 'tickets.json'}:Tickets", "--json")
    assert same.data == {"verdict": "compatible", "changes": []}
    assert cli("contract", "export", TICKETS).out == (files / "tickets.odcs.yaml").read_text()


def test_import_gives_source_that_is_the_same_contract(cli: Callable[..., Any], files: Path) -> None:
    document, source = files / "tickets.odcs.yaml", files / "tickets.py"
    cli("contract", "export", TICKETS, "--out", str(document))
    printed = cli("contract", "import", str(document))
    assert cli("contract", "import", str(document), "--out", str(source)).code == 0
    assert source.read_text() == printed.out
    assert cli("contract", "diff", TICKETS, f"{source}:Tickets", "--json").data["changes"] == []
    answer = cli("contract", "import", f"{document}:Tickets", "--json").data
    assert answer == {"name": "Tickets", "version": "1.0.0", "source": printed.out}
    assert "no table 'Ticket'" in cli("contract", "import", f"{document}:Ticket").err


def test_check_tells_drift_and_broken_rules(cli: Callable[..., Any], files: Path) -> None:
    orders, before = f"{files / 'old.py'}:Orders", str(files / "orders.csv")
    good = cli("contract", "check", before, orders)
    assert (good.code, good.out.splitlines()[-1]) == (0, "60 rows: 60 clean, 0 would be quarantined")
    rows = [f"A{number:03d},{number * 100 - 50}" for number in range(60)]
    (files / "cents.csv").write_text("\n".join(["order_id,amount_cents", *rows]))
    renamed = cli("contract", "check", str(files / "cents.csv"), orders, "--previous", before, "--json")
    assert (renamed.code, renamed.data["stopped"], renamed.data["report"]) == (3, True, None)
    assert ("dropped", "gift") in {(finding["kind"], finding["column"]) for finding in renamed.data["drift"]}
    assert cli("contract", "check", str(files / "cents.csv"), orders).out.splitlines()[-1].startswith("stopped: ")
    (files / "same.csv").write_text("\n".join(["order_id,amount,gift", *(f"{row},True" for row in rows)]))
    scaled = cli("contract", "check", str(files / "same.csv"), orders, "--previous", before)
    assert scaled.code == 0
    assert "unit_shifted" in scaled.out
    assert "amount.ge" in scaled.out
    assert scaled.out.splitlines()[-1] == "60 rows: 59 clean, 1 would be quarantined"
    assert "A000" not in scaled.out, "counts, never values"


def test_check_names_the_form_of_texts_that_cannot_be_read(cli: Callable[..., Any], files: Path) -> None:
    rows = [f"A{number:03d};1.{number:03d},50" for number in range(60)]
    (files / "comma.csv").write_text("\n".join(["order_id;amount", *rows]))
    answer = cli("contract", "check", str(files / "comma.csv"), f"{files / 'old.py'}:Orders", "--separator", ";")
    note = 'amount.dtype: 60 of the 60 texts that cannot be read fit Field(decimal=",", thousands=".").'
    assert note in answer.out.splitlines()
    assert "59,50" not in answer.out
    (files / "declared.py").write_text(OLD.replace("ge=0, ", 'ge=0, decimal=",", thousands=".", '))
    read = cli("contract", "check", str(files / "comma.csv"), f"{files / 'declared.py'}:Orders", "--separator", ";")
    assert (read.code, read.out.splitlines()[-1]) == (0, "60 rows: 60 clean, 0 would be quarantined")


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("nothing", "names no contract"),
        ("no_such_package.contracts:Orders", "no module 'no_such_package'"),
        ("assay.assets.support.tickets:Ticket", "has no 'Ticket'"),
        ("assay.assets.support.tickets:CHANNELS", "a contract is a subclass"),
        ("no/such/file.py:Orders", "cannot be read (No such file or directory)"),
        ("no/such/file.odcs.yaml", "cannot be read (No such file or directory)"),
    ],
)
def test_a_contract_that_is_not_there(cli: Callable[..., Any], place: str, said: str) -> None:
    answer = cli("contract", "export", place)
    assert (answer.code, answer.out) == (1, "")
    assert said in answer.err
    assert answer.err.count("\n") == 1


def test_data_that_are_not_there(cli: Callable[..., Any]) -> None:
    assert "cannot be read" in cli("contract", "draft", "no/such/file.csv").err
    assert "There is no table raw/nothing" in cli("contract", "draft", "raw/nothing").err
