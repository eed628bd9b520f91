"""`assay features`: what a model reads, from the shell."""

from collections.abc import Sequence
from datetime import UTC, datetime

import click

from assay.cli.features.backfill import backfill
from assay.cli.output import bold, err, json_option, out, print_json, print_table
from assay.errors import AssayError, plural
from assay.features.catalogue.definitions import DefinitionInfo
from assay.features.catalogue.feature_info import FeatureInfo
from assay.features.catalogue.values import FeatureValues
from assay.features.serving.join_options import checked_known_at
from assay.store import open_store


@click.group()
def features() -> None:
    """The catalogue of features, their values, and training sets."""


@features.command("list")
@click.option("--view", "views", multiple=True, help="Only features of this view (several: give it several times).")
@json_option
def list_(views: tuple[str, ...], as_json: bool) -> None:
    """Every feature: type, unit, owner, newest event time, how many use it, and what it is.

    \b
    Examples:
      assay features list
      assay features list --view customer_activity --json
    """
    store = open_store()
    for view in views:
        if view not in {info.view for info in store.features()}:
            store.view(view)  # names the nearest
    found = [info for info in store.features() if not views or info.view in views]
    _print(found, as_json, "There are no features yet: declare a FeatureView and run `assay materialize`.")


@features.command()
@click.argument("words", nargs=-1, required=True)
@json_option
def search(words: tuple[str, ...], as_json: bool) -> None:
    """Features that have all WORDS in their name, description, unit, owner, entity, keys or source columns.

    \b
    Example:
      assay features search card 7d
    """
    from assay.features.catalogue.catalogue import search as search_features

    text = " ".join(words)
    _print(
        search_features(open_store().features(), text), as_json, f"No feature has {text!r}: see `assay features list`."
    )


features.add_command(backfill)


@features.command()
@click.argument("reference")
@json_option
def show(reference: str, as_json: bool) -> None:
    """One feature (VIEW:FEATURE): what it is, its values in the newest partition, and everything that uses it. Or a VIEW: its
    definitions.

    What uses it is what a change of it reaches: all versions of training sets and models are counted. Of each definition of a
    view it says since when it computes rows, which share of the partitions it has, what it changed, and who uses it.

    \b
    Examples:
      assay features show customer_activity:tickets_7d
      assay features show customer_activity
    """
    store = open_store()
    if ":" not in reference:
        _show_view(reference, store.definitions(reference), as_json)
        return
    info, values = store.feature(reference), store.feature_values(reference)
    if as_json:
        print_json(info.to_dict() | {"values": values.to_dict() if values else None})
        return
    for name, text in _facts(info, values):
        if text:
            out.print(f"{name}: {text}", highlight=False, markup=False, soft_wrap=True)


def _show_view(view: str, found: Sequence[DefinitionInfo], as_json: bool) -> None:
    if as_json:
        print_json([info.to_dict() for info in found])
        return
    if not found:
        out.print(f"Nobody recorded a definition of {view}.", markup=False)
    for info in found:
        out.print(bold(info.reference), highlight=False)
        facts = (
            ("state", ", ".join(word for word, so in (("served", info.served), ("declared", info.declared)) if so)),
            ("digest", info.sha256[:16]),
            ("version", info.version),
            ("computes rows", f"{_time(info.first)} to {_time(info.last)}" if info.first else "not yet"),
            ("partitions", f"{info.partitions:,} of {info.of:,}"),
            ("whole at", f"features/{view}@{info.whole}" if info.whole is not None else ""),
            ("used by training sets", ", ".join(info.training_sets)),
            ("used by models", ", ".join(info.models)),
            ("kept by pins", ", ".join(info.pins)),
        )
        lines = [f"{name}: {text}" for name, text in facts if text]
        lines += [f"changed: {change}" for change in info.changes]
        for line in lines:
            out.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
    if found and not any(info.served and info.declared for info in found) and any(info.declared for info in found):
        out.print(
            f"`assay features backfill {view}` computes what the declared one lacks.", highlight=False, markup=False
        )


def _print(found: Sequence[FeatureInfo], as_json: bool, otherwise: str) -> None:
    if as_json:
        print_json([info.to_dict() for info in found])
    elif not found:
        err.print(otherwise, highlight=False, markup=False, soft_wrap=True)
    else:
        rows = [
            (info.reference, info.dtype, info.unit, info.owner, _time(info.newest), _count(info), _about(info))
            for info in found
        ]
        print_table(("feature", "type", "unit", "owner", "newest", "used by", "what it is"), rows, right=("used by",))


def _count(info: FeatureInfo) -> str:
    uses = info.uses
    return f"{len(uses.training_sets) + len(uses.models) + len(uses.predictions):,}"


def _about(info: FeatureInfo) -> str:
    return f"deprecated: {info.deprecated}" if info.deprecated else info.description


def _time(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""


def _facts(info: FeatureInfo, values: FeatureValues | None) -> list[tuple[str, str]]:
    uses = info.uses
    facts = [
        ("feature", info.reference),
        ("description", info.description),
        ("deprecated", info.deprecated),
        ("type", f"{info.dtype}{f', {info.unit}' if info.unit else ''}"),
        ("kind", f"{info.kind}{f' of {info.window}' if info.window else ''}"),
        ("entity", f"{info.entity or 'none'}, by {', '.join(info.keys)}" if info.keys else ""),
        ("owner", info.owner),
        ("read", str(info.snapshot) if info.snapshot else "no rows yet"),
        ("newest", _time(info.newest)),
        ("comes from", ", ".join(info.reads)),
        ("definition", info.definition[:16]),
    ]
    if values is not None:
        facts += [("values", f"{values}")]
    used = (
        ("training sets", uses.training_sets),
        ("models", uses.models),
        ("predictions", uses.predictions),
        ("feature sets", uses.feature_sets),
    )
    facts += [(f"used by {what}", ", ".join(names)) for what, names in used]
    return facts if uses else [*facts, ("used by", "nothing that is recorded in this lake")]


@features.command()
@click.argument("view")
@click.argument("keys", nargs=-1, required=True)
@click.option(
    "--at", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="As of this time, UTC (default: now)."
)
@click.option("--known-at", default="event", help="event, or known: only values that were known by then.")
@click.option("--unmasked", is_flag=True, help="Print personal data as it is.")
@json_option
def get(view: str, keys: tuple[str, ...], at: datetime | None, known_at: str, unmasked: bool, as_json: bool) -> None:
    """Latest values of VIEW for KEYS (COLUMN=VALUE, several for several rows), and inputs of the request, where it has some.

    VIEW is a view's name, or a reference such as 'airport:wind on airport=origin'. Values that come from personal columns are
    masked, as everywhere; so are those of which it is not known what they come from.

    \b
    Example:
      assay features get customer_activity customer_id=C00012 customer_id=C00013 --at 2026-09-25
      assay features get customer_activity customer_id=C00012 --known-at known
    """
    from assay.features.serving.on_demand.compute import request_from_texts
    from assay.features.serving.online import request_inputs, served
    from assay.why.declared_now import declared_now
    from assay.why.features import shown_served
    from assay.why.shown import classes_of_lake

    known = checked_known_at(known_at, "--known-at")
    wanted: dict[str, list[str]] = {}
    for key in keys:
        column, equals, value = key.partition("=")
        if not equals:
            raise AssayError(f"{key!r} is not COLUMN=VALUE, e.g. customer_id=C00012.")
        wanted.setdefault(column, []).append(value)
    moment = at.replace(tzinfo=UTC) if at else datetime.now(UTC)
    lake = open_store().lake
    asked = request_from_texts(wanted, request_inputs(lake, view))
    frame, views = served(lake, view, asked, moment, known_at=known)
    if not unmasked:
        frame = shown_served(lake, frame, views, classes_of_lake(lake, declared_now()))
    if as_json:
        print_json(frame.to_dicts())
    else:
        print_table(frame.columns, frame.rows())


@features.command("training-set")
@click.argument("training_set_id")
@json_option
def training_set(training_set_id: str, as_json: bool) -> None:
    """The manifest of a training set: every input with its URI and version, and how to read it without Assay.

    \b
    Example:
      assay features training-set router@1 --json > manifest.json
    """
    loaded = open_store().load_training_set(training_set_id)
    if as_json:
        print_json(loaded.manifest)
        return
    manifest = loaded.manifest
    out.print(f"{loaded.id}: {plural(manifest['rows'], 'row')}, content {manifest['content_digest'][:16]}…")
    rows = [(i["name"], i["version"], len(i["partitions"] or []) or "all", i["uri"]) for i in manifest["inputs"]]
    print_table(("input", "version", "partitions", "uri"), rows, right=("version",))
