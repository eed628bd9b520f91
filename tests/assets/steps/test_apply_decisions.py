"""Decisions applied to random batches, against an oracle that goes row by row."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from assay.assets.steps.apply_decisions import DECISION, SCHEMA, STATUS, apply_decisions
from assay.checks import Contract, Field, Outcome, validate

TODAY = date(2026, 3, 10)
Row = tuple[str | None, str | None]


class Things(Contract):
    k: str = Field(key=True)
    v: int = Field(ge=0)


keys, values = st.sampled_from([None, "a", "b", "c"]), st.sampled_from([None, "1", "2", "-1", "x"])
decisions = st.fixed_dictionaries(
    {
        "row": st.integers(0, 7),
        "action": st.sampled_from(["release", "release", "release", "reject"]),
        "edits": st.sampled_from([{}, {"v": "3"}, {"v": "-3"}, {"k": "d"}, {"k": "a", "v": "5"}]),
        "exceptions": st.sampled_from([(), (), ("v.ge",)]),
        "until": st.sampled_from([None, TODAY - timedelta(days=1), TODAY]),
    }
)


def table(made: list[dict[str, Any]]) -> pl.DataFrame:
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    rows = [
        dict.fromkeys(SCHEMA)
        | {"_source_sha256": "s", "_row_number": item["row"], "decision_id": str(number), "action": item["action"]}
        | {"edits": json.dumps(item["edits"]), "exceptions": list(item["exceptions"]), "until": item["until"]}
        | {"decided_at": moment + timedelta(minutes=number)}
        for number, item in enumerate(made)
    ]
    return pl.DataFrame(rows, schema=SCHEMA)


def fits(row: Row, taken: set[str | None], exceptions: tuple[str, ...] = ()) -> bool:
    key, value = row
    right = value is not None and value != "x" and (int(value) >= 0 or "v.ge" in exceptions)
    return key is not None and right and key not in taken


def oracle(rows: list[Row], made: list[dict[str, Any]]) -> tuple[list[tuple[int, Row]], dict[int, str]]:
    """The clean rows in order and the status of each quarantined one."""
    clean: list[tuple[int, Row]] = []
    for number, row in enumerate(rows):
        if fits(row, {kept[0] for _, kept in clean}):
            clean.append((number, row))
    last = {item["row"]: item for item in made if item["row"] < len(rows)}
    last = {item["row"]: item for item in made if last.get(item["row"]) is item}  # in the order in which they were made
    out = [number for number, item in last.items() if item["action"] == "reject" or item["edits"]]
    clean = [(number, row) for number, row in clean if number not in out]
    status = dict.fromkeys(set(range(len(rows))) - {number for number, _ in clean}, "held")
    groups: dict[str, list[int]] = {}
    for number in [number for number in last if number in status]:
        item = last[number]
        over = item["until"] is not None and item["until"] < TODAY
        status[number] = "rejected" if item["action"] == "reject" else "expired" if over else "void"
        if status[number] == "void":
            groups.setdefault(f"{item['edits']} {item['exceptions']}", []).append(number)
    for group in groups.values():
        for number in sorted(group):
            item = last[number]
            row = (item["edits"].get("k", rows[number][0]), item["edits"].get("v", rows[number][1]))
            if fits(row, {kept[0] for _, kept in clean}, item["exceptions"]):
                clean.append((number, row))
                status[number] = "released"
    return clean, status


@given(rows=st.lists(st.tuples(keys, values), min_size=1, max_size=6), made=st.lists(decisions, max_size=6))
def test_decisions_give_what_an_oracle_says(rows: list[Row], made: list[dict[str, Any]]) -> None:
    links = {"_source_sha256": pl.Series(["s"] * len(rows)), "_row_number": pl.Series(range(len(rows)), dtype=pl.Int64)}
    text = {"k": pl.String, "v": pl.String}
    raw = pl.DataFrame(rows, schema=text, orient="row").with_columns(**links)

    def one(batch: pl.LazyFrame, contract: type[Contract], clean: pl.LazyFrame | None) -> Outcome:
        return validate(batch, contract, published=clean)

    outcome, settled = apply_decisions(raw.lazy(), Things, table(made), TODAY, one)
    clean, status = oracle(rows, made)
    clean_rows, quarantined = settled.clean.collect(), settled.quarantined.collect()
    found = clean_rows.select("_row_number", "k", "v").rows()
    assert found == [(number, key, int(value or "")) for number, (key, value) in clean]
    assert dict(quarantined.select("_row_number", STATUS).rows()) == status
    assert quarantined.select("k", "v").rows() == [rows[n] for n in quarantined["_row_number"]]
    assert outcome.report.rows_clean + outcome.report.rows_quarantined == len(rows)
    assert outcome.report.rows_clean == len(clean)
    if DECISION in clean_rows.columns:
        assert clean_rows[DECISION].null_count() == len(clean) - list(status.values()).count("released")
