"""Three upstreams and what they deliver, day by day: a plan made from a seed, and the project that declares them.

They are as upstreams are: each is late sometimes, two files a week come for days long past, a file is replaced in place, rows
come twice, some break the contract, and now and then a whole delivery is a defect.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path

START = date(2024, 1, 1)
SOURCES = ("orders", "payments", "visits")
ROWS = 24
SETTLED = 15  # days after which no file of a day comes any more, but for late ones
SHOPPERS = 12
HEADER = "id,shopper,at,amount"
LONGEST_BATCH = 6  # days that come at once
DEFECTS = ("empty", "column missing", "implausible")

_PROJECT = '[project]\nname = "shop"\nversion = "1"\n\n[tool.assay]\ndomains = ["shop"]\n'
_DECLARATIONS = f'''
"""A shop: three sources of the same kind, and a view over two of them."""

from datetime import date

import polars as pl

from assay import Contract, Entity, FeatureView, Field, Files, Partitioning, Source, Timestamp, windows

daily = Partitioning.daily({START!r})


class Happened(Contract):
    id: str = Field(key=True)
    shopper: str = Field(str_matches=r"^U\\d+$")
    at: Timestamp = Field()
    amount: float = Field(ge=0)

    class Config(Contract.Config):
        version = "1.0.0"
        owner = "shop"


sources = [
    Source(
        name=name,
        reader=Files(f"{{name}}/{{{{day}}}}/*", (".csv",)),
        contract=Happened,
        key=("id",),
        event_time="at",
        partitioning=daily,
        expected_ratio=20.0,
    )
    for name in {list(SOURCES)!r}
]

habits = FeatureView(
    "habits",
    entity=Entity("shopper", ["shopper"]),
    event_time="event_time",
    max_age="1d",
    features=[
        *windows(["1d", "3d"], source="clean/orders", time="at", orders=pl.len(), spent=pl.col("amount").sum()),
        *windows(["1d", "2d"], source="clean/payments", time="at", paid=pl.col("amount").sum()),
    ],
    owner="shop",
)
'''.replace("datetime.date", "date")


def declare(folder: Path) -> None:
    """Write the project."""
    (folder / "shop").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(_PROJECT)
    (folder / "shop" / "__init__.py").touch()
    (folder / "shop" / "declarations.py").write_text(_DECLARATIONS)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A file that comes on a day (a number from 0), for a day. Without `content` it is taken away."""

    comes: int
    source: str
    partition: str
    name: str
    content: bytes | None

    def to(self, landing: Path) -> None:
        """As upstreams should do it: whole, or not at all."""
        file = landing / self.source / self.partition / self.name
        if self.content is None:
            file.unlink()
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_suffix(".part")
        beside.write_bytes(self.content)
        beside.replace(file)


@dataclass(frozen=True, slots=True)
class Defect:
    """A delivery that nobody can use. `healed`: on which day the file is good, if ever."""

    kind: str
    source: str
    partition: str
    comes: int
    healed: int | None


@dataclass(slots=True)
class Plan:
    """All deliveries of some days, in the order in which they come, and the defects among them."""

    seed: int
    days: int
    deliveries: list[Delivery] = field(default_factory=list)
    defects: list[Defect] = field(default_factory=list)
    late: int = 0
    extra: int = 0

    def of(self, day: int) -> Iterator[Delivery]:
        return (item for item in self.deliveries if item.comes == day)

    def until(self, day: int) -> "Plan":
        """Of the days before this one, as if no other had come: what was to be healed later is not."""
        healed = [None if item.healed is None or item.healed >= day else item.healed for item in self.defects]
        defects = [replace(item, healed=when) for item, when in zip(self.defects, healed, strict=True)]
        deliveries = [item for item in self.deliveries if item.comes < day]
        return replace(self, deliveries=deliveries, defects=[item for item in defects if item.comes < day])

    @property
    def spoiled(self) -> set[str]:
        """Days that have, or had, a defect."""
        return {item.partition for item in self.defects}

    def counts(self) -> Mapping[str, int]:
        return {"files": len(self.deliveries), "late": self.late, "extra": self.extra, "defects": len(self.defects)}


def plan(seed: int, days: int) -> Plan:
    """The same for the same seed."""
    made, chance = Plan(seed, days), random.Random(f"{seed}/{days}")
    defects = dict(_defects(chance, days))
    for number in range(days):
        for source in SOURCES:
            _day(made, chance, source, number, defects.get((source, number)))
        for _ in range(2):
            if (number and chance.random() < 1 / 7) or (days < 14 and number == days // 2):
                _extra(made, chance, number)
    made.deliveries.sort(key=lambda item: item.comes)
    return made


def _defects(chance: random.Random, days: int) -> Iterator[tuple[tuple[str, int], tuple[str, int | None]]]:
    """Where: what kind, and after how many days a good file comes. Some stay."""
    count = max(len(DEFECTS), days // 25)
    healed = LONGEST_BATCH if days > 20 else 1  # not in the batch in which it comes: nobody would ever have seen it
    for index in range(count):
        number = min(days - 1, (index * days) // count + chance.randrange(max(1, days // count)))
        stays = index % len(DEFECTS) == 0
        yield (SOURCES[index % len(SOURCES)], number), (DEFECTS[index % len(DEFECTS)], None if stays else healed)


def _day(made: Plan, chance: random.Random, source: str, number: int, defect: tuple[str, int | None] | None) -> None:
    partition, content = day_of(number), rows(made.seed, source, number)
    late = chance.random() < 0.06 and defect is None
    comes = min(number + chance.randint(1, 4), made.days - 1) if late else number
    made.late += comes != number
    if defect is None:
        made.deliveries.append(Delivery(comes, source, partition, "day.csv", content))
        if chance.random() < 0.03:
            _replaced(made, chance, source, number, comes)
        return
    kind, after = defect
    made.deliveries.append(Delivery(comes, source, partition, "day.csv", spoiled(kind, content)))
    healed = comes + after if after and comes + after < made.days else None
    if healed is not None:
        made.deliveries.append(Delivery(healed, source, partition, "day.csv", content))
    made.defects.append(Defect(kind, source, partition, comes, healed))


def _replaced(made: Plan, chance: random.Random, source: str, number: int, comes: int) -> None:
    """Other content under the same name, and sometimes the first one again."""
    other = rows(made.seed + 1, source, number)
    first = Delivery(min(comes + 1, made.days - 1), source, day_of(number), "day.csv", other)
    made.deliveries.append(first)
    if chance.random() < 0.5 and first.comes + 1 < made.days:
        again = rows(made.seed, source, number)
        made.deliveries.append(Delivery(first.comes + 1, source, day_of(number), "day.csv", again))


def _extra(made: Plan, chance: random.Random, number: int) -> None:
    """A late file for a day before: rows of its own, one of the day's own again, and one of another day."""
    back, source = max(0, number - chance.randint(1, 12)), chance.choice(SOURCES)
    if any(item.partition == day_of(back) and item.source == source for item in made.defects):
        return  # what a defect is to be reported for stays one thing
    own = rows(made.seed, source, back).decode().splitlines()
    # Of keys that come in two batches the first batch that is published has the row. So it is one of long ago.
    settled = max(0, number - SETTLED)
    elsewhere = rows(made.seed, source, chance.randrange(settled)).decode().splitlines()[1:] if settled else own[1:]
    lines = [
        HEADER,
        own[chance.randint(1, ROWS)],
        chance.choice(elsewhere),
        *_lines(f"late/{made.seed}/{made.extra}", f"L{made.extra}", back, 3),
    ]
    name, made.extra = f"late-{made.extra}.csv", made.extra + 1
    made.deliveries.append(Delivery(number, source, day_of(back), name, "\n".join([*lines, ""]).encode()))


def day_of(number: int) -> str:
    return (START + timedelta(days=number)).isoformat()


def rows(seed: int, source: str, number: int) -> bytes:
    """A day's file. Its last row breaks the contract."""
    lines = [HEADER, *_lines(f"{seed}/{source}/{number}", f"{source}-{number}", number, ROWS - 1)]
    return "\n".join([*lines, f"{source}-{number}-bad,nobody,{day_of(number)}T12:00:00Z,-1", ""]).encode()


def _lines(seed: str, name: str, number: int, count: int) -> list[str]:
    chance = random.Random(seed)
    return [
        f"{name}-{row},U{chance.randrange(SHOPPERS)},{day_of(number)}T{chance.randrange(24):02d}:{chance.randrange(60):02d}:00Z,"
        f"{round(chance.uniform(0, 100), 2)}"
        for row in range(count)
    ]


def spoiled(kind: str, content: bytes) -> bytes:
    """The same delivery with a defect of this kind."""
    lines = content.decode().splitlines()
    if kind == "empty":
        return b""
    if kind == "column missing":
        return "\n".join([line.rpartition(",")[0] for line in lines] + [""]).encode()
    return "\n".join([lines[0], *(f"{line.rpartition(',')[0]},-5" for line in lines[1:]), ""]).encode()
