"""When the demo's upstream does what. Days count from 1; everything else follows from these numbers."""

from datetime import date, timedelta

FIRST_DAY = date(2026, 9, 1)
DAYS = 30


def day(number: int) -> date:
    """The date of the upstream's `number`-th day."""
    return FIRST_DAY + timedelta(days=number - 1)


NUMBERS = range(1, DAYS + 1)
LAST_DAY = day(DAYS)
# Tickets of the test split are those from here on.
TEST_FIRST_NUMBER = 24
TEST_FIRST_DAY = day(TEST_FIRST_NUMBER)

# Ten times the tickets of a usual day.
VOLUME_NUMBER = 17
VOLUME_FACTOR = 10
# The evening file is empty; its correction comes two days later.
EMPTY_NUMBER = 9
EMPTY_HEALED_AFTER = 2
# The morning file comes again, with the same bytes under another name, in a later day's folder.
RESENT_NUMBER = 19
RESENT_AGAIN_NUMBER = 21
# `amount` is called `amount_eur`; the corrected files come three days later.
RENAMED_NUMBERS = (12, 13)
RENAMED_HEALED_AFTER = 3
# No event that is sent twice has a copy around the renamed days, so that it is clear which copy stays, whenever they are
# healed.
UNDUPLICATED_NUMBERS = range(11, 17)
