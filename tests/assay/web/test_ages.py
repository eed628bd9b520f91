"""A source that is older than promised is amber on the first page and on its own, and never plain green."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from starlette.testclient import TestClient

from assay.features.tables.freshness import PROMISE, Promise
from assay.features.tables.run_record import CheckResult, NullRecorder, Work
from assay.features.tables.transaction import transaction
from tests.assay.web.reading import Page
from tests.assay.web.test_missing import badges

TABLE = "clean/readings"
AT = datetime(2026, 3, 3, 12, tzinfo=UTC)


@pytest.mark.parametrize(("days", "states"), [(100_000, ["ok"]), (1, ["ok", "warned"]), (None, ["ok"])])
def test_its_age_stands_beside_its_checks(own_desk: Any, days: int | None, states: list[str]) -> None:
    with transaction(own_desk.lake, NullRecorder(), Work(TABLE, "2026-03-03", "1")) as tx:
        tx.check(CheckResult("at.not_null", TABLE, True, evaluated=1))
        tx.write(TABLE, pl.DataFrame({"at": [AT]}).cast(pl.Datetime("us", "UTC")))
        if days is not None:
            tx.extra[PROMISE] = Promise(timedelta(days=days).total_seconds(), "at").to_dict()
    client = TestClient(own_desk.app)
    html = client.get("/").text
    assert badges(html, TABLE) == states
    text = Page(client.get(f"/versions/{TABLE}").text).text
    is_old = len(states) == 2
    assert ("Older than promised" in text) == ("Older than promised" in Page(html).text) == is_old
    assert ("allowed" in text) == (days is not None)
