"""The bytes of the ticket files: CSV and JSON lines in turn, one of them empty at first, one of them sent twice."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from assay.assets.support.upstream.calendar import (
    EMPTY_HEALED_AFTER,
    EMPTY_NUMBER,
    RESENT_AGAIN_NUMBER,
    RESENT_NUMBER,
    day,
)
from assay.assets.support.upstream.spoil import Place, Ticket
from assay.assets.support.upstream.texts import Texts
from assay.assets.support.upstream.tickets import COLUMNS, Marked, drops
from assay.assets.support.upstream.values import LandingFile, Planted


def ticket_files(train: Texts, test: Texts) -> tuple[LandingFile, ...]:
    """Every ticket file there will ever be."""
    files: list[LandingFile] = []
    for place, rows in drops(train, test).items():
        file = _file(place, rows)
        match place:
            case (number, "pm") if number == EMPTY_NUMBER:
                healed = replace(
                    file, path=_revised(file.path), arrives=file.arrives + timedelta(days=EMPTY_HEALED_AFTER)
                )
                files += [replace(file, content=b"", rows=0, defect="empty_file", healed_by=healed.path), healed]
            case (number, "am") if number == RESENT_NUMBER:
                again = day(RESENT_AGAIN_NUMBER)
                path = f"tickets/{again}/late-copy-of-{file.path.rpartition('/')[2]}"
                files += [
                    file,
                    replace(file, path=path, partition=again, arrives=again, defect="resent_file", copy_of=file.path),
                ]
            case _:
                files.append(file)
    return tuple(files)


def _file(place: Place, rows: Sequence[Marked]) -> LandingFile:
    number, half = place
    on = day(number)
    # Which half comes as CSV changes from day to day, so that no kind of defect belongs to one format.
    kind = "csv" if (number % 3 == 0) == (half == "pm") else "jsonl"
    path = f"tickets/{on}/tickets-{half}.{kind}"
    render, head = (_csv_line, ",".join(COLUMNS) + "\n") if kind == "csv" else (_json_line, "")
    content = head.encode() + b"".join(_bytes(render(ticket), defect.name if defect else "") for ticket, defect in rows)
    planted = tuple(
        Planted("tickets", on, path, index, _key(ticket, defect.rule), defect.rule, defect.name)
        for index, (ticket, defect) in enumerate(rows, start=1)
        if defect
    )
    return LandingFile("tickets", path, on, on, content, len(rows), planted)


def _key(ticket: Ticket, rule: str) -> str | None:
    """The ticket's id, where a reader can still make it out."""
    return None if rule.startswith("row.") else ticket["ticket_id"]


def _bytes(line: str, defect: str) -> bytes:
    if defect == "half_written":
        # Cut in the text: after it there is only the intent and, in JSON, the brace.
        return line[: line.index("Z") + 20].encode()
    return (line + "\n").encode("latin-1" if defect == "bad_encoding" else "utf-8")


def _csv_line(ticket: Ticket) -> str:
    return ",".join(_csv_field(ticket[name]) for name in COLUMNS)


def _csv_field(value: str | None) -> str:
    """Null is nothing; everything that could be mistaken is quoted."""
    if value is None:
        return ""
    plain = value.strip() and not any(sign in value for sign in ',"\r\n')
    return value if plain else '"' + value.replace('"', '""') + '"'


def _json_line(ticket: Ticket) -> str:
    return json.dumps({name: ticket[name] for name in COLUMNS}, ensure_ascii=False)


def _revised(path: str) -> str:
    stem, _, suffix = path.rpartition(".")
    return f"{stem}.r1.{suffix}"
