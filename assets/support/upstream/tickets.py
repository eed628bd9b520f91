"""The tickets of all days: the texts spread over them, customers, times and channels assigned, defects added."""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from random import Random

from assay.assets.support.upstream.calendar import NUMBERS, TEST_FIRST_NUMBER, VOLUME_FACTOR, VOLUME_NUMBER, day
from assay.assets.support.upstream.customers import Regulars
from assay.assets.support.upstream.spoil import DEFECTS, Defect, Place, Ticket, spoiled
from assay.assets.support.upstream.texts import Texts

COLUMNS = ("ticket_id", "customer_id", "created_at", "channel", "text", "intent")
# The share of train tickets whose intent an agent has filed; in the test split all are.
INTENT_FILED = 0.95

_CHANNELS, _CHANNEL_WEIGHTS = ("email", "chat", "phone", "web"), (35, 40, 10, 15)

# A ticket and, if it was spoiled, how.
Marked = tuple[Ticket, Defect | None]


def drops(train: Texts, test: Texts) -> dict[Place, list[Marked]]:
    """The rows of every morning ("am") and evening ("pm") file. Each text is in one clean ticket; defects are extra rows."""
    random = Random("assay/tickets")
    train, test = random.sample(train, len(train)), random.sample(test, len(test))
    train_days, test_days = NUMBERS[: TEST_FIRST_NUMBER - 1], NUMBERS[TEST_FIRST_NUMBER - 1 :]
    texts = {**_spread(train, train_days, random), **_spread(test, test_days, random)}
    regulars = Regulars()
    clean: dict[int, list[Ticket]] = {}
    for number in NUMBERS:
        first = 1 + sum(map(len, clean.values()))
        filed = INTENT_FILED if number in train_days else 1
        clean[number] = _tickets(number, first, texts[number], regulars, filed, random)
    return {(number, half): _drop(clean, number, half, random) for number in NUMBERS for half in ("am", "pm")}


def _spread(texts: Texts, numbers: Sequence[int], random: Random) -> dict[int, Texts]:
    """The texts over the days, about evenly, with `VOLUME_FACTOR` times as many on the day of the flood."""
    weights = [VOLUME_FACTOR if number == VOLUME_NUMBER else random.uniform(0.9, 1.1) for number in numbers]
    ends = [round(len(texts) * sum(weights[:count]) / sum(weights)) for count in range(len(weights) + 1)]
    return {number: texts[start:end] for number, (start, end) in zip(numbers, pairwise(ends), strict=True)}


def _tickets(number: int, first: int, texts: Texts, regulars: Regulars, filed: float, random: Random) -> list[Ticket]:
    """The clean tickets of a day in the order of time, with ids from `first` on."""
    midnight = datetime.combine(day(number), time(), UTC)
    seconds = sorted(random.choices(range(86_400), k=len(texts)))
    customers = regulars.choose(day(number), len(texts), random)
    return [
        {
            "ticket_id": f"T{ticket_number:07d}",
            "customer_id": customer,
            "created_at": (midnight + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "channel": random.choices(_CHANNELS, _CHANNEL_WEIGHTS)[0],
            "text": text,
            "intent": intent if random.random() < filed else None,
        }
        for ticket_number, (second, customer, (text, intent)) in enumerate(
            zip(seconds, customers, texts, strict=True), first
        )
    ]


def _drop(clean: dict[int, list[Ticket]], number: int, half: str, random: Random) -> list[Marked]:
    """The rows of one file, clean and spoiled."""
    noon = bisect_left([str(ticket["created_at"]) for ticket in clean[number]], f"{day(number)}T12")
    tickets = clean[number][:noon] if half == "am" else clean[number][noon:]
    rows: list[Marked] = [(ticket, None) for ticket in tickets]
    plain = [ticket for ticket in tickets if _plain(str(ticket["text"]))]
    for defect in DEFECTS:
        if (number, half) in defect.places:
            original = random.choice(plain)
            earlier = random.choice(clean[number - 3]) if defect.name == "duplicate_id_of_earlier_day" else original
            at = len(rows) if defect.name == "half_written" else rows.index((original, None)) + 1
            rows.insert(at, (spoiled(original, earlier, defect.name, random), defect))
    return rows


def _plain(text: str) -> bool:
    """Whether every defect can be planted in the text and breaks its own rule only: one line, not too short to cut."""
    return text.isascii() and "\n" not in text and len(text) > 20
