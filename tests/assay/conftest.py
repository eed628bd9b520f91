"""Two days of the shipped domain, on either side of the first test day, materialised once by the real command."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from assay.cli import main

DAYS = ("2026-09-23", "2026-09-24")


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(scope="session")
def two_days(
    made_once: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
    new_place: Callable[..., Any],
    quick_model: Path,
) -> Any:
    settings = {"ASSAY_EMBEDDING_MODEL": str(quick_model)}

    def make(folder: Path) -> None:
        place = new_place(folder, settings)
        place.assay("demo", "--until", DAYS[1])
        place.assay("materialize", "--range", ":".join(DAYS))

    # A copy, since tests write to it: another process has its own.
    folder = tmp_path_factory.mktemp("desk")
    shutil.copytree(made_once("two-days", make), folder, dirs_exist_ok=True)
    return new_place(folder, settings)


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., Answer]:
    """The command, in this process, with a home of its own, or that of a `place`."""

    def run(*arguments: str, place: Any = None) -> Answer:
        own = {"ASSAY_HOME": str(tmp_path / "var"), "DAGSTER_HOME": str(tmp_path / "dagster")}
        for name, value in (place.environment if place else own).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        said = capsys.readouterr()
        return Answer(int(ended.value.code or 0), said.out, said.err)

    return run


@pytest.fixture
def desk(cli: Callable[..., Answer], two_days: Any) -> Callable[..., Answer]:
    """The command on the two days."""
    return lambda *arguments: cli(*arguments, place=two_days)


@pytest.fixture(scope="session")
def bank_home(made_once: Callable[..., Path]) -> Path:
    """What the bank of `tests.assay.why.bank` keeps after its week: made once, to be copied."""
    from tests.assay.why.bank import a_week_of_everything, opened

    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch, opened(folder, patch) as made:
            a_week_of_everything(made)

    return made_once("bank", make) / "var"


@pytest.fixture(scope="module")
def bank(bank_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A bank with its week behind it, which the tests of a file share."""
    from tests.assay.why.bank import opened

    folder = tmp_path_factory.mktemp("own-bank")
    shutil.copytree(bank_home, folder / "var")
    with pytest.MonkeyPatch.context() as patch, opened(folder, patch) as made:
        yield made
