"""The upstream is checked from outside: the files are read back with the standard library and Polars, not with our readers."""

import csv
import hashlib
import io
import json
import re
import sqlite3
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

from assay.assets.sources.dispatch import read_delivery
from assay.assets.sources.landing.listing import partitions_in
from assay.assets.sources.landing.places import places_of
from assay.assets.sources.landing.scan import scan_partition
from assay.assets.support.upstream import Summary, replay
from assay.errors import AssayError
from assay.features import Partitioning
from tests.conftest import SOAK

BANKING77 = Path(__file__).parents[5] / "shared" / "data" / "banking77"
TICKET = ("ticket_id", "customer_id", "created_at", "channel", "text", "intent")

Row = dict[str, Any]


class Upstream:
    """One full replay, and its files read independently."""

    def __init__(self, landing: Path, tickets: Path | None) -> None:
        self.tickets = tickets
        self.landing = landing
        self.summary: Summary = replay(landing, tickets=tickets)
        self.truth = json.loads(self.summary.truth_path.read_text())
        ignored = {entry["file"] for entry in self.truth["files"]}
        self.files = {
            path: _records(file)
            for file in sorted(landing.glob("*/*/*"))
            if (path := file.relative_to(landing).as_posix()) not in ignored
        }
        with sqlite3.connect(landing / "customers.db") as connection:
            connection.row_factory = sqlite3.Row
            query = "SELECT * FROM customers ORDER BY updated_at, customer_id"
            self.customers = [dict(row) for row in connection.execute(query)]
        connection.close()

    def rows(self, source: str) -> list[tuple[str, int, Row | str]]:
        """(path, row number, row or the rule of an unreadable line) in processing order."""
        return [
            (path, number, row)
            for path, rows in sorted(self.files.items())
            if path.startswith(source)
            for number, row in enumerate(rows, start=1)
        ]

    def planted(self, source: str) -> dict[tuple[str, int], str]:
        return {(r["file"], r["row_number"]): r["rule"] for r in self.truth["rows"] if r["source"] == source}


@pytest.fixture(scope="module", params=["generated", "banking77"])
def any_upstream(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Upstream:
    if request.param == "banking77" and not BANKING77.is_dir():
        pytest.skip(f"the real tickets are not at {BANKING77}")
    landing = tmp_path_factory.mktemp(request.param) / "landing"
    return Upstream(landing, BANKING77 if request.param == "banking77" else None)


@pytest.fixture(scope="module", params=[False, True] if SOAK else [False])
def upstream(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Upstream:
    """The invented tickets; in the soak the real ones, too, of which only the texts are others."""
    landing = tmp_path_factory.mktemp("upstream") / "landing"
    return Upstream(landing, BANKING77 if request.param and BANKING77.is_dir() else None)


def _records(file: Path) -> list[Row | str]:
    """The records of a file; what is no record is the name of the rule that says so."""
    if file.suffix == ".parquet":
        return list(pl.read_parquet(file).iter_rows(named=True))
    if file.suffix == ".jsonl":
        return [_json_record(line) for line in file.read_bytes().splitlines()]
    return _csv_records(file.read_bytes())


def _json_record(line: bytes) -> Row | str:
    try:
        return json.loads(line)
    except UnicodeDecodeError:
        return "row.encoding"
    except json.JSONDecodeError:
        return "row.unparsable"


def _csv_records(content: bytes) -> list[Row | str]:
    # Legal multi-line fields are closed before the next record, so the standard reader finds the records; that null and ""
    # differ is seen in the raw text.
    text = content.decode(errors="surrogateescape")
    header, *records = csv.reader(io.StringIO(text, newline=""))
    assert tuple(header) == TICKET
    found: list[Row | str] = []
    for fields in records:
        if re.search("[\udc80-\udcff]", "".join(fields)):
            found.append("row.encoding")
        elif len(fields) != len(header):
            found.append("row.unparsable")
        else:
            row = dict(zip(header, fields, strict=True))
            unquoted = f"{row['ticket_id']},{row['customer_id']},{row['created_at']},{row['channel']},,"
            found.append(row | {"text": None if unquoted in text else row["text"], "intent": row["intent"] or None})
    return found


def _luhn(digits: str) -> bool:
    doubled = [sum(divmod(int(d) * (1 + n % 2), 10)) for n, d in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0


def _ticket_rules(row: Row | str, seen: set[str], customers: set[str], day: str) -> list[str]:
    """An independent, row-by-row reading of what the support desk's contract asks for."""
    if isinstance(row, str):
        return [row]
    broken = []
    if row["text"] is None:
        broken.append("text.not_null")
    else:
        if not row["text"].strip():
            broken.append("text.not_empty")
        if re.search(r"\S@\S+\.\w", row["text"]):
            broken.append("text.no_email")
        if any(_luhn(re.sub(r"\D", "", run)) for run in re.findall(r"\d(?:[ -]?\d){12,18}", row["text"])):
            broken.append("text.no_card_number")
    if row["channel"] not in ("email", "chat", "phone", "web"):
        broken.append("channel.isin")
    if row["ticket_id"] in seen:
        broken.append("ticket_id.unique")
    if row["customer_id"] not in customers:
        broken.append("customer_id.exists")
    try:
        date.fromisoformat(row["created_at"][:10])
        assert re.fullmatch(rf"{day}T\d\d:\d\d:\d\dZ", row["created_at"])
    except ValueError:
        broken.append("created_at.dtype")
    return broken


def test_exactly_the_planted_ticket_rows_break_exactly_their_rule(any_upstream: Upstream) -> None:
    customers = {customer["customer_id"] for customer in any_upstream.customers}
    seen: set[str] = set()
    found = {}
    for path, number, row in any_upstream.rows("tickets"):
        rules = _ticket_rules(row, seen, customers, path.split("/")[1])
        assert len(rules) <= 1
        if rules:
            found[path, number] = rules[0]
        else:
            assert isinstance(row, dict)
            assert re.fullmatch(r"T\d{7}", row["ticket_id"])
            seen.add(row["ticket_id"])
    assert found == any_upstream.planted("tickets")
    assert set(found.values()) == {
        "text.not_null", "text.not_empty", "channel.isin", "ticket_id.unique", "row.unparsable", "row.encoding",
        "created_at.dtype", "customer_id.exists", "text.no_email", "text.no_card_number",
    }  # fmt: skip
    formats = {(rule, Path(path).suffix) for (path, _), rule in found.items()}
    assert {(rule, kind) for rule in ("row.unparsable", "row.encoding") for kind in (".csv", ".jsonl")} <= formats


def test_the_readers_find_the_same_records(any_upstream: Upstream) -> None:
    for source in ("tickets", "card_events"):
        places = places_of(source + "/{day}/*", Partitioning.daily("2026-01-01"))
        found: dict[str, list[Row | str]] = {}
        for day in partitions_in(any_upstream.landing, places):
            for delivery in scan_partition(any_upstream.landing, places, day):
                if delivery.path in any_upstream.files:
                    assert delivery.superseded_by is None
                    frame = read_delivery(delivery, delivery.content())
                    rows = frame.drop("_row_number", "_defect", "_line", "_json", strict=False).iter_rows(named=True)
                    defects = frame["_defect"].to_list()
                    found[delivery.path] = [f"row.{d}" if d else r for r, d in zip(rows, defects, strict=True)]
        assert found == {path: rows for path, rows in any_upstream.files.items() if path.startswith(source)}


def test_exactly_the_planted_events_break_exactly_their_rule(upstream: Upstream) -> None:
    customers = {customer["customer_id"] for customer in upstream.customers}
    seen: dict[str, Row] = {}
    found = {}
    for path, number, row in upstream.rows("card_events"):
        assert isinstance(row, dict)
        rules = ["event_id.unique"] * (row["event_id"] in seen)
        rules += ["customer_id.exists"] * (row["customer_id"] not in customers)
        rules += ["amount.not_null"] * (row["amount"] is None) + ["amount.ge"] * ((row["amount"] or 0) < 0)
        assert len(rules) <= 1
        assert row["kind"] in ("purchase", "refund", "withdrawal", "topup", "decline")
        if rules:
            found[path, number] = rules[0]
            assert row == seen.get(row["event_id"], row)
        else:
            seen[row["event_id"]] = row
    assert found == upstream.planted("card_events")
    assert set(found.values()) == {"event_id.unique", "customer_id.exists", "amount.not_null", "amount.ge"}


def test_events_are_late_by_a_day_at_most_and_sent_twice_as_often_as_said(upstream: Upstream) -> None:
    rows = upstream.rows("card_events")
    again = {place for place, rule in upstream.planted("card_events").items() if rule == "event_id.unique"}
    assert 0.008 < len(again) / len(rows) < 0.012
    lateness = Counter(
        (date.fromisoformat(path.split("/")[1]) - row["event_time"].date()).days
        for path, number, row in rows
        if isinstance(row, dict) and (path, number) not in again
    )
    assert set(lateness) == {0, 1}
    assert 0.015 < lateness[1] / len(rows) < 0.025
    frames = [pl.read_parquet(upstream.landing / path) for path in upstream.files if path.startswith("card_events")]
    assert {frame.schema["event_time"] for frame in frames} == {pl.Datetime("us", "UTC")}
    assert {frame.schema["amount"] for frame in frames} == {pl.Float64()}
    assert all(500 < frame.height < 700 for frame in frames)


def test_no_event_sent_twice_has_a_copy_near_the_broken_days(upstream: Upstream) -> None:
    days = {}
    for path, _, row in upstream.rows("card_events"):
        assert isinstance(row, dict)
        days.setdefault(row["event_id"], []).append(int(path[20:22]))
    assert not any(11 <= day <= 16 for copies in days.values() if len(copies) > 1 for day in copies)
    assert {len(set(copies)) for copies in days.values() if len(copies) > 1} == {1, 2}


def test_counts_are_those_of_the_files(upstream: Upstream) -> None:
    raw = Counter((path.split("/")[0], path.split("/")[1]) for path, rows in upstream.files.items() for _ in rows)
    raw_counts = {(source, day): count for (source, day), count in raw.items()} | {
        ("customers", None): len(upstream.customers)
    }
    bad = Counter((row["source"], row["partition"]) for row in upstream.truth["rows"])
    assert {
        (c["source"], c["partition"]): (c["raw"], c["clean"], c["quarantined"]) for c in upstream.truth["counts"]
    } == {place: (count, count - bad[place], bad[place]) for place, count in raw_counts.items()}
    assert sum(count for (source, _), count in raw.items() if source == "tickets") == upstream.summary.tickets
    assert sum(count for (source, _), count in raw.items() if source == "card_events") == upstream.summary.events
    assert len(raw) == 60


def test_every_text_is_in_one_clean_ticket_on_the_days_of_its_split(any_upstream: Upstream) -> None:
    planted = any_upstream.planted("tickets")
    clean = [
        (p.split("/")[1], r)
        for p, n, r in any_upstream.rows("tickets")
        if (p, n) not in planted and isinstance(r, dict)
    ]
    train = [row for day, row in clean if day < "2026-09-24"]
    test = [row for day, row in clean if day >= "2026-09-24"]
    assert all(row["intent"] for row in test)
    assert 0.94 < sum(row["intent"] is not None for row in train) / len(train) < 0.96
    if any_upstream.tickets is None:
        assert (len(train), len(test)) == (4_600, 1_400)
        assert len({row["text"] for row in train + test}) == 6_000
        return
    for rows, split in ((train, "train.csv"), (test, "test.csv")):
        with (any_upstream.tickets / split).open(newline="", encoding="utf-8") as stream:
            real = {row["text"]: row["category"] for row in csv.DictReader(stream)}
        assert Counter(row["text"] for row in rows) == Counter(list(real))
        assert all(row["intent"] in (real[row["text"]], None) for row in rows)


def test_broken_files_are_what_the_truth_says_and_have_corrections(upstream: Upstream) -> None:
    stories = {entry["file"]: entry for entry in upstream.truth["files"]}
    assert Counter(entry["defect"] for entry in stories.values()) == {
        "renamed_column": 2,
        "empty_file": 1,
        "resent_file": 1,
    }
    for path, entry in stories.items():
        content = (upstream.landing / path).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
        assert path.split("/")[1] == entry["partition"]
        if entry["defect"] == "resent_file":
            assert content == (upstream.landing / entry["copy_of"]).read_bytes()
            assert path.split("/")[1] > entry["copy_of"].split("/")[1]
            continue
        healed = upstream.landing / entry["healed_by"]
        assert healed.name == Path(path).stem + ".r1" + healed.suffix
        if entry["defect"] == "empty_file":
            assert content == b""
            assert len(upstream.files[entry["healed_by"]]) > 20
        else:
            broken = pl.read_parquet(upstream.landing / path)
            assert broken.rename({entry["delivered_column"]: entry["expected_column"]}).equals(pl.read_parquet(healed))


def test_one_day_is_ten_times_as_full(upstream: Upstream) -> None:
    counts = {c["partition"]: c["raw"] for c in upstream.truth["counts"] if c["source"] == "tickets"}
    (flood,) = upstream.truth["volume"]
    assert max(counts, key=lambda day: counts[day]) == flood["partition"] == "2026-09-17"
    assert counts.pop(flood["partition"]) == flood["rows"]
    assert 8 < flood["rows"] / flood["usual"] < 12
    assert all(0.5 < count / flood["usual"] < 2 for count in counts.values())


def test_customers_are_invented_and_only_the_variants_share_a_name(upstream: Upstream) -> None:
    def canonical(name: str) -> str:
        words = re.sub(r"[^\w\s]", " ", name.casefold()).split()
        return " ".join("ltd" if word == "limited" else word for word in words)

    variants = {row["key"] for row in upstream.truth["rows"] if row["source"] == "customers"}
    seen: set[str] = set()
    found: set[str] = set()
    for customer in upstream.customers:
        assert re.fullmatch(r"[^@\s]+@example\.(com|org)", customer["email"])
        assert customer["phone"].startswith("+1-555-")
        assert customer["signed_up_at"] <= customer["updated_at"] < "2026-10-01"
        name = canonical(customer["name"])
        if name in seen:
            found.add(customer["customer_id"])
        seen.add(name)
    assert found == variants
    assert len(variants) == 8
    assert len(upstream.customers) == 800
    used = {r["customer_id"] for s in ("tickets", "card_events") for _, _, r in upstream.rows(s) if isinstance(r, dict)}
    assert not used & variants
    joined = {customer["customer_id"]: customer["signed_up_at"][:10] for customer in upstream.customers}
    for path, _, row in upstream.rows("tickets"):
        assert isinstance(row, str) or joined.get(row["customer_id"], "") < path.split("/")[1]


def _tree(folder: Path) -> dict[str, tuple[str, int]]:
    return {
        file.relative_to(folder).as_posix(): (hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_mtime_ns)
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def test_again_writes_nothing_and_elsewhere_the_same_bytes(upstream: Upstream, tmp_path: Path) -> None:
    before = _tree(upstream.landing.parent)
    again = replay(upstream.landing, tickets=upstream.tickets)
    assert (again.files_written, again.files_unchanged, again.customers_changed) == (0, len(before) - 2, 0)
    assert _tree(upstream.landing.parent) == before
    replay(tmp_path / "landing", tickets=upstream.tickets)
    assert {p: digest for p, (digest, _) in _tree(tmp_path).items()} == {p: digest for p, (digest, _) in before.items()}


def _table(landing: Path) -> list[tuple[object, ...]]:
    with sqlite3.connect(landing / "customers.db") as connection:
        rows = connection.execute("SELECT * FROM customers ORDER BY customer_id").fetchall()
    connection.close()
    return rows


def test_day_by_day_is_the_same_as_at_once_and_nothing_comes_early(tmp_path: Path) -> None:
    whole, landing = tmp_path / "whole", tmp_path / "steps"
    replay(whole)
    stories = json.loads((tmp_path / "whole.truth.json").read_text())["files"]
    arrives = {story["file"]: story["arrives"] for story in stories} | {
        story["healed_by"]: story["healed_on"] for story in stories if story["healed_by"]
    }
    files = {path: digest for path, (digest, _) in _tree(whole).items() if path != "customers.db"}
    for until in (date(2026, 8, 31), date(2026, 9, 9), date(2026, 9, 10), date(2026, 9, 15), date(2026, 9, 16)):
        summary = replay(landing, until=until)
        delivered = {path for path in files if arrives.get(path, path.split("/")[1]) <= until.isoformat()}
        assert {path for path in _tree(landing) if "/" in path} == delivered
        assert summary.files_written + summary.files_unchanged == len(delivered)
        assert all(str(row[-1]) < (until + timedelta(days=1)).isoformat() for row in _table(landing))
        assert len(_table(landing)) == summary.customers
    assert replay(landing).customers_changed > 0
    assert {path: digest for path, (digest, _) in _tree(landing).items() if path != "customers.db"} == files
    assert _table(landing) == _table(whole)
    assert (tmp_path / "steps.truth.json").read_bytes() == (tmp_path / "whole.truth.json").read_bytes()
    # An earlier day takes nothing back.
    assert replay(landing, until=date(2026, 9, 9)).customers_changed == 0
    assert _table(landing) == _table(whole)


def test_customers_go_to_postgresql_too(tmp_path: Path, postgres_url: str) -> None:
    first = replay(tmp_path / "landing", database_url=postgres_url, until=date(2026, 9, 10))
    rest = replay(tmp_path / "landing", database_url=postgres_url)
    assert 0 < rest.customers_changed < first.customers_changed == first.customers < rest.customers
    assert replay(tmp_path / "landing", database_url=postgres_url).customers_changed == 0
    assert not (tmp_path / "landing" / "customers.db").exists()
    replay(tmp_path / "sqlite")
    engine = sa.create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg://"), poolclass=sa.NullPool)
    with engine.connect() as connection:
        columns = "to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
        query = f'SELECT customer_id, name, plan, {columns} FROM customers ORDER BY customer_id COLLATE "C"'
        rows = [tuple(row) for row in connection.execute(sa.text(query))]
    assert rows == [(row[0], row[1], row[5], row[7]) for row in _table(tmp_path / "sqlite")]


def test_progress_counts_to_the_end(tmp_path: Path) -> None:
    calls: list[tuple[int, int, str]] = []
    summary = replay(tmp_path / "landing", until=date(2026, 9, 3), progress=lambda *call: calls.append(call))
    assert [done for done, _, _ in calls] == list(range(1, summary.files_written + 1))
    assert {total for _, total, _ in calls} == {summary.files_written} == {9}


def test_a_folder_that_is_not_banking77_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssayError, match=r"train\.csv cannot be read"):
        replay(tmp_path / "landing", tickets=tmp_path)
    (tmp_path / "train.csv").write_text("question,label\na,b\n")
    with pytest.raises(AssayError, match="columns text and category"):
        replay(tmp_path / "landing", tickets=tmp_path)
    (tmp_path / "train.csv").write_text("text,category\n")
    with pytest.raises(AssayError, match="lacks texts"):
        replay(tmp_path / "landing", tickets=tmp_path)
    assert not (tmp_path / "landing").exists()


def test_a_landing_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "landing").write_text("")
    with pytest.raises(AssayError, match="cannot be written"):
        replay(tmp_path / "landing")
