"""How every command speaks: help with an example, errors in one line, JSON for scripts, exit codes."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import polars as pl
import pytest

import assay
from assay.cli import COMMANDS, exit_codes, main
from assay.cli import cli as command
from assay.cli.completion import SHELLS
from assay.cli.output import print_json
from assay.features.tables.run_record import Work

ROOT = Path(__file__).resolve().parents[2]


def commands(
    group: click.Group = command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name in group.list_commands(click.Context(group)):
        found = group.get_command(click.Context(group), name)
        assert found is not None
        if isinstance(found, click.Group):
            yield from commands(found, (*path, name))
        else:
            yield (*path, name), found


ALL = dict(commands())


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_explains_itself_with_an_example(path: tuple[str, ...], cli: Callable[..., Any]) -> None:
    answer = cli(*path, "--help")
    assert answer.code == 0
    assert re.search(r"Examples?:\n +assay ", answer.out), "show how it is used"
    assert f"assay {' '.join(path)}" in answer.out.partition("Example")[2]


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_that_answers_can_answer_in_json(path: tuple[str, ...]) -> None:
    options = {option for parameter in ALL[path].params for option in parameter.opts}
    assert "--json" in options


def test_every_command_and_exit_code_is_documented() -> None:
    text = (ROOT / "docs" / "cli.md").read_text()
    documented = {
        " ".join(words) for words in (found.split() for found in re.findall(r"^\| `assay (.+?)` \|", text, re.M))
    }
    of_assay = [" ".join(path) for path in ALL if path[0] in COMMANDS]
    assert sorted(name for name in of_assay if not any(f"{d} ".startswith(f"{name} ") for d in documented)) == []
    assert [line for line in documented if not any(f"{line} ".startswith(f"{name} ") for name in of_assay)] == []
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.M)}
    assert codes == {value for name, value in vars(exit_codes).items() if name.startswith("EXIT_")}


def test_what_is_misspelt_is_refused_with_what_was_meant(cli: Callable[..., Any], tmp_path: Path) -> None:
    with assay.open(home=tmp_path / "var").transaction("clean/tickets") as tx:
        tx.write("clean/tickets", pl.DataFrame({"a": [1]}))
    for arguments, code, meant in (
        (["materialise"], 2, "materialize"),
        (["quarantine", "lsit"], 2, "list"),
        (["tables", "--jsn"], 2, "--json"),
        (["materialize", "clean/tickts"], 1, "clean/tickets"),
        (["tables", "clean/tikets"], 1, "clean/tickets"),
        (["quarantine", "release", "tickts", "--reason", "x"], 1, "tickets"),
        (["report", "ticketz"], 1, "tickets"),
        (["sources", "describe", "ticket"], 1, "tickets"),
        (["views", "describe", "tickets"], 1, "ticket"),
    ):
        answer = cli(*arguments)
        assert answer.code == code, arguments
        assert f"Did you mean {meant!r}?" in answer.err, answer.err


def test_nouns_list_and_describe(cli: Callable[..., Any], tmp_path: Path) -> None:
    assert {row["source"] for row in cli("sources", "--json").data} == {"card_events", "customers", "tickets"}
    assert cli("sources", "list", "--json").data == cli("sources", "--json").data
    tickets = cli("sources", "describe", "tickets", "--json").data
    assert tickets["key"] == ["ticket_id"]
    assert {"column": "text", "type": "String", "nullable": False, "pii": "text"}.keys() == tickets["columns"][0].keys()
    assert "channel.isin" in cli("sources", "describe", "tickets").out
    views = {row["view"]: row for row in cli("views", "--json").data}
    assert set(views) == {"customer_activity", "customer_contact", "customer_habits", "ticket", "writing"}
    assert views["writing"]["reads"] == "features/customer_habits"
    assert cli("views", "describe", "writing", "--json").data["inputs"] == {"length": "Int64"}
    features = cli("views", "describe", "customer_activity", "--json").data["features"]
    assert "customer_activity:tickets_7d" in {row["feature"] for row in features}
    for noun in ("training-sets", "models", "pins"):
        assert cli(noun, "--json").data == []
        assert cli(noun).out == f"There are no {noun.replace('-', ' ')} yet.\n"
    assert not (tmp_path / "var" / "lake").exists(), "looking makes nothing"


def test_pins_are_listed_and_described(cli: Callable[..., Any], tmp_path: Path) -> None:
    with assay.open(home=tmp_path / "var").transaction("clean/t") as tx:
        tx.write("clean/t", pl.DataFrame({"a": [1]}))
    assert cli("pin", "add", "audit", "clean/t", "--owner", "gov", "--reason", "complaint").code == 0
    assert [(row["pin"], row["snapshots"]) for row in cli("pins", "--json").data] == [("audit", 1)]
    described = cli("pins", "describe", "audit", "--json").data
    assert (described["owner"], described["reason"]) == ("gov", "complaint")
    assert "Did you mean 'audit'?" in cli("pins", "describe", "audits").err


def test_a_vacuum_deletes_nothing_without_yes(cli: Callable[..., Any], tmp_path: Path) -> None:
    store = assay.open(home=tmp_path / "var")
    for value in (1, 2):
        with store.transaction("clean/t") as tx:
            tx.write("clean/t", pl.DataFrame({"a": [value]}))
    files = set((tmp_path / "var").rglob("*.parquet"))
    assert "add --yes" in cli("vacuum", "--keep-days", "0").out
    assert set((tmp_path / "var").rglob("*.parquet")) == files
    assert cli("vacuum", "--keep-days", "0", "--delete").code == 0, "the former name of --yes"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_installed_once(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shell: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", f"/bin/{shell}")
    name, line = SHELLS[shell]
    assert f"Added to {tmp_path / name}" in cli("--install-completion").out
    assert cli("--install-completion", shell).out == f"{tmp_path / name} has it already.\n"
    assert (tmp_path / name).read_text() == f"{line}\n"
    done = subprocess.run(
        [str(Path(sys.executable).with_name("assay"))],
        env={**os.environ, "_ASSAY_COMPLETE": f"{shell}_source"},
        capture_output=True,
        text=True,
    )
    assert "_assay_completion" in done.stdout, "the shell gets a script"


def test_a_shell_that_is_not_known_is_refused(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    answer = cli("--install-completion")
    assert (answer.code, answer.err) == (1, "Error: The shell tcsh is not known: name one of bash, zsh, fish.\n")


def test_the_version_is_printed(cli: Callable[..., Any]) -> None:
    assert re.fullmatch(r"assay, version \d+\.\d+\.\d+\S*\n", cli("--version").out)


def test_the_list_of_commands_says_what_they_say_themselves() -> None:
    for name, (_, _, text) in COMMANDS.items():
        found = command.get_command(click.Context(command), name)
        assert found is not None
        assert found.get_short_help_str(500) == text


@pytest.mark.parametrize("duckdb", [False, True])
def test_no_time_is_spent_on_garbage_at_the_exit(duckdb: bool) -> None:
    if duckdb:
        pytest.importorskip("duckdb")
    code = f"""
import atexit, gc
atexit.register(lambda: print(gc.get_freeze_count() > 1000))  # after what is registered later
if {duckdb}:
    import duckdb
    duckdb.connect().execute("select 1").fetchall()
from assay.cli import main
main(["--version"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.splitlines()[-1], done.stderr) == (str(not duckdb), "")


def test_help_loads_neither_dagster_nor_models_nor_frames(tmp_path: Path) -> None:
    code = (
        "import sys, assay.cli\n"
        "try: assay.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('dagster', 'torch', 'polars', 'pydantic', 'assay.store') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["materialize", "--range", "yesterday"], "'yesterday' is not a day (2026-09-03) or a range"),
        (["materialize", "--range", "2026-09-31:2026-10-02"], "'2026-09-31:2026-10-02' is not a day"),
        (["materialize", "--range", "2026-09-03:2026-09-01"], "The range 2026-09-03:2026-09-01 ends before it starts."),
        (["materialize", "--partition", "2026-09-03", "--range", "2026-09-03:2026-09-04"], "not both"),
        (
            ["materialize", "clean/tickts"],
            "No asset is called 'clean/tickts'. Did you mean 'clean/tickets'? There are: ",
        ),
        (["materialize", "--partition", "2026-09-03", "raw/tickets"], "tickets has delivered nothing for 2026-09-03"),
        (["tables", "clean/nothing"], "There is no table clean/nothing in "),
        (["tables", "../secret"], "'../secret' is not a table name"),
        (["trace", "01990000-0000-7000-8000-000000000000"], "01990000-0000-7000-8000-000000000000"),
        (["impact", "clean/nothing@3"], "There is no table clean/nothing in "),
        (["lineage", "columns", "clean/nothing", "text"], "There is no table clean/nothing in "),
        (
            ["lineage", "diff", "clean/a@1", "clean/a@2"],
            "no dataset clean/a@1. Ids look like dataset:assay:clean/tickets@3",
        ),
        (["features", "get", "customer_activity", "C00012"], "'C00012' is not COLUMN=VALUE"),
        (["features", "training-set", "router"], "Ids look like 'router@3'"),
        (["quarantine", "show", "nothing"], "There is no table quarantine/nothing"),
        (["demo", "--tickets", "."], "give the folder of banking77's train.csv and test.csv"),
        (["pin", "remove", "nothing"], "nothing"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_errors_are_one_line_that_says_what_to_do(cli: Callable[..., Any], arguments: list[str], said: str) -> None:
    answer = cli(*arguments)
    assert answer.code == 1
    assert said in answer.err
    assert answer.err.startswith("Error: ")
    assert answer.err.count("\n") == 1
    assert answer.out == ""


def test_wrong_usage_is_exit_code_2(cli: Callable[..., Any]) -> None:
    for arguments in (
        ["no-such-command"],
        ["materialize", "--no-such-option"],
        ["trace"],
        ["pin", "add", "x"],
        ["impact", "a@1", "--version", "2"],
    ):
        answer = cli(*arguments)
        assert answer.code == 2, arguments
        assert "Error: " in answer.err


def test_an_empty_home_says_where_to_begin(cli: Callable[..., Any], tmp_path: Path) -> None:
    answer = cli("tables")
    assert answer.code == 0
    assert "yet: run `assay materialize`" in answer.out
    assert cli("tables", "--json").data == []
    assert cli("quarantine", "list").out == "Nothing is in quarantine.\n"
    assert not (tmp_path / "var" / "lake").exists(), "looking makes nothing"


def test_doctor_finds_what_is_wrong(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    healthy = cli("doctor", "--json")
    assert healthy.code == 0
    assert {finding["what"] for finding in healthy.data} >= {"python", "packages", "lake", "embedding model"}
    assert all(finding["ok"] for finding in healthy.data)
    monkeypatch.setenv("ASSAY_EMBEDDING_MODEL", str(tmp_path / "no-model"))
    ill = cli("doctor", "--json")
    assert ill.code == 3
    (model,) = [finding for finding in ill.data if not finding["ok"]]
    assert model["what"] == "embedding model"
    assert "Correct ASSAY_EMBEDDING_MODEL, or unset it." in model["detail"]
    assert "✗ embedding model" in cli("doctor").out


def test_doctor_counts_runs_without_an_end_and_says_why_nothing_is_forwarded(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def finding() -> dict[str, Any]:
        return next(item for item in cli("doctor", "--json").data if item["what"] == "lineage store")

    assay.open(home=tmp_path / "var").recorder.started(Work("clean/t"))
    assert finding()["detail"].startswith("1 run, 1 of them without an end")
    monkeypatch.setenv("ASSAY_OPENLINEAGE_TRANSPORT", "no-such-file.yml")
    assert not finding()["ok"]
    assert finding()["detail"] == "The file of the OpenLineage transport cannot be read (FileNotFoundError)."


def test_doctor_tells_no_password(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_LINEAGE_DB", "postgresql://assay:s3cret@127.0.0.1:1/lineage")
    answer = cli("doctor")
    assert answer.code == 3
    assert "✗ lineage store" in answer.out
    assert "s3cret" not in answer.out + answer.err


def test_json_has_no_numbers_that_json_does_not_have(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"answer": {"rain": float("nan"), "list": [1.5, float("-inf"), None]}})
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {
        "answer": {"rain": "nan", "list": [1.5, "-inf", None]}
    }


def test_a_database_that_is_down_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ASSAY_LINEAGE_DB", "postgresql://me:hunter2@127.0.0.1:1/db")
    with pytest.raises(SystemExit) as ended:
        main(["lineage", "search", "x"])
    assert ended.value.code == 1
    told = capsys.readouterr().err
    assert (
        told.startswith("Error: The database cannot be reached.") and "hunter2" not in told and "Traceback" not in told
    )


def test_a_project_that_declares_nothing_is_not_up_to_date(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "project" / "bare_project"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package.parent / "pyproject.toml").write_text('[tool.assay]\ndomains = ["bare_project"]\n')
    monkeypatch.setenv("ASSAY_PROJECT", str(package.parent))
    for arguments in (("materialize",), ("materialize", "--dry-run"), ("status",)):
        answer = cli(*arguments)
        assert (answer.code, answer.out) == (1, ""), arguments
        said = " ".join(answer.err.split())
        assert "Project bare_project declares nothing" in said
        assert str(package) in said.replace(" ", ""), "where it looked"
    (checked,) = [line for line in cli("doctor", "--json").data if line["what"] == "project"]
    assert not checked["ok"]
