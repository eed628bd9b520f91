"""Made-up tables with dependencies as real ones have them, and the same tables with errors planted at known cells.

They are what the detectors were tuned on. Everything follows from the seed.
"""

import random
import string
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta

import polars as pl

Cell = tuple[int, str]
Rows = list[dict[str, str | None]]

_STARTS = (
    "Ash",
    "Birk",
    "Clay",
    "Dun",
    "Elm",
    "Fair",
    "Glen",
    "Hart",
    "Iron",
    "Kings",
    "Lang",
    "Mill",
    "Nor",
    "Oak",
    "Pem",
)
_ENDS = ("ton", "ford", "bury", "field", "mouth", "wick", "dale", "ham", "port", "stead", "ley", "combe")
_STREETS = ("Main Street", "High Street", "Church Road", "Station Road", "Mill Lane", "Park Avenue", "Queen Street")
_STATES = ("NT", "ST", "ET", "WT", "CT", "LT", "MT", "PT")
_TEXT = (
    "analysis of the effect long term therapy in patients with chronic disease randomised trial children review systematic "
    "outcome comparison treatment early late risk factors study cohort quality life evidence surgical"
)
_WORDS = _TEXT.split()
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass
class Planted:
    """A table as text: clean, with errors, and the cells that are wrong."""

    name: str
    clean: pl.DataFrame
    dirty: pl.DataFrame
    errors: set[Cell]


@dataclass
class _Spoiler:
    """Changes cells of a copy of the rows."""

    rows: Rows
    random: random.Random
    clean: Rows = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clean = self.rows
        self.rows = [dict(row) for row in self.rows]

    def some(self, share: float) -> Iterable[dict[str, str | None]]:
        return (row for row in self.rows if self.random.random() < share)

    def each(self, columns: Iterable[str], share: float, change: Callable[[str], str | None]) -> None:
        for column in columns:
            for row in self.some(share):
                value = row[column]
                if value is not None:
                    row[column] = change(value)

    def swap(self, columns: Iterable[str], share: float) -> None:
        """The value of another row in its place."""
        for column in columns:
            for row in self.some(share):
                row[column] = self.random.choice(self.clean)[column]

    def typo(self, value: str) -> str:
        """One letter substituted, left out, doubled or changed with its neighbour."""
        at = self.random.randrange(len(value)) if value else 0
        kind = self.random.randrange(5)
        if kind < 2 or len(value) < 3:
            return value[:at] + "x" + value[at + 1 :]
        if kind == 2:
            return value[:at] + value[at + 1 :]
        if kind == 3:
            return value[:at] + self.random.choice(string.ascii_lowercase) + value[at:]
        at = min(at, len(value) - 2)
        return value[:at] + value[at + 1] + value[at] + value[at + 2 :]

    def cross(self, value: str) -> str:
        """An x in place of a character."""
        at = self.random.randrange(len(value))
        return value[:at] + "x" + value[at + 1 :]

    def planted(self, name: str) -> Planted:
        errors = {
            (number, column)
            for number, (before, after) in enumerate(zip(self.clean, self.rows, strict=True))
            for column in before
            if (before[column] or "") != (after[column] or "")
        }
        schema = dict.fromkeys(self.clean[0], pl.String)
        return Planted(name, pl.DataFrame(self.clean, schema), pl.DataFrame(self.rows, schema), errors)


def _town(rnd: random.Random) -> str:
    word = rnd.choice(_STARTS) + rnd.choice(_ENDS)
    return rnd.choice((word, word, word, f"{word} Heath", f"St {word}", f"O'{word}"))


def _digits(rnd: random.Random, count: int) -> str:
    return str(rnd.randrange(1, 10)) + "".join(rnd.choice("0123456789") for _ in range(count - 1))


def branches(seed: int = 1, rows: int = 1000) -> Planted:
    """Branches measured by indicators: much is determined by the branch or the indicator; letters replaced by x."""
    rnd = random.Random(seed)
    places = []
    for _ in range(40):
        town, state = _town(rnd), rnd.choice(_STATES)
        places.append((town, state, _digits(rnd, 5), f"{town.split()[-1]} County"))
    shops = []
    for number in range(60):
        town, state, code, county = rnd.choice(places)
        street = f"{rnd.randrange(1, 4000)} {rnd.choice(_STREETS)}"
        kind = rnd.choice(("regional store", "outlet", "regional store"))
        shop = (_digits(rnd, 5), f"{town} Store {number}", street, town, state, code, county, _digits(rnd, 10), kind)
        shops.append(shop)
    codes = [f"{kind}-{number}" for kind in ("STK", "SRV", "LOSS-INF") for number in range(1, 8)]
    measures = {
        code: (
            f"share of {' '.join(rnd.sample(_WORDS, 8))}",
            rnd.choice(("stock", "service", "loss")),
        )
        for code in codes
    }
    out: Rows = []
    for number in range(rows):
        shop, code = rnd.choice(shops), rnd.choice(codes)
        title, group = measures[code]
        share = rnd.choice((f"{rnd.randrange(101)}%", f"{rnd.randrange(60, 101)}%", "empty"))
        names = ("branch", "name", "street", "town", "state", "zip", "county", "phone", "kind")
        row: dict[str, str | None] = {"row": str(number + 1), **dict(zip(names, shop, strict=True))}
        row |= {"street2": "empty", "open_sunday": rnd.choice(("yes", "no")) if number % 7 else "no"}
        row |= {"group": group, "code": code, "measure": title, "share": share}
        row |= {
            "sample": "empty" if share == "empty" else f"{rnd.randrange(5, 900)} visits",
            "average": f"{shop[4]}_{code}",
        }
        out.append(row)
    spoiler = _Spoiler(out, rnd)
    texts = ("branch", "name", "street", "town", "state", "zip", "county", "phone", "kind", "open_sunday")
    spoiler.each((*texts, "group", "code", "measure", "share", "sample", "average"), 0.025, spoiler.cross)
    spoiler.swap(("town", "state", "county"), 0.004)
    return spoiler.planted("branches")


def departures(seed: int = 2, trains: int = 70) -> Planted:
    """Trains reported by several sites of different quality: times missing, of another day or minute, in another form."""
    rnd = random.Random(seed)
    sites = {f"site{number}": rnd.choice((0.1, 0.4, 0.7, 0.95)) for number in range(24)}

    def clock(minutes: int) -> str:
        hour, half = minutes // 60 % 24, "a.m." if minutes // 60 % 24 < 12 else "p.m."
        return f"{hour % 12 or 12}:{minutes % 60:02d} {half}"

    columns = ("planned_departure", "departure", "planned_arrival", "arrival")
    out: Rows = []
    for number in range(trains):
        start = rnd.randrange(300, 1380)
        late, takes = max(0, int(rnd.gauss(5, 12))), rnd.randrange(30, 500)
        times = (start, start + late, start + takes, start + takes + max(0, late - 3))
        for site in sites:
            if rnd.random() < 0.8:
                row: dict[str, str | None] = {"row": str(len(out) + 1), "site": site, "train": f"RX-{1000 + number}"}
                out.append(row | {column: clock(time) for column, time in zip(columns, times, strict=True)})
    spoiler = _Spoiler(out, rnd)
    copied: dict[tuple[str | None, str], str | None] = {}
    for row in spoiler.rows:
        bad = sites[str(row["site"])]
        for column in columns:
            if column in ("departure", "arrival") and rnd.random() < 0.4:
                row[column] = None
            elif rnd.random() < bad:
                minutes = rnd.randrange(1440)
                value = row[column] or ""
                near = value.replace(value.split(":")[1][:2], f"{rnd.randrange(60):02d}", 1)
                form = rnd.choice((None, None, near, near, clock(minutes), f"Dec {rnd.randrange(1, 3)} {value}"))
                # Sites copy each other, also what is wrong.
                row[column] = copied.setdefault((row["train"], column), form) if form and rnd.random() < 0.3 else form
    return spoiler.planted("departures")


def wines(seed: int = 3, rows: int = 2000) -> Planted:
    """Bottles of estates: volumes and strengths with units in several spellings, missing tokens, places swapped."""
    rnd = random.Random(seed)
    estates = []
    for number in range(300):
        town, state = _town(rnd), rnd.choice(_STATES)
        tail = rnd.choice(("Estate", "Winery", "Cellars"))
        estates.append((str(number), f"{_town(rnd)} {tail}", town, state))
    styles = (
        "Riesling",
        "Pinot Noir",
        "Chardonnay",
        "Cabernet Sauvignon",
        "Syrah",
        "Merlot",
        "Sauvignon Blanc",
        "Gamay",
    )
    out: Rows = []
    for number in range(rows):
        estate = rnd.choice(estates)
        name = f"{rnd.choice(_WORDS).title()} {rnd.choice(_WORDS).title()}"
        row: dict[str, str | None] = {"row": str(number + 1), "id": str(rnd.randrange(10_000)), "wine": name}
        row |= {"style": rnd.choice(styles), "volume": rnd.choice(("75.0", "75.0", "37.5", "150.0", "50.0"))}
        row |= {"strength": rnd.choice((f"0.{rnd.randrange(90, 155):03d}", None)) if number % 5 == 0 else None}
        row["strength"] = row["strength"] or f"0.{rnd.randrange(90, 155):03d}"
        row |= {"sugar": None if rnd.random() < 0.3 else str(rnd.randrange(1, 120)), "estate": estate[0]}
        out.append(row | {"estate_name": estate[1], "town": estate[2], "state": estate[3]})
    spoiler = _Spoiler(out, rnd)
    spoiler.each(
        ("volume",), 0.5, lambda value: value + rnd.choice((" cl", " cl.", " centilitre", " CL.", " cl. Bottle"))
    )
    spoiler.each(("strength",), 0.3, lambda value: value + "%")
    for row in spoiler.rows:
        if row["sugar"] is None and rnd.random() < 0.9:
            row["sugar"] = "N/A"
    spoiler.swap(("state",), 0.02)
    spoiler.each(("state",), 0.02, lambda _: None)
    spoiler.each(("town",), 0.01, spoiler.typo)
    return spoiler.planted("wines")


def articles(seed: int = 4, rows: int = 1000) -> Planted:
    """Articles of journals: dates and page ranges that a spreadsheet has changed, abbreviations, missing and mistyped values."""
    rnd = random.Random(seed)
    journals = []
    for _ in range(220):
        words = [word.title() for word in rnd.sample(_WORDS, 4)]
        number = f"{_digits(rnd, 4)}-{_digits(rnd, 3)}{rnd.choice('0123456789X')}"
        journals.append((" ".join(words), " ".join(word[:4] for word in words), number))
    weights = [1 / (rank + 1) for rank in range(len(journals))]
    out: Rows = []
    for number in range(rows):
        title, short, issn = rnd.choices(journals, weights)[0]
        first = rnd.randrange(1, 900)
        day = date(1990, 1, 1) + timedelta(days=rnd.randrange(9000))
        row: dict[str, str | None] = {"id": str(number + 1), "title": " ".join(rnd.sample(_WORDS, 9)).capitalize()}
        row |= {"language": rnd.choices(("eng", "ger", "fre", "spa", "chi"), (90, 4, 3, 2, 1))[0]}
        row |= {"journal": title, "short": short, "issn": issn, "volume": str(rnd.randrange(1, 130))}
        last = first + rnd.randrange(1, 30)
        pages = rnd.choices(
            (f"{first}-{last}", f"S{first}-S{last}", f"{first}", f"{first}-{last}; quiz {last + 1}", f"e{first}"),
            (92, 3, 3, 1, 1),
        )[0]
        row |= {"issue": None if rnd.random() < 0.1 else str(rnd.randrange(1, 13)), "pages": pages}
        row["volume"] = rnd.choices((row["volume"], f"{row['volume']} Suppl 1", f"{row['volume']}(Pt 2)"), (95, 3, 2))[
            0
        ]
        row["issue"] = rnd.choices((row["issue"], "Suppl", "3-4", "6 Pt 1"), (94, 3, 2, 1))[0]
        row["title"] = f"[{row['title']}]." if rnd.random() < 0.03 else row["title"]
        row |= {"created": f"{day.month}/{day.day}/{day.year % 100:02d}", "authors": f"{_town(rnd)}, {_town(rnd)[:1]}."}
        out.append(row)
    spoiler = _Spoiler(out, rnd)
    spoiler.each(("issn",), 0.03, lambda value: f"{rnd.choice(_MONTHS)}-{value[:2]}")
    spoiler.each(("pages",), 0.06, lambda value: f"{rnd.randrange(1, 13)}-{rnd.choice(_MONTHS)}")
    spoiler.each(("created",), 0.25, lambda value: "20{2}-{0:0>2}-{1:0>2}".format(*value.split("/")))
    spoiler.each(("short",), 0.03, lambda value: value.replace(" ", ". ", 1))
    spoiler.swap(("short", "issn"), 0.015)
    spoiler.each(("volume", "issue"), 0.02, lambda _: rnd.choice(("-", "nan", "empty")))
    spoiler.each(("language",), 0.01, lambda value: {"eng": "English", "ger": "German"}.get(value, "French"))
    spoiler.each(("journal", "title", "authors"), 0.02, spoiler.typo)
    spoiler.each(("language", "issn", "created", "short"), 0.03, lambda _: None)
    spoiler.each(("title",), 0.01, lambda value: value.replace("e", "Ã©", 1))
    return spoiler.planted("articles")


def meters(seed: int = 5, rows: int = 1500) -> Planted:
    """Readings of sensors: values in another unit, a shifted point, a text, a date in two forms."""
    rnd = random.Random(seed)
    sensors = {
        f"S{number:03d}": rnd.choice((("indoor", 21.0), ("freezer", -18.0), ("oven", 220.0))) for number in range(40)
    }
    out: Rows = []
    for number in range(rows):
        name = rnd.choice(list(sensors))
        kind, mean = sensors[name]
        day = date(2026, 1, 1) + timedelta(days=number // 10)
        row: dict[str, str | None] = {"reading": f"R{number:05d}", "sensor": name, "kind": kind, "day": day.isoformat()}
        row |= {
            "celsius": f"{rnd.gauss(mean, 1.5):.1f}",
            "humidity": f"{rnd.randrange(20, 80)}",
            "amount": f"{rnd.lognormvariate(3, 1):.2f}",
        }
        out.append(row)
    spoiler = _Spoiler(out, rnd)
    spoiler.each(("celsius",), 0.01, lambda value: f"{float(value) * 1.8 + 32:.1f}")
    spoiler.each(("celsius",), 0.01, lambda value: value.replace(".", ","))
    spoiler.each(("humidity",), 0.01, lambda value: f"0.{value}")
    spoiler.each(("humidity",), 0.01, lambda value: f"{value} %")
    spoiler.each(("amount",), 0.005, lambda value: f"{float(value) * 10_000:.2f}")
    spoiler.each(("day",), 0.03, lambda value: "{2}.{1}.{0}".format(*value.split("-")))
    spoiler.each(("kind",), 0.01, lambda value: value.upper())
    spoiler.each(("sensor",), 0.01, spoiler.typo)
    return spoiler.planted("meters")


def people(seed: int = 6, rows: int = 1500) -> Planted:
    """Customers: open vocabularies with natural neighbours, few dependencies, few errors."""
    rnd = random.Random(seed)
    firsts = (
        "Maria",
        "Marie",
        "Jon",
        "John",
        "Anna",
        "Anne",
        "Hanna",
        "Hannah",
        "Sara",
        "Sarah",
        "Luis",
        "Louis",
        "Erik",
        "Eric",
    )
    places = [(_town(rnd), rnd.choice(_STATES)) for _ in range(120)]
    out: Rows = []
    for number in range(rows):
        town, state = rnd.choice(places)
        first, last = rnd.choice(firsts), rnd.choice(_STARTS) + rnd.choice(_ENDS)
        row: dict[str, str | None] = {"customer": f"C{number:05d}", "first_name": first, "last_name": last}
        row |= {"email": f"{first}.{last}{number}@example.org".lower(), "town": town, "state": state}
        row |= {"segment": rnd.choices(("private", "business", "public", "staff"), (80, 15, 4, 1))[0]}
        row |= {"limit": str(rnd.choice((500, 1000, 2000, 5000))), "size": rnd.choice(("S", "M", "L", "XL"))}
        row |= {"note": None if rnd.random() < 0.6 else " ".join(rnd.choices(_WORDS, k=rnd.randrange(3, 12)))}
        out.append(row)
    spoiler = _Spoiler(out, rnd)
    spoiler.each(("email",), 0.01, lambda value: value.replace("@", " at "))
    spoiler.each(("segment",), 0.01, spoiler.typo)
    spoiler.each(("limit",), 0.01, lambda _: "unknown")
    spoiler.each(("customer",), 0.005, lambda value: value[:-1])
    spoiler.each(("town",), 0.01, spoiler.typo)
    return spoiler.planted("people")


TABLES: tuple[Callable[[int], Planted], ...] = (branches, departures, wines, articles, meters, people)
