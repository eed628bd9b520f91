"""Lines that say the same of many partitions."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from assay.assets.planning.grouped import Group, grouped
from assay.assets.planning.plan import PlannedRun, run_lines
from assay.assets.planning.refused import Refused, refused_lines
from assay.assets.steps.step import Step
from assay.features.tables.refusals import Refusal

LINES = st.lists(
    st.tuples(
        st.sampled_from([None, "2026-03-01", "2026-03-02", "2026-03-03"]), st.sampled_from("ab"), st.sampled_from("xy")
    ),
    unique=True,
)


def test_what_differs_only_in_the_partition_is_one_line() -> None:
    lines = [(f"2026-03-{n:02d}", "raw/a", f"2026-03-{n:02d}/a.csv is empty") for n in range(1, 18)]
    other = ("2026-03-04", "raw/b", "is empty")
    first, second = grouped([*lines, other])
    assert (first.partitions, first.example) == (tuple(key for key, *_ in lines), "e.g. 2026-03-17/a.csv is empty")
    assert second == Group("raw/b", ("2026-03-04",), "is empty", alike=True)
    assert second.example == "is empty"


@given(LINES)
def test_every_line_is_in_one_group_and_nothing_else_is(lines: list[tuple[str | None, str, str]]) -> None:
    groups = grouped(lines)
    assert sorted((str(key), one.what, one.text) for one in groups for key in one.partitions) == sorted(
        (str(key), what, text) for key, what, text in lines
    )
    assert len({(one.what, one.text) for one in groups}) == len(groups)
    assert all(one.alike for one in groups), "these texts name no partition"
    last = {(what, text): number for number, (_, what, text) in enumerate(lines)}
    places = [last[one.what, one.text] for one in groups]
    assert places == sorted(places)


def refused(day: int, problem: str = "orders/2026-03-{day:02d}/a.csv is empty") -> Refused:
    key = f"2026-03-{day:02d}"
    at = datetime(2026, 3, day, 8, tzinfo=UTC)
    said = problem.format(day=day)
    refusal = Refusal(table="raw/orders", partition=key, problem=said, at=at, given="", tables=("raw/orders",))
    return Refused(refusal, ("clean/orders",))


def test_what_is_refused_alike_in_many_partitions_is_one_line() -> None:
    alone = refused(4, "has no column id")
    assert refused_lines([refused(1), refused(2), alone, refused(3)]) == [
        str(alone),
        "raw/orders in 3 partitions (2026-03-01 to 2026-03-03) since 2026-03-01 08:00 UTC (clean/orders waits for it): e.g. "
        "orders/2026-03-03/a.csv is empty",
    ]


def test_runs_that_do_the_same_are_one_line() -> None:
    raw, clean = (
        Step((table,), lambda tx, env: None, lambda tx, env, made: None, "1") for table in ("raw/a", "clean/a")
    )
    runs = [PlannedRun(f"2026-03-{day:02d}", (raw, clean)) for day in (1, 2, 3)]
    assert run_lines([*runs, PlannedRun("2026-03-04", (clean,)), PlannedRun(None, (raw,))]) == [
        "raw/a, clean/a in 3 partitions (2026-03-01 to 2026-03-03)",
        "2026-03-04: clean/a",
        "raw/a",
    ]
