"""A call for one partition names those that it leaves to be judged again."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from assay.assets.declarations import declarations
from assay.assets.planning.displaced import displaced
from assay.cli import main


@pytest.fixture
def materialized(
    new_shop: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    monkeypatch.setenv("DAGSTER_HOME", str(new_shop.home / "dagster"))
    declarations.cache_clear()

    def run(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(["materialize", *arguments])
        shown = capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return code, shown.out if "--json" in arguments else " ".join((shown.out + shown.err).split())

    return run


def test_what_gives_way_to_a_chosen_partition_is_named_until_it_is_judged_again(
    new_shop: Any, materialized: Callable[..., tuple[int, str]]
) -> None:
    new_shop.drop(
        2, new_shop.csv(1, 10.0) + new_shop.csv(2, 10.0).partition(b"\n")[2]
    )  # and an order of the day before
    new_shop.drop(3, new_shop.csv(3, 10.0))
    assert materialized()[0] == 0
    new_shop.drop(1, new_shop.csv(1, 10.0))
    code, text = materialized("--partition", new_shop.day(1))
    said = (
        "clean/orders 2026-03-02: rows lost to rows that were just published, and are in both until `assay materialize"
    )
    assert code == 3 and f"{said} clean/orders` judges it again." in text and "Everything is up to date" not in text
    (version,) = [f"clean/orders@{new_shop.version('clean/orders')}"]
    (left,) = displaced(new_shop.steps, new_shop.env, [version, "raw/orders@0"])
    assert left.to_dict() == {"table": "clean/orders", "partitions": [new_shop.day(2)]}
    assert displaced([], new_shop.env, [version]) == []
    code, text = materialized("--json")
    assert (code, json.loads(text)["displaced"]) == (0, [])
    assert displaced(new_shop.steps, new_shop.env, [version]) == [], "it was judged"

    # Of a call for everything nothing is left, and JSON has it, too.
    new_shop.drop(2, new_shop.csv(1, 10.0, 5.0) + new_shop.csv(2, 10.0).partition(b"\n")[2])
    assert materialized()[0] == 0
    new_shop.drop(1, new_shop.csv(1, 10.0, 5.0))
    code, text = materialized("--partition", new_shop.day(1), "--json")
    assert (code, json.loads(text)["displaced"]) == (3, [left.to_dict()])
