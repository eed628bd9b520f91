"""`assay training-sets`: list and describe them, and compare two."""

import click

from assay.cli.catalogue import training_sets
from assay.cli.exit_codes import EXIT_NO
from assay.cli.output import json_option, out, print_json, print_table
from assay.errors import plural
from assay.features.training.comparison import TrainingSetComparison
from assay.features.training.distribution import Distribution
from assay.store import open_store

__all__ = ["training_sets"]


@training_sets.command()
@click.argument("a")
@click.argument("b")
@click.option("--key", "keys", multiple=True, help="Column that identifies a row (several: give it several times).")
@json_option
def compare(a: str, b: str, keys: tuple[str, ...], as_json: bool) -> None:
    """Compare training sets A and B (NAME@VERSION): rows, features, inputs, columns. Exit code 3 if they differ.

    Rows are matched by the keys of the views and the time, or by --key. No cell is shown: of numbers that are not personal means
    and quantiles, of categories only those of columns that a contract knows and does not call personal.

    \b
    Examples:
      assay training-sets compare router@1 router@2
      assay training-sets compare router@1 router@2 --key ticket_id --json
    """
    store = open_store()
    found = store.load_training_set(a).compare(store.load_training_set(b), key=list(keys) or None, classes=_classes())
    if as_json:
        print_json(found.to_dict())
    else:
        _show(found)
    if not found.equal:
        click.get_current_context().exit(EXIT_NO)


def _classes() -> dict[str, str | None]:
    """The class of personal data of each column that a contract of the project knows; one that is personal anywhere is so
    everywhere."""
    from assay.assets.declarations import sources
    from assay.assets.project import find_project
    from assay.checks.validation.masking import classes_of

    if find_project() is None:
        return {}
    classes: dict[str, str | None] = {}
    for source in sources().values():
        for name, kind in classes_of(source.contract).items():
            classes[name] = classes.get(name) or kind
    return classes


def _show(found: TrainingSetComparison) -> None:
    rows = found.rows
    for name, count in zip((found.a, found.b), rows.rows, strict=True):
        out.print(f"{name}: {plural(count, 'row')}", highlight=False, markup=False)
    counts = [("equal", rows.same), ("changed", rows.differ), (f"only in {found.a}", rows.only[0])]
    counts += [(f"only in {found.b}", rows.only[1])]
    counts += [
        (f"several times in {name}", count)
        for name, count in zip((found.a, found.b), rows.repeated, strict=True)
        if count
    ]
    print_table(
        (f"by {', '.join(found.key)}", "rows"), [(name, f"{count:,}") for name, count in counts], right=("rows",)
    )
    lines = [f"{name} differs in {plural(count, 'row')}" for name, count in rows.columns.items()]
    lines += [f"{change} feature {name}" for change, names in found.features.items() for name in names]
    lines += [f"{name} is {_there(one)} and {_there(other)}" for name, (one, other) in found.schema.items()]
    lines += [f"{name}: {one!r} and {other!r}" for name, (one, other) in found.settings.items()]
    lines += [f"read {table}@{_there(one)} and @{_there(other)}" for table, (one, other) in found.inputs.items()]
    for line in lines:
        out.print(line, highlight=False, markup=False, soft_wrap=True)
    moved = [(name, share) for name, share in found.shifts.items() if share]
    if moved:
        shown = [(name, f"{share:.3f}", *(_short(side) for side in found.distributions[name])) for name, share in moved]
        print_table(("column", "shift", found.a, found.b), shown, right=("shift",))


def _there(value: object) -> str:
    return "not there" if value is None else str(value)


def _short(side: Distribution) -> str:
    """A distribution in a cell of a table."""
    parts = [f"{side.nulls / side.rows:.1%} null"] if side.nulls else []
    mean, low, high = (side.summary.get(name) for name in ("mean", "q0.05", "q0.95"))
    if isinstance(mean, float) and isinstance(low, float) and isinstance(high, float):
        parts.append(f"mean {mean:.4g}, 90 % in {low:.4g} … {high:.4g}")
    elif "min" in side.summary:
        parts.append(f"{side.summary['min']} … {side.summary['max']}")
    elif side.shares:
        parts.append(", ".join(f"{name} {share:.1%}" for name, share in list(side.shares.items())[:4]))
    elif side.distinct is not None:
        parts.append(plural(side.distinct, "value"))
    return ", ".join(parts)
