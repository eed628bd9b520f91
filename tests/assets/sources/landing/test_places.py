"""Of every path the partition that its names say, by patterns of folders and of files."""

import random
from datetime import date, timedelta

import pytest

from assay.assets.sources.landing.places import places_of
from assay.errors import AssayError
from assay.features.tables.partitioning import Partitioning

HOURLY = Partitioning.hourly("2026-09-01-00", time_zone="Europe/Berlin")
DAILY = Partitioning.daily("2026-09-01")
WEEKLY = Partitioning.weekly("2026-08-31")
MONTHLY = Partitioning.monthly("2026-09")
STATIC = Partitioning.static("north", "north_2", "south.1")


@pytest.mark.parametrize(
    ("pattern", "partitioning", "expected"),
    [
        ("in/{day}/*", DAILY, {"2026-09-01/a.csv": "2026-09-01", "20260901/a.csv": None, "2026-02-30/a.csv": None}),
        ("in/{partition}/*", HOURLY, {"2026-10-25-02b/a": "2026-10-25-02b", "2026-10-24-02b/a": None}),
        (
            "in/orders_{day}.csv",
            DAILY,
            {
                "orders_2026-09-01.csv": "2026-09-01",
                "orders_2026-09-01.r12.CSV": "2026-09-01",
                "orders_2026-09-01.r0.csv": None,
                "orders_2026-09-01x.csv": None,
                "orders_2026-09-01.csv.gz": None,
                "xorders_2026-09-01.csv": None,
            },
        ),
        ("in/{day}_*.csv.gz", DAILY, {"2026-09-01_a.r1.csv.GZ": "2026-09-01", "2026-09-01.csv.gz": None}),
        ("in/dt={day}/*", DAILY, {"dt=2026-09-01/a": "2026-09-01", "2026-09-01/a": None}),
        ("in/{day:%Y/%m/%d}/*", DAILY, {"2026/09/01/a": "2026-09-01", "2026/13/01/a": None, "2026/9/1/a": None}),
        (
            "in/{hour:%Y%m%d_%H%M%S}.csv",
            DAILY,
            {"20260901_235959.csv": "2026-09-01", **dict.fromkeys(
                [f"20260901_{clock}.csv" for clock in ("250000", "240000", "236000", "235960", "990000")]
            )},
        ),
        ("in/{hour:%Y%m%d%H}.csv", HOURLY, {"2026090123.csv": "2026-09-01-23", "2026090124.csv": None}),
        ("in/{day:%y%m%d}.csv", Partitioning.daily("1900-01-01"),
         {"690101.csv": "1969-01-01", "991231.csv": "1999-12-31", "000101.csv": "2000-01-01", "681231.csv": "2068-12-31"}),
        ("in/{day:%y%j}.csv", DAILY, {"26244.csv": "2026-09-01", "26366.csv": None, "28366.csv": "2028-12-31"}),
        ("in/{day}/{hour:%H}/*", HOURLY, {"2026-09-01/13/a": "2026-09-01-13", "2026-03-29/02/a": None}),
        ("in/{hour:%Y%m%d%H%M}*.csv", HOURLY, {"202609011359.csv": "2026-09-01-13"}),
        ("in/{hour}.csv", DAILY, {"2026-09-01-13.csv": "2026-09-01", "2026-10-25-02b.csv": "2026-10-25"}),
        ("in/{week:%G-W%V}.csv", WEEKLY, {"2026-W36.csv": "2026-08-31", "2026-W53.csv": "2026-12-28", "2025-W53.csv": None}),
        ("in/{week}/*", WEEKLY, {"2026-08-31/a": "2026-08-31", "2026-09-01/a": None}),
        ("in/{day}/*", WEEKLY, {"2026-09-06/a": "2026-08-31", "2026-09-07/a": "2026-09-07"}),
        ("in/{month:%Y-%m}/{day}.csv", DAILY, {"2026-09/2026-09-03.csv": "2026-09-03", "2026-09/2026-10-03.csv": None}),
        ("in/{day:%Y%m%d}*.csv", MONTHLY, {"20260903.csv": "2026-09", "20260931.csv": None}),
        ("in/year={month:%Y}/month={month:%m}/*", MONTHLY, {"year=2026/month=09/a": "2026-09"}),
        ("in/*/{day}/*", DAILY, {"a/2026-09-01/x": "2026-09-01", "a/b/2026-09-01/x": None}),
        ("in/**/{day}*.csv", DAILY, {"2026-09-01.csv": "2026-09-01", "a/b/2026-09-01-x.csv": "2026-09-01"}),
        ("in/{day}/**", DAILY, {"2026-09-01/a/b.csv": "2026-09-01"}),
        ("in/{key}_*.csv", STATIC, {"north_2.csv": "north", "north_2_1.csv": "north_2", "south_1_.csv": None}),
        ("{key}/*.csv", STATIC, {"south.1/a.csv": "south.1", "southx1/a.csv": None}),
        ("in/{day}/[ab]?[!x].csv", DAILY, {"2026-09-01/a12.csv": "2026-09-01"}),
    ],
)  # fmt: skip
def test_the_partition_of_a_path(pattern: str, partitioning: Partitioning, expected: dict[str, str | None]) -> None:
    places = places_of(pattern, partitioning)
    assert {path: places.file_key(f"{places.top}{path}") for path in expected} == expected


def test_the_wildcards_within_a_name() -> None:
    places = places_of("in/{day}/[ab]?[!x].csv", DAILY)
    names = ("a12", "b1y", "c12", "a1x", "a1", "a123")
    assert [bool(places.takes([1], f"{name}.csv")) for name in names] == [True, True, False, False, False, False]


SPELLINGS = {
    "{day}": "%Y-%m-%d",
    "{day:%Y%m%d}": "%Y%m%d",
    "{day:%d.%m.%y}": "%d.%m.%y",
    "{day:%G-W%V-%u}": "%G-W%V-%u",
    "{day:%Y-%j}": "%Y-%j",
    "{hour:%Y-%m-%dT%H}": "%Y-%m-%dT07",
}
PLACES = ("in/{}/*.csv", "in/a_{}.csv", "in/{}_*.csv", "in/x={}/*/y.csv", "in/**/{}.csv")


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("place", PLACES)
def test_a_day_is_read_however_it_is_spelt_and_its_example_and_names_lead_to_it(spelling: str, place: str) -> None:
    chance = random.Random(spelling + place)
    for _ in range(20):
        day = date(2001, 1, 1) + timedelta(days=chance.randrange(24_800))
        written = place.replace("{}", day.strftime(SPELLINGS[spelling])).replace("**/", "").replace("*", "z")
        for partitioning, key in (
            (DAILY, f"{day}"),
            (WEEKLY, f"{day - timedelta(days=day.weekday())}"),
            (MONTHLY, f"{day:%Y-%m}"),
        ):
            places = places_of(place.replace("{}", spelling), partitioning)
            assert places.file_key(written) == key
            near, states = places.near(key), places.start
            *folders, name = written.removeprefix(places.top).split("/")
            for folder in folders:
                states = near.entered(states, folder)
            assert near.takes(states, name), "the names of its folders are among those where it is looked for"
            assert places.may_hold(written.rpartition("/")[0])
        example = places_of(place.replace("{}", spelling), DAILY)
        assert example.file_key(example.example(f"{day}").replace("**/", "").replace("*", "07")) == f"{day}"


@pytest.mark.parametrize(
    ("pattern", "partitioning", "problem"),
    [
        ("in/{day}/*", HOURLY, r"does not say of which hour a file is, .* hourly .*; write \{hour\} \(or \{day\}/\{hour:%H\}\)"),
        ("in/{month}/*", DAILY, r"does not say of which day .*; write \{day\}"),
        ("in/{day:%m-%d}.csv", DAILY, "does not say of which day"),
        ("in/{week:%G-W%V}/*", MONTHLY, "does not say of which month"),
        ("in/{day}/*", STATIC, r"does not say of which key .* north, .*; write \{key\}"),
        ("in/{key}/{day}/*", DAILY, r"\{key\} is a fixed key, and the source has daily partitions; write \* for any name"),
        ("in/{week}/*", DAILY, r"write \{week:%G-W%V\}"),
        ("in/{day}/*", Partitioning.none(), "declare its partitioning"),
        ("in/*", DAILY, "nothing in it says of which partition a file is"),
        ("in/{day}", DAILY, "ends without the suffix of a file"),
        ("in/{day}/orders", DAILY, "ends without the suffix of a file"),
        ("in/{date}/*", DAILY, "is not a landing pattern"),
        ("in/{day:%Y-%Q}/*", DAILY, "%Q says nothing of a partition here; there are %Y, "),
        ("in/{key:%Y}/*", STATIC, r"\{key:%Y\} cannot be spelt otherwise"),
        ("in/{day:%Y*}/*", DAILY, "has a wildcard in it"),
        ("in/../{day}/*", DAILY, "leaves the landing folder"),
        ("in/{day:%Y%m%d/..}/*", DAILY, "leaves the landing folder"),
        ("in/{day:../%Y%m%d}/*", DAILY, "leaves the landing folder"),
        ("in/.{day:./%Y%m%d}/*", DAILY, "leaves the landing folder"),
        ("in/{day:%Y%m%d/.}./*", DAILY, "leaves the landing folder"),
        ("{day:/%Y%m%d}/*", DAILY, "leaves the landing folder"),
        ("in/{day:/%Y%m%d}/*", DAILY, "is not a landing pattern"),
        ("in/{day:%Y%m%d/}/*", DAILY, "is not a landing pattern"),
    ],
)  # fmt: skip
def test_a_pattern_that_does_not_say_the_partition_is_refused(
    pattern: str, partitioning: Partitioning, problem: str
) -> None:
    with pytest.raises(AssayError, match=problem):
        places_of(pattern, partitioning)
