"""`assay predictions`: the ids to trace, by model, by whom they are about, and by time."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from assay.cli.output import err, json_option, out, print_json, print_table
from assay.cli.trees import tree
from assay.store import open_store

if TYPE_CHECKING:
    from assay.features.tables.lake import Lake
    from assay.lineage.predictions.latest import LoggedPrediction
    from assay.lineage.verification.lost_prediction import LostPrediction

_TIME = click.DateTime(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])
_DAY = click.DateTime(formats=["%Y-%m-%d"])


@click.command()
@click.argument("model", required=False)
@click.option(
    "--about",
    multiple=True,
    metavar="KEY=VALUE",
    help="Only those about this key, such as customer_id=C0012. Repeatable.",
)
@click.option("--on", type=_DAY, help="Only those of this day (UTC).")
@click.option("--since", type=_TIME, help="Only those of this time (UTC) or later.")
@click.option("--until", type=_TIME, help="Only those before this time (UTC).")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1), help="At most so many.")
@json_option
def predictions(
    model: str | None,
    about: tuple[str, ...],
    on: datetime | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """List the latest predictions of MODEL, or of all models, newest first: ids, times, whom they are about, answers.

    --about finds them by what a complaint knows: a customer, a ticket, a day. Only the files that can hold them are read.
    `assay why ID` then says where the answer came from. Personal data in keys and answers is masked.

    \b
    Examples:
      assay predictions router --limit 1
      assay predictions --about customer_id=C0012 --on 2026-09-03
      assay predictions router --about ticket_id=T0000017
      assay predictions router --since 2026-09-03 --until 2026-09-04 --json
    """
    from assay.lineage.predictions.about import predictions_about
    from assay.lineage.predictions.latest import latest_predictions

    if on is not None:
        if since is not None or until is not None:
            raise click.UsageError("--on is a whole day: leave out --since and --until, or give these two.")
        since, until = on, on + timedelta(days=1)
    if since is not None and until is not None and since >= until:
        raise click.UsageError(f"--until {until} is not after --since {since}: no time lies between them.")
    since, until = (moment and moment.replace(tzinfo=UTC) for moment in (since, until))
    keys = dict(map(_key, about))
    lake = open_store().lake
    if keys:
        found = predictions_about(lake, keys, model, since=since, until=until, limit=limit + 1)
    else:
        found = latest_predictions(lake, model, since=since, until=until, limit=limit + 1)
    more, found = len(found) > limit, _shown(lake, found[:limit])
    if as_json:
        print_json(_as_data(found))
    elif not found:
        whose = f" of {model}" if model else ""
        whom = f" about this {' and '.join(keys)}" if keys else ""
        when = " in that time" if since is not None or until is not None else ""
        out.print(f"There are no predictions{whose}{whom}{when}.", markup=False)
    else:
        print_predictions(found)
    if more:
        err.print(
            f"There are more: these are the newest {limit}. A greater --limit, or --since and --until, list others."
        )


def _key(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name or not value:
        raise click.BadParameter("write KEY=VALUE, such as customer_id=C0012", param_hint="--about")
    return name.strip(), value


def print_predictions(found: "Sequence[LoggedPrediction]") -> None:
    """A table of predictions; the model is a column where there are several. Of answers to one question some are replaced."""
    from assay.why.shown import in_text

    names = list(dict.fromkeys(name for item in found for name in item.answer))
    several, again = len({item.model for item in found}) > 1, any(item.replaced for item in found)
    rows: list[tuple[Any, ...]] = [
        (
            item.id,
            f"{item.event_time:%Y-%m-%d %H:%M:%S}",
            ", ".join(f"{name} {in_text(value)}" for name, value in item.about),
            *([item.model] if several else []),
            item.model_version,
            *([f"{item.made_at:%Y-%m-%d %H:%M:%S}" if item.made_at else None] if again else []),
            *(in_text(item.answer.get(name)) for name in names),
            *(["replaced" if item.replaced else "latest"] if again else []),
        )
        for item in found
    ]
    made = ["made (UTC)"] if again else []
    columns = (
        "prediction",
        "event time (UTC)",
        "about",
        *(["model"] if several else []),
        "model version",
        *made,
        *names,
    )
    print_table((*columns, *(["answer"] if again else [])), rows)
    if again:
        out.print("replaced: the same question, about the same keys at the same time, has a later answer.")


def show_lost(lost: "LostPrediction", as_json: bool) -> None:
    """What is known of a prediction that cannot be traced."""
    if as_json:
        print_json(lost.to_dict())
    else:
        out.print(tree(lost.outline()))


def _shown(lake: "Lake", found: "Sequence[LoggedPrediction]") -> "list[LoggedPrediction]":
    """With their keys and answers masked."""
    from assay.why.declared_now import declared_now
    from assay.why.shown import classes_of_lake, shown_keys, shown_predictions

    declared = declared_now()
    classes = classes_of_lake(lake, declared) if found else {}
    return [
        replace(item, about=tuple(shown_keys(item, classes).items()))
        for item in shown_predictions(lake, found, declared)
    ]


def _as_data(found: "Sequence[LoggedPrediction]") -> list[dict[str, Any]]:
    return [item.to_dict() | {"about": dict(item.about)} for item in found]


def prediction_of(lake: "Lake", text: str, as_json: bool) -> str:
    """The id that a person means by its first characters. Where several begin so, they are printed, and the error says so."""
    from assay.lineage.predictions.about import Ambiguous, whole_id

    try:
        return whole_id(lake, text)
    except Ambiguous as several:
        candidates = _shown(lake, several.candidates)
        if as_json:
            print_json({"candidates": _as_data(candidates)})
        else:
            print_predictions(candidates)
        raise
