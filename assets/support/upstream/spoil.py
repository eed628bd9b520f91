"""The defects that are planted in ticket files: which rule each breaks, in which files it is, and what it does to a ticket."""

from dataclasses import dataclass
from random import Random

Ticket = dict[str, str | None]
# A day's number and the half of the day: one file.
Place = tuple[int, str]

CARDS = ("4111 1111 1111 1111", "5555-5555-5555-4444", "378282246310005", "6011 1111 1111 1117", "4222222222222")


@dataclass(frozen=True, slots=True)
class Defect:
    """A kind of defect: one row in each of `places` has it, and breaks `rule` and no other."""

    name: str
    rule: str
    places: tuple[Place, ...]


# The empty file's day and the re-sent file stay without, so that each defect can be looked at by itself.
DEFECTS = (
    Defect("null_text", "text.not_null", ((1, "pm"), (6, "am"), (11, "pm"), (17, "am"), (25, "pm"), (29, "am"))),
    Defect("empty_text", "text.not_empty", ((2, "am"), (8, "am"), (17, "pm"), (26, "pm"))),
    Defect("blank_text", "text.not_empty", ((3, "pm"), (13, "am"), (17, "am"), (24, "am"))),
    Defect("unknown_channel", "channel.isin", ((2, "pm"), (5, "am"), (12, "pm"), (18, "am"), (27, "am"), (30, "pm"))),
    Defect("duplicate_id", "ticket_id.unique", ((5, "pm"), (16, "am"), (17, "pm"), (28, "am"))),
    Defect("duplicate_id_of_earlier_day", "ticket_id.unique", ((7, "pm"), (14, "am"), (20, "pm"), (28, "pm"))),
    Defect("impossible_date", "created_at.dtype", ((4, "pm"), (10, "am"), (18, "pm"), (24, "pm"))),
    Defect("unknown_customer", "customer_id.exists", ((6, "pm"), (11, "am"), (17, "am"), (23, "pm"), (29, "pm"))),
    Defect("email_in_text", "text.no_email", ((1, "am"), (8, "am"), (15, "pm"), (17, "pm"), (25, "am"), (30, "am"))),
    Defect("card_number_in_text", "text.no_card_number", ((3, "am"), (10, "pm"), (14, "pm"), (22, "pm"), (26, "am"))),
    Defect("bad_encoding", "row.encoding", ((3, "am"), (7, "am"), (16, "pm"), (26, "am"))),
    Defect("half_written", "row.unparsable", ((4, "am"), (8, "pm"), (22, "am"), (27, "pm"))),
)


def spoiled(original: Ticket, earlier: Ticket, defect: str, random: Random) -> Ticket:
    """A copy of `original` with the defect; of a duplicate, the id is that of `earlier`.

    What only the file's bytes can show, a bad encoding and a half-written line, is done when the file is written.
    """
    ticket = {**original, "ticket_id": f"T9{random.randrange(1_000_000):06d}"}
    match defect:
        case "null_text":
            ticket["text"] = None
        case "empty_text":
            ticket["text"] = ""
        case "blank_text":
            ticket["text"] = "   "
        case "unknown_channel":
            ticket["channel"] = random.choice(("fax", "telegram"))
        case "duplicate_id" | "duplicate_id_of_earlier_day":
            ticket |= {"ticket_id": earlier["ticket_id"], "text": f"About my last message: {original['text']}"}
        case "impossible_date":
            ticket["created_at"] = f"2026-02-30T{random.randrange(24):02d}:15:00Z"
        case "unknown_customer":
            ticket["customer_id"] = f"C9{random.randrange(10_000):04d}"
        case "email_in_text":
            ticket["text"] = f"{original['text']} Write to me at jo{random.randrange(1000)}.doe@example.com"
        case "card_number_in_text":
            ticket["text"] = f"{original['text']} My card number is {random.choice(CARDS)}."
        case "bad_encoding":
            ticket["text"] = f"{original['text']} I was at the café then."
    return ticket
