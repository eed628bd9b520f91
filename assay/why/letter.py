"""A letter about a prediction, in Markdown: for the person who complained, or for an auditor."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date

from assay.errors import plural
from assay.why.explanation import Why
from assay.why.items import ShownRow, StepTaken
from assay.why.verdict import counted, in_sentences

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~])")


def letter(why: Why, on: date, whose: Collection[str] = ()) -> str:
    """The letter as Markdown. It has only what the screen has: personal data is masked there, and texts are escaped here.

    Args:
        why: The prediction and where its answer came from.
        on: The day that stands on the letter.
        whose: Keys of the prediction that say whom the letter is for, such as `["customer_id"]`: the rows with the same values
            are listed. All others are about other people or things and only counted. By default rows are listed that agree in
            every key that their table has.
    """
    rows = [row for row in why.every_row if row.is_about(whose)]
    parts = (_head(why, on), _unusual(why), _features(why), _rows(why, rows), _rules(why), _people(why), _truth(why))
    return "\n".join(line for part in parts for line in part) + "\n"


def _head(why: Why, on: date) -> Iterator[str]:
    about = f", about {_escaped(why.about_text)}" if why.about else ""
    yield from ("# How an automatic answer came about", "", f"{on:%-d %B %Y}", "")
    yield f"On {why.event_time:%-d %B %Y at %H:%M} UTC the model {_escaped(why.model)} gave this answer{about}:"
    yield from ("", f"> **{_escaped(why.answer_text)}**", "")
    if why.confidence is not None:
        yield f"The model's own confidence in it was {why.confidence:.0%}, which proves nothing: a confident answer can be wrong."
    stored = f"{why.made_at:%-d %B %Y at %H:%M} UTC"
    yield f"The model was in version {_escaped(why.model_version[:16])}. The answer was stored on {stored}."
    yield f"Its number is `{why.prediction_id}`: please name it if you write to us."
    yield ""
    if why.answers_text:
        yield from (f"**{_escaped(why.answers_text)}**", "")
    yield "This letter says from which data the answer was made, what was unusual about them, and how it can be checked."
    yield ""


def _unusual(why: Why) -> Iterator[str]:
    yield from ("## What was unusual", "")
    own, training = ([item for item in why.unusual if item.of_training is so] for so in (False, True))
    if not own:
        yield "We looked for late, corrected, missing and excepted data and for changed rules, and found none."
        yield ""
    yield from _list(item.sentence for item in own)
    if training:
        yield from ("In the data from which the model had learnt:", "")
        yield from _list(item.sentence for item in training)


def _features(why: Why) -> Iterator[str]:
    """The values that the model was given."""
    if not why.features:
        return
    yield from ("## What the model was given", "")
    rows = [
        [name, value if value is not None else "nothing", one.source_text]
        for one in why.features
        for name, value in one.values.items()
    ]
    yield from _table(["value", "was", "from"], rows)


def _rows(why: Why, rows: Sequence[ShownRow]) -> Iterator[str]:
    yield from ("## What the answer was made from", "")
    if why.row_count is None or not why.every_row:
        yield from (_sentence(why.rows_text), "")
        return
    others = len(why.every_row) - len(rows)
    listed = rows[: why.listed]
    first = f", of which the first {len(listed)} are listed here" if len(listed) < len(rows) else ""
    yield f"{plural(len(why.every_row), 'delivered row')} in {plural(why.file_count, 'file')}{first}."
    if others:
        yield f"Of them {plural(others, 'row')} are about other people or things, and are counted here only."
    yield from ([_sentence(why.rows_problem)] if why.rows_problem else [])
    yield ""
    if not rows:
        return
    yield "Personal data is replaced by what kind it is, such as ‹email›; of free text only the length is shown."
    yield ""
    for table in dict.fromkeys(row.table for row in listed):
        own = [row for row in listed if row.table == table]
        columns = list(dict.fromkeys(name for row in own for name in row.values))
        yield from _table(
            ["delivered as", *columns, "it counts because", "unusual"],
            [
                [
                    f"{row.file} row {row.row_number}",
                    *(row.values.get(name) or "" for name in columns),
                    "; ".join(row.because),
                    "; ".join(row.notes),
                ]
                for row in own
            ],
        )


def _rules(why: Why) -> Iterator[str]:
    judged = [step for step in why.steps if step.rules and not step.of_training and not step.lookup]
    if not judged:
        return
    yield from ("## Which rules the data passed", "")
    for step in judged:
        by = f" ({_escaped(step.contract)})" if step.contract else ""
        yield from (f"{_escaped(step.table)}{by}:", "")
        yield from _list([*(f"{rule.meaning}: {rule.result}" for rule in step.broken), *step.held, *step.not_judged])


def _people(why: Why) -> Iterator[str]:
    yield from ("## Who answers for it", "")
    rows = [_person(step) for step in why.steps if not step.of_training or step.kind in ("model", "training")]
    yield from _table(["step", "version", "owner", "made by", "run"], rows)


def _person(step: StepTaken) -> list[str]:
    looked_up = " (looked up)" if step.lookup else ""
    return [
        f"{step.table}{looked_up}",
        step.versions_text,
        step.owner or "not named",
        step.actor or "not named",
        step.run_id,
    ]


def _truth(why: Why) -> Iterator[str]:
    yield from ("## Whether this is true", "")
    found = why.verification
    if found is None:
        yield "It has not been verified for this letter."
    else:
        text = in_sentences(found)
        yield f"**{text}** See below." if found.outcome == "broken" else text
        yield counted(found)
        yield ""
        yield from _list(f"{item.what}: {item.detail}" for item in found.checks if item.ok is False)
    if why.bundle is not None:
        yield ""
        yield f"A file with the evidence goes with this letter. Its sums have SHA-256 `{why.bundle['sha256']}`."
        yield "Anybody can check it without us and without a network: unpack it and run `python verify.py`."
    yield ""


def _list(sentences: Iterable[str]) -> Iterator[str]:
    lines = [f"- {_escaped(sentence)}" for sentence in sentences]
    yield from [*lines, ""] if lines else []


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    kept = [place for place in range(len(columns)) if any(row[place] for row in rows)]
    yield "| " + " | ".join(_escaped(columns[place]) for place in kept) + " |"
    yield "|" + "---|" * len(kept)
    for row in rows:
        yield "| " + " | ".join(_escaped(row[place]) for place in kept) + " |"
    yield ""


def _sentence(text: str) -> str:
    return f"{_escaped(text[:1].upper() + text[1:]).rstrip('.')}."


def _escaped(text: str) -> str:
    """A text as Markdown shows it literally, in one line: data must not become markup, links or pictures."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
