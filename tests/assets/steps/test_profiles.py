"""Profiles of clean tables are kept with them, version by version, and hold nothing personal."""

import json
from typing import Any

import pytest

from assay.assets.steps.profiles import profile_of
from assay.checks.profiles.profile import profile
from assay.errors import AssayError


def clean_profile(shop: Any, version: int | None = None, *days: int) -> Any:
    return profile_of(shop.env.lake, "clean/orders", version, [shop.day(number) for number in days] or None)


def clean(shop: Any, version: int | None = None, *days: int) -> Any:
    state = shop.env.lake.table("clean/orders").at(version)
    frame = state.scan([shop.day(number) for number in days] or None).collect()
    return profile(frame, shop.package.orders.Orders)


def test_the_kept_profiles_are_those_of_the_table(shop: Any) -> None:
    assert clean_profile(shop, None, 2).to_dict() == clean(shop, None, 2).to_dict()
    whole = clean_profile(shop)
    assert whole.rows == shop.frame("clean/orders").height == 9
    assert whole.summary() == clean(shop).summary()
    amount = whole.columns["amount"]
    assert (amount.low.rank, amount.high.rank, amount.quantiles.quantiles([0.5])) == (10.0, 30.0, [20.0])
    rows = shop.frame("profiles/orders").filter(partition_key=shop.day(1), column="amount")
    assert rows.select("rows", "null", "min", "max", "mean").rows() == [(3, 0, "10.0", "30.0", 20.0)]


def test_a_profile_belongs_to_a_version(shop: Any) -> None:
    before = shop.version("clean/orders")
    shop.drop(2, shop.csv(2, 100.0))
    shop.run()
    shop.drop(2, shop.csv(2, 200.0))
    shop.run()
    versions = [before, *range(before + 1, shop.version("clean/orders") + 1)]
    assert len(versions) == 3
    found = [clean_profile(shop, version, 2) for version in versions]
    assert [item.columns["amount"].high.rank for item in found] == [30.0, 100.0, 200.0]
    for version in versions:
        amounts = [whole.columns["amount"] for whole in (clean_profile(shop, version), clean(shop, version))]
        assert len({(item.count, item.low, item.high, str(item.histogram)) for item in amounts}) == 1


def test_rows_that_change_nothing_in_the_profile_keep_it(shop: Any) -> None:
    """Other spellings of a personal value, of the same kind: the clean table has a new version, its profile does not."""
    kept, before = shop.version("profiles/orders"), shop.version("clean/orders")
    shop.drop(2, shop.csv(2, 10.0, 20.0, -5.0, 30.0).replace(b"\n", b"\r\n"))
    shop.run()
    assert shop.version("profiles/orders") == kept
    assert shop.version("clean/orders") == before + 1
    assert (
        clean_profile(shop, None, 2).to_dict()
        == clean_profile(shop, before, 2).to_dict()
        == clean(shop, None, 2).to_dict()
    )


def test_nothing_personal_is_kept(shop: Any) -> None:
    assert {"Ada Byron", "Bob Noyce"} == set(shop.frame("clean/orders")["shopper"])
    kept = json.dumps(shop.frame("profiles/orders").to_dicts(), default=str)
    assert not {name for name in ("Ada", "Byron", "Bob", "Noyce") if name in kept}
    folder = shop.home / "lake" / "profiles" / "orders"
    log = "".join(file.read_text() for file in (folder / "_delta_log").glob("*.json"))
    assert not {name for name in ("Ada", "Byron", "Bob", "Noyce") if name in log}


def test_tables_and_days_without_a_profile_say_so(shop: Any) -> None:
    with pytest.raises(AssayError, match="raw/orders has no profile"):
        profile_of(shop.env.lake, "raw/orders")
    with pytest.raises(AssayError, match=r"no profile of clean/orders \(2026-03-09\)"):
        clean_profile(shop, None, 9)
