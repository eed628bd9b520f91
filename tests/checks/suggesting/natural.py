"""Made-up tables without errors, as untidy as real ones are: kinds of values that a part of the rows has, gaps, near names.

What is doubted in them is wrong, or at least nothing that a table shows.
"""

import random
import re

import polars as pl

_WORDS = re.findall(
    r"\w+",
    "analysis effect therapy patients disease trial children review outcome comparison treatment risk factors study cohort "
    "quality life evidence surgical chronic acute cancer infection vaccine growth cells protein gene model pain care nursing",
)
_FIRST = re.findall(
    r"\w+", "Anna Anne Maria Marie Jon John Erik Eric Luis Louis Sara Sarah Chen Wei Yuki Olga Omar Ali Eva Ewa"
)
_LAST = re.findall(
    r"\w+",
    "Meyer Meier Maier Larsen Larson Hansen Hanson Nguyen Kim Lee Li Garcia Silva Rossi Novak Petrov Khan Smith Smyth",
)


def references(seed: int, rows: int = 1000) -> pl.DataFrame:
    """A bibliography of several databases: supplements, double issues, pages of several kinds, two abbreviations of a journal."""
    dice = random.Random(seed)

    def issn() -> str:
        return f"{dice.randrange(10_000):04d}-{dice.randrange(1_000):03d}{dice.choice('0123456789X')}"

    journals = []
    for _ in range(240):
        words = [word.title() for word in dice.sample(_WORDS, dice.randrange(1, 5))]
        short = " ".join(word[:4] for word in words)
        # A third of the journals have a second number or abbreviation, such as that of the online edition.
        numbers, others = [issn(), issn()], [short, f"{short} Online"]
        one = dice.random() < 0.66
        journals.append((" ".join(words), others[:1] * 2 if one else others, numbers[:1] * 2 if one else numbers))
    weights = [1 / (rank + 1) for rank in range(len(journals))]
    made = []
    for number in range(rows):
        name, shorts, issns = dice.choices(journals, weights)[0]
        first, volume, issue = dice.randrange(1, 2_000), dice.randrange(1, 180), dice.randrange(1, 13)
        last, day, month = first + dice.randrange(1, 30), dice.randrange(1, 29), dice.randrange(1, 13)
        people = [f"{dice.choice(_LAST)}, {dice.choice(_FIRST)[0]}." for _ in range(dice.randrange(1, 7))]
        spans = (f"{first}-{last}", f"{first}-{str(last)[-2:]}", f"{first}", f"S{first}-S{last}", f"e{first}")
        pages = (*spans, f"{first}-{last}; quiz {last + 1}")
        parts = (f"{issue} Suppl", f"Suppl {issue}", f"{issue} Pt {dice.randrange(1, 4)}")
        issues = (f"{issue}", None, f"{issue}-{issue + 1}", *parts)
        title = " ".join(dice.sample(_WORDS, dice.randrange(4, 12))).capitalize()
        made.append(
            {
                "id": f"{number + 1}",
                "title": title + dice.choices((".", "", "?"), (80, 15, 5))[0],
                "language": dice.choices(("eng", "ger", "fre", "spa", "eng; fre"), (88, 4, 4, 3, 1))[0],
                "journal": name,
                "short": dice.choices(shorts, (85, 15))[0],
                "issn": dice.choices((*issns, None), (80, 17, 3))[0],
                "volume": dice.choices(
                    (f"{volume}", f"{volume} Suppl 1", f"{volume}(Pt 2)", f"{volume}A"), (95, 3, 1, 1)
                )[0],
                "issue": dice.choices(issues, (86, 8, 2, 2, 1, 1))[0],
                "pages": dice.choices(pages, (70, 18, 4, 3, 3, 2))[0],
                "created": f"{month}/{day}/{dice.randrange(90, 100)}",
                "authors": dice.choices(("; ".join(people), None), (98, 2))[0],
            }
        )
    return pl.DataFrame(made, dict.fromkeys(made[0], pl.String))


def passengers(seed: int, rows: int = 1000) -> pl.DataFrame:
    """Ordinals, codes of letters and digits, seats, amounts with thousands, a town called like a token."""
    dice = random.Random(seed)
    letters = "ABCDEFGHJKLMNPQRSTUVWXYZ"
    planes = [f"N{dice.randrange(1, 10)}{dice.choice(letters)}{dice.choice(letters)}AA" for _ in range(300)]
    made = [
        {
            "ticket": f"{dice.randrange(10**9, 10**10)}",
            "class": dice.choices(("1st", "2nd", "3rd"), (25, 20, 55))[0],
            "carrier": dice.choices(("UA", "AA", "DL", "B6", "F9", "FL", "9E"), (30, 30, 20, 10, 2, 7, 1))[0],
            "plane": dice.choice(planes),
            "seat": f"{dice.randrange(1, 40)}{dice.choice('ABCDEF')}",
            "fare": f"{int(dice.lognormvariate(6, 1.6)):,}",
            "meal": dice.choices(("yes", "no", None), (60, 37, 3))[0],
            "remark": None if dice.random() < 0.9 else " ".join(dice.sample(_WORDS, 3)),
        }
        for _ in range(rows)
    ]
    return pl.DataFrame(made, dict.fromkeys(made[0], pl.String))


def long_tail(seed: int, rows: int = 1000) -> pl.DataFrame:
    """Journals of two or three articles each, with names that determine each other, and a second one now and then."""
    dice = random.Random(seed)
    journals = []
    for _ in range(330):
        words = [word.title() for word in dice.sample(_WORDS, 3)]
        number = f"{dice.randrange(10_000):04d}-{dice.randrange(1_000):03d}"
        journals.append((" ".join(words), " ".join(word[:4] for word in words), number))
    made = []
    for number in range(rows):
        name, short, issn = dice.choice(journals)
        print_, full = dice.random() < 0.94, dice.random() < 0.94
        row = {"id": f"{number}", "journal": name, "short": short if full else f"{short} (Bost)"}
        made.append(row | {"issn": f"{issn}{1 if print_ else 2}", "year": f"{dice.randrange(1980, 2015)}"})
    return pl.DataFrame(made, dict.fromkeys(made[0], pl.String))


TABLES = (references, passengers, long_tail)
