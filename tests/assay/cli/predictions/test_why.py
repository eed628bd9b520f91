"""`assay why` and its way there: from a customer and a day to one screen, a letter and a proof."""

import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay.cli import main
from tests.assay.why.bank import PERSONAL


@pytest.fixture
def assay(bank: Any, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """The command on the bank, in this process: exit code, output, complaint."""
    del bank

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def test_from_a_customer_and_a_day_to_the_answer_in_two_commands(assay: Any) -> None:
    code, out, _ = assay("predictions", "--about", "customer_id=C0012", "--on", "2026-03-05", "--json")
    found = json.loads(out)
    assert (code, len(found)) == (0, 3)
    assert {item["model"] for item in found} == {"risk"}
    beginning = found[0]["prediction_id"][:13]
    code, out, _ = assay("why", beginning)
    assert code == 0
    assert (
        out.index("What was unusual")
        < out.index("delivered rows")
        < out.index("The way to it")
        < out.index("Is that true?")
    )
    for words in ("risk HIGH", "about transfer_id", "granted by grace", "came late", "‹email›", "owner payments"):
        assert words in out
    assert [word for word in PERSONAL if word in out] == []
    code, out, _ = assay("why", beginning, "--verify", "--json")
    answer = json.loads(out)
    assert (code, answer["verification"]["outcome"], answer["verification"]["answer"]) == (0, "verified", "checked")
    assert [word for word in PERSONAL if word in out] == []


def test_a_letter_and_a_proof_to_be_sent(assay: Any, bank: Any, tmp_path: Path) -> None:
    _, out, _ = assay("predictions", "--limit", "1", "--json")
    letter, proof = tmp_path / "answer.md", tmp_path / "proof.zip"
    code, out, _ = assay("why", json.loads(out)[0]["prediction_id"], "--letter", str(letter), "--export", str(proof))
    assert code == 0
    assert str(letter) in out.replace("\n", "")
    text = letter.read_text()
    assert "All that the answer rests on is still there, as it was recorded." in text
    assert "The stored model, run again, gives the same answer. The features were not computed again" in text
    assert [word for word in PERSONAL if word in text] == []
    with zipfile.ZipFile(proof) as archive:
        sums = hashlib.sha256(archive.read("SHA256SUMS")).hexdigest()
        archive.extractall(tmp_path / "bundle")
    assert sums in text
    checked = subprocess.run([sys.executable, tmp_path / "bundle" / "verify.py"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("command", ["why", "trace"])
def test_a_beginning_that_several_have_lists_them(assay: Any, command: str) -> None:
    _, out, _ = assay("predictions", "--about", "customer_id=C0012", "--json")
    *_, first, twin = (item["prediction_id"] for item in json.loads(out))
    assert first[:13] == twin[:13]
    code, out, complaint = assay(command, first[:13])
    assert (code, complaint.count("\n")) == (1, 1)
    assert f"2 predictions have ids that begin with {first[:13]}: give more of the id." in complaint
    assert first in out
    assert twin in out
    _, out, _ = assay(command, first[:13], "--json")
    assert {item["model"] for item in json.loads(out)["candidates"]} == {"risk"}
    code, _, complaint = assay(command, "ffffffff-ffff")
    assert (code, "No prediction has an id that begins with ffffffff-ffff" in complaint) == (1, True)


def test_usage_is_checked(assay: Any) -> None:
    assert assay("predictions", "--on", "2026-03-05", "--since", "2026-03-01")[0] == 2
    assert assay("predictions", "--about", "customer_id")[0] == 2
    code, _, complaint = assay("predictions", "--about", "customer=C0012")
    assert (code, "Did you mean 'customer_id'? There are: customer_id, transfer_id." in complaint) == (1, True)
    code, out, _ = assay("predictions", "--about", "customer_id=Nobody")
    assert (code, out.strip()) == (0, "There are no predictions about this customer_id.")


def test_rows_of_others_are_in_no_letter_but_those_of_whom_it_is_for(assay: Any, tmp_path: Path) -> None:
    _, out, _ = assay("predictions", "--about", "customer_id=C0012", "--limit", "1", "--json")
    one, file = json.loads(out)[0]["prediction_id"], tmp_path / "answer.md"
    assay("why", one, "--letter", str(file))
    own = file.read_text()
    assay("why", one, "--letter", str(file), "--whose", "customer_id")
    whole = file.read_text()
    assert [text.count("| transfers/") for text in (own, whole)] == [1, 5]
    assert "Of them 4 rows are about other people or things, and are counted here only." in own
    assert "about other people" not in whole
    assert assay("why", one, "--whose", "customer_id")[0] == 2
    code, _, complaint = assay("why", one, "--letter", str(file), "--whose", "holder")
    assert (code, "it is about transfer_id, customer_id" in complaint) == (2, True)


def test_what_verification_found_is_as_much_as_a_trace_says(assay: Any, bank: Any, tmp_path: Path) -> None:
    _, out, _ = assay("predictions", "--limit", "1", "--json")
    one = json.loads(out)[0]["prediction_id"]
    commit = bank.store.trace(one).root.commits[-1]
    log = Path(bank.store.settings.home, "lake", commit.table, "_delta_log", f"{commit.version:020d}.json")
    aside = log.rename(tmp_path / "commit")
    try:
        said = [assay(command, one, "--verify") for command in ("why", "trace")]
        assert said[0][:2] == said[1][:2]
        assert (said[0][0], "cannot be traced" in said[0][1]) == (3, True)
    finally:
        aside.rename(log)
    read = bank.store.trace(one).root.inputs[0].commits[-1]
    log = Path(bank.store.settings.home, "lake", read.table, "_delta_log", f"{read.version:020d}.json")
    aside = log.rename(tmp_path / "commit")
    try:
        (code, why, _), (same, trace, _) = (assay(command, one, "--verify") for command in ("why", "trace"))
        missing = f"{read.table}@{read.version}"
        named = [
            [line.strip("│├└─ ") for line in text.splitlines() if line.strip("│├└─ ")[:1] in "✗–"]
            for text in (why, trace)
        ]
        assert code == same == 3
        assert missing in " ".join(named[0])
        assert [line for line in named[1] if line and line not in named[0]] == []
    finally:
        aside.rename(log)


def test_a_trace_names_owners_and_counts_the_rows(assay: Any) -> None:
    _, out, _ = assay("predictions", "--about", "customer_id=C0012", "--limit", "1", "--json")
    one = json.loads(out)[0]["prediction_id"]
    _, out, _ = assay("trace", one)
    assert "owner payments" in out
    assert "source rows: 5 of clean/transfers; in 4 files (--rows names them)" in out
    _, out, _ = assay("trace", one, "--json")
    answer = json.loads(out)
    assert answer["source_rows"] == {"count": 5, "files": 4, "by_table": {"clean/transfers": 5}, "problem": ""}

    def owners(node: dict[str, Any]) -> set[str]:
        return {node["owner"]}.union(*map(owners, node["inputs"]))

    assert owners(answer["root"]) == {"", "payments"}


def test_a_file_in_a_folder_that_is_not_there_is_refused_before_the_work(assay: Any, tmp_path: Path) -> None:
    for option in ("--letter", "--export"):
        code, _, complaint = assay("why", "0" * 8, option, str(tmp_path / "none" / "answer"))
        assert (code, "there is no folder" in complaint) == (2, True)
