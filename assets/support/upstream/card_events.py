"""The card events: one Parquet file a day, a few events a day late, a few sent twice, one column renamed for two days."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from io import BytesIO
from random import Random

import polars as pl

from assay.assets.support.upstream.calendar import (
    DAYS,
    NUMBERS,
    RENAMED_HEALED_AFTER,
    RENAMED_NUMBERS,
    UNDUPLICATED_NUMBERS,
    day,
)
from assay.assets.support.upstream.customers import Regulars
from assay.assets.support.upstream.values import LandingFile, Planted

SCHEMA = {
    "event_id": pl.String,
    "customer_id": pl.String,
    "event_time": pl.Datetime("us", "UTC"),
    "kind": pl.String,
    "amount": pl.Float64,
}
PER_DAY, LATE, TWICE = 600, 0.02, 0.01

_KINDS, _KIND_WEIGHTS = ("purchase", "withdrawal", "topup", "refund", "decline"), (68, 12, 10, 5, 5)
_DEFECTS = {
    "negative_amount": ("amount.ge", (3, 12, 20, 27)),
    "null_amount": ("amount.not_null", (5, 13, 24)),
    "unknown_customer": ("customer_id.exists", (2, 9, 18, 25, 30)),
}

Event = dict[str, str | float | datetime | None]
# An event and, if it was planted, the rule that it breaks and its defect.
Marked = tuple[Event, tuple[str, str] | None]


def event_files() -> tuple[LandingFile, ...]:
    """Every event file there will ever be."""
    random = Random("assay/card_events")
    files: list[LandingFile] = []
    for number, rows in _deliveries(random).items():
        path = f"card_events/{day(number)}/events.parquet"
        file = _file(number, path, rows)
        if number not in RENAMED_NUMBERS:
            files.append(file)
            continue
        corrected = path.replace(".parquet", ".r1.parquet")
        broken = _frame(rows).rename({"amount": "amount_eur"})
        files += [
            replace(file, content=_bytes(broken), planted=(), defect="renamed_column", healed_by=corrected),
            replace(_file(number, corrected, rows), arrives=day(number + RENAMED_HEALED_AFTER)),
        ]
    return tuple(files)


def _deliveries(random: Random) -> dict[int, list[Marked]]:
    """The rows of each day's file: late ones first, then the day's, then those sent again."""
    regulars = Regulars()
    delivered: dict[int, list[Marked]] = {number: [] for number in NUMBERS}
    count = 0
    for number in NUMBERS:
        on_time: list[Marked] = []
        for event, planted in _events(number, count, regulars, random):
            late = number < DAYS and planted is None and random.random() < LATE
            (delivered[number + 1] if late else on_time).append((event, planted))
            count += 1
        delivered[number] += on_time
    for number, rows in delivered.items():
        if number in UNDUPLICATED_NUMBERS:
            continue
        later = [n for n in range(number, min(number + 5, DAYS + 1)) if n not in UNDUPLICATED_NUMBERS]
        originals = [event for event, planted in rows if planted is None]
        for event in random.sample(originals, round(TWICE * len(originals))):
            delivered[random.choice(later)].append((event, ("event_id.unique", "sent_twice")))
    return delivered


def _events(number: int, count: int, regulars: Regulars, random: Random) -> list[Marked]:
    """The events that happen on a day, in the order of time, with the defects of the day."""
    planted = [(rule, defect) for defect, (rule, numbers) in _DEFECTS.items() if number in numbers]
    size = PER_DAY + random.randint(-40, 40)
    midnight = datetime.combine(day(number), time(), UTC)
    moments = sorted(random.choices(range(86_400_000_000), k=size))
    spoilt = dict(zip(random.sample(range(size), len(planted)), planted, strict=True))
    rows: list[Marked] = []
    for index, (moment, customer) in enumerate(zip(moments, regulars.choose(day(number), size, random), strict=True)):
        event: Event = {
            "event_id": f"E{count + index + 1:08d}",
            "customer_id": customer,
            "event_time": midnight + timedelta(microseconds=moment),
            "kind": random.choices(_KINDS, _KIND_WEIGHTS)[0],
            "amount": round(random.lognormvariate(3, 1), 2),
        }
        rows.append((event if index not in spoilt else _spoiled(event, spoilt[index][1]), spoilt.get(index)))
    return rows


def _spoiled(event: Event, defect: str) -> Event:
    match defect:
        case "negative_amount":
            return event | {"amount": -12.5}
        case "null_amount":
            return event | {"amount": None}
        case _:
            return event | {"customer_id": f"C9{str(event['event_id'])[-4:]}"}


def _file(number: int, path: str, rows: list[Marked]) -> LandingFile:
    on = day(number)
    planted = tuple(
        Planted("card_events", on, path, index, str(event["event_id"]), *mark)
        for index, (event, mark) in enumerate(rows, start=1)
        if mark
    )
    return LandingFile("card_events", path, on, on, _bytes(_frame(rows)), len(rows), planted)


def _frame(rows: list[Marked]) -> pl.DataFrame:
    return pl.DataFrame([event for event, _ in rows], schema=SCHEMA)


def _bytes(frame: pl.DataFrame) -> bytes:
    buffer = BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()
