"""How many rows, that nobody calls wrong, a contract would refuse on days that it was not drafted from. Prints a Markdown table.

    python -m benchmarks.drafts [--banking77 FOLDER] [FILE:COLUMN[,COLUMN…] …]

The contract of each source is drafted from its first k days and judges all later ones (`all`: drafted from all, judges all).
A row counts if it is refused and is not known to be wrong: in the demo's upstreams the planted defects are known, elsewhere
nothing is. The demo's tickets and card events need no data. `--banking77` is a folder with `train.csv`, whose rows are dealt
to 20 days. `FILE:COLUMN` is a CSV file whose days are the rows with equal values of the columns, in their order.
"""

import argparse
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from assay.assets.sources.deliveries import Delivery
from assay.assets.sources.dispatch import read_delivery
from assay.assets.support.upstream.card_events import event_files
from assay.assets.support.upstream.texts import load
from assay.assets.support.upstream.ticket_files import ticket_files
from assay.assets.support.upstream.values import LandingFile
from assay.checks import ColumnsError, Contract, contract_info, draft_contract, validate

FIRST = (1, 3, 7)
#: Real queries have no days: they are dealt to so many, by a fixed order.
DEALT = 20
_WRONG = "__wrong"


@dataclass(frozen=True)
class Upstream:
    """A source: its days in order, each with a column that says which rows are known to be wrong."""

    name: str
    days: Sequence[pl.DataFrame]


def demo(name: str, files: Iterable[LandingFile]) -> Upstream:
    """An upstream of the demo; what was planted in it is known."""
    days: dict[Any, list[pl.DataFrame]] = {}
    for file in files:
        if file.defect is None:
            wrong = [row.row_number for row in file.planted]
            rows = read_delivery(Delivery.of_bytes(file.path, file.content, ""), file.content)
            days.setdefault(file.partition, []).append(
                rows.with_columns(pl.col("_row_number").is_in(wrong).alias(_WRONG))
            )
    return Upstream(name, [pl.concat(parts, how="diagonal_relaxed") for _, parts in sorted(days.items())])


def dealt(name: str, file: Path) -> Upstream:
    """A table without days, dealt to some in an order that has nothing to do with that of its rows."""
    rows = pl.read_csv(file, infer_schema=False).with_columns(pl.lit(False).alias(_WRONG))
    return Upstream(
        name, [rows.sample(fraction=1, shuffle=True, seed=1).gather_every(DEALT, start) for start in range(DEALT)]
    )


def by_day(place: str) -> Upstream:
    """A CSV file, its days the rows with equal values of some columns (of times: of their first ten characters)."""
    path, _, columns = place.rpartition(":")
    rows = pl.read_csv(path, infer_schema=False, null_values=None).with_columns(pl.lit(False).alias(_WRONG))
    day = pl.concat_str([pl.col(name).str.slice(0, 10).str.zfill(2) for name in columns.split(",")], separator="-")
    days = rows.with_columns(day.alias("__day")).partition_by("__day", as_dict=True, include_key=False)
    return Upstream(Path(path).name.partition(".")[0], [days[key] for key in sorted(days)])


def contract_of(source: str) -> type[Contract]:
    module: dict[str, Any] = {"__name__": "drafted"}
    exec(compile(source, "drafted.py", "exec"), module)
    drafted = (value for value in module.values() if isinstance(value, type) and value is not Contract)
    return next(value for value in drafted if issubclass(value, Contract))


def refused(
    contract: type[Contract], days: Sequence[pl.DataFrame], before: Sequence[pl.DataFrame]
) -> Iterator[pl.DataFrame]:
    """The rows of each day that would leave, with `_rules`: of a day without a column all, and keys of earlier days, too."""
    key = list(contract_info(contract).key)
    known = pl.concat([day.select(key) for day in before], how="vertical_relaxed").unique() if key and before else None
    for day in days:
        try:
            bad = validate(day, contract).quarantined
        except ColumnsError:
            yield day.with_columns(pl.lit(["columns"]).alias("_rules"))
            continue
        yield bad
        if key:
            fresh = day.select(key).unique()
            if known is not None:
                again = day.join(known, on=key, how="semi").with_columns(pl.lit(["key of another day"]).alias("_rules"))
                yield again
            known = fresh if known is None else pl.concat([known, fresh]).unique()


def measured(upstream: Upstream, first: int | None) -> tuple[int, int, Counter[str], int, int, float]:
    """Rows that were judged and are not known to be wrong, those of them refused, by which rules, wrong ones caught, and all."""
    start = time.process_time()
    drafted = upstream.days[: first or len(upstream.days)]
    source = draft_contract([day.drop(_WRONG) for day in drafted], upstream.name)
    took = time.process_time() - start
    judged = upstream.days[first:] if first else upstream.days
    rules: Counter[str] = Counter()
    false = caught = 0
    for rows in refused(contract_of(source), judged, drafted if first else ()):
        right = rows.filter(~pl.col(_WRONG))
        false += right.height
        caught += rows.height - right.height
        rules.update(right["_rules"].explode().drop_nulls().to_list())
    wrong = sum(int(day[_WRONG].sum()) for day in judged)
    return sum(day.height for day in judged) - wrong, false, rules, caught, wrong, took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", metavar="FILE:COLUMN")
    parser.add_argument("--banking77", type=Path)
    parser.add_argument("--rules", action="store_true", help="Name the rules that refused rows.")
    arguments = parser.parse_args()
    upstreams = [demo("demo tickets", ticket_files(*load(None))), demo("demo card events", event_files())]
    if arguments.banking77 is None:
        print("banking77 is left out: --banking77 names its folder.\n")
    elif not (arguments.banking77 / "train.csv").exists():
        print(f"banking77 is left out: there is no train.csv in {arguments.banking77}.\n")
    else:
        upstreams.append(dealt("banking77", arguments.banking77 / "train.csv"))
    upstreams += [by_day(place) for place in arguments.tables]
    print(
        "| source | days | drafted from | rows judged | refused | share | known errors refused | CPU s of the draft |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for upstream in upstreams:
        for first in (*(number for number in FIRST if number < len(upstream.days)), None):
            rows, false, rules, caught, wrong, took = measured(upstream, first)
            known = f"{caught:,} of {wrong:,}" if wrong else ""
            print(
                f"| {upstream.name} | {len(upstream.days):,} | {first or 'all'} | {rows:,} | {false:,} | "
                f"{false / max(1, rows):.2%} | {known} | {took:.1f} |",
                flush=True,
            )
            if arguments.rules and rules:
                print(f"    {dict(rules.most_common(6))}", flush=True)


if __name__ == "__main__":
    main()
