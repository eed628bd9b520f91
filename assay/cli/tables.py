"""`assay tables`: what is in the lake. `assay compare`: two tables of it, or two versions of one, row by row."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
import polars as pl

from assay.cli.exit_codes import EXIT_NO
from assay.cli.output import json_option, out, print_json, print_rows, print_table
from assay.errors import AssayError, plural
from assay.features.tables.kinds import own_name
from assay.features.tables.lake import TableState
from assay.features.tables.refusals import refusals
from assay.store import Store, open_store

if TYPE_CHECKING:
    from assay.assets.sources.source import Source


@click.command()
@click.argument("name", required=False)
@json_option
def tables(name: str | None, as_json: bool) -> None:
    """List the tables, or one table's versions.

    \b
    Examples:
      assay tables
      assay tables clean/tickets
    """
    store = open_store()
    if name is None:
        infos = store.tables()
        if as_json:
            print_json([info.to_dict() for info in infos])
        elif not infos:
            from assay.assets.project import find_project

            here = (
                "run `assay materialize`"
                if find_project() is not None
                else "here is no project. Go to its folder, name it (ASSAY_PROJECT) or the lake (ASSAY_LAKE), or write a project "
                "with `assay init NAME`"
            )
            out.print(f"No tables in {store.settings.lake_uri} yet: {here}.", soft_wrap=True)
        else:
            rows = [
                (i.name, i.version, f"{i.rows:,}", i.partitions or "", f"{i.updated_at:%Y-%m-%d %H:%M}") for i in infos
            ]
            print_table(
                ("table", "version", "rows", "partitions", "updated (UTC)"),
                rows,
                right=("version", "rows", "partitions"),
            )
        if (stopped := len(refusals(store.lake))) and not as_json:
            out.print(
                f"{'One batch was' if stopped == 1 else f'{stopped:,} batches were'} refused or failed: see `assay status`."
            )
        return
    state = store.table(name).at()
    commits: list[dict[str, Any]] = [
        {
            "version": commit.version,
            "partition": commit.partition,
            "rows": commit.rows,
            "operation": commit.operation,
            "run_id": commit.run_id,
            "code_version": commit.code_version,
            "at": commit.timestamp.isoformat(timespec="seconds"),
            "inputs": [str(item.snapshot) for item in commit.inputs],
        }
        | ({"changes": commit.changes.to_dict()} if commit.changes is not None else {})
        | ({"contract": dict(commit.contract)} if commit.contract else {})
        for commit in state.commits
    ]
    if as_json:
        print_json(commits)
        return
    counted = [
        commit.changes if commit.changes is not None and commit.changes.counts else None for commit in state.commits
    ]
    columns = ("version", "at", "partition", "rows", *(("changes",) if any(counted) else ()), "read", "operation")
    rows = [
        (
            *(c["version"], c["at"], c["partition"], c["rows"]),
            *((str(changes or ""),) if any(counted) else ()),
            *(" ".join(c["inputs"]), c["operation"]),
        )
        for c, changes in zip(commits, counted, strict=True)
    ]
    print_table(columns, rows, right=("version", "rows"))


@click.command()
@click.argument("a", metavar="A[@VERSION]")
@click.argument("b", metavar="B[@VERSION]")
@click.option("--key", "keys", multiple=True, help="Column that identifies a row (several: give it several times).")
@click.option("--partition", help="Only this partition of both.")
@click.option("--examples", default=5, show_default=True, help="How many rows of each kind are shown, masked.")
@json_option
def compare(a: str, b: str, keys: tuple[str, ...], partition: str | None, examples: int, as_json: bool) -> None:
    """Compare two tables on a key: which rows only one has, and which columns differ. Exit code 3 if anything does.

    Of a table that holds changes or states the rows are compared that are there. Columns that were renamed (`Field(was=…)`) are
    compared under the names of today. Without --key the key counts that
    the contract of a table's source declares.
    Cells are masked by the contract of the table's source; of other tables only their length is shown.

    \b
    Examples:
      assay compare clean/customers clean/crm_customers --key customer_id
      assay compare clean/customers@7 clean/customers --key customer_id
    """
    from assay.features.tables.reconcile import differences

    store = open_store()
    sides = [_opened(store, name) for name in (a, b)]
    ours, theirs = (_of_today(_rows(state, partition), state.table.name) for state in sides)
    names = [rows.collect_schema().names() for rows in (ours, theirs)]
    own = next((state.changes.keys for state in sides if state.changes is not None), ()) or _declared_key(sides, names)
    keys = tuple(_name_of_today(key, sides, names) for key in keys or own)
    if not keys:
        raise AssayError(f"No contract says which columns identify a row of {a} or {b}: say it with --key COLUMN.")
    found = differences(ours, theirs, keys, examples=examples)
    if as_json:
        print_json({"a": str(sides[0].snapshot), "b": str(sides[1].snapshot), "key": list(keys)} | found.to_dict())
    else:
        for side, state, rows in zip("AB", sides, found.rows, strict=True):
            out.print(f"{side}: {state.snapshot}, {plural(rows, 'row')}")
        kinds = [
            ("equal" if not found.not_compared else "equal in the columns that both have", found.same),
            ("differ", found.differ),
            ("only in A", found.only[0]),
            ("only in B", found.only[1]),
        ]
        kinds += [
            (f"several times in {side}", count) for side, count in zip("AB", found.repeated, strict=True) if count
        ]
        print_table(
            (f"by {', '.join(keys)}", "count"), [(name, f"{count:,}") for name, count in kinds], right=("count",)
        )
        for name, count in found.columns.items():
            out.print(f"{name} differs in {plural(count, 'row')}", highlight=False, markup=False)
        for name, why in found.not_compared.items():
            out.print(f"{name} is not compared: {why}", highlight=False, markup=False)
        for name, rows in found.examples.items():
            out.print(f"\n{name}, for example:")
            shown = _masked(rows, sides[1 if name == "only in B" else 0].table.name)
            print_rows(shown.columns, shown.rows())
    if not found.equal:
        click.get_current_context().exit(EXIT_NO)


def _declared_key(sides: Sequence[TableState], names: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The key in the contract of the source that a table belongs to, if both tables have its columns."""
    for state in sides:
        source = _source_of(state.table.name)
        if source is not None and source.key and all(set(source.key) <= set(columns) for columns in names):
            return tuple(source.key)
    return ()


def _of_today(rows: pl.LazyFrame, table: str) -> pl.LazyFrame:
    """The rows under the names that the contract of the table's source gives its columns now (`Field(was=…)`)."""
    source = _source_of(table)
    if source is None:
        return rows
    from assay.checks.contract.contract import compiled
    from assay.checks.validation.former_names import former_names

    plan = compiled(source.contract)
    return former_names(plan.info.name, plan.columns, rows).lazy(rows)


def _name_of_today(key: str, sides: Sequence[TableState], names: Sequence[Sequence[str]]) -> str:
    """What a column is called now that somebody calls by a former name."""
    from assay.checks.contract.contract import compiled

    if all(key in columns for columns in names):
        return key
    sources = [source for state in sides if (source := _source_of(state.table.name)) is not None]
    columns = [column for source in sources for column in compiled(source.contract).columns]
    return next((column.name for column in columns if key in column.options.was), key)


def _source_of(table: str) -> "Source | None":
    """The declared source that a table belongs to, if there is a project here."""
    from assay.assets.declarations import sources
    from assay.assets.project import find_project

    return sources().get(own_name(table)) if find_project() is not None else None


def _opened(store: Store, name: str) -> TableState:
    table, at, number = name.rpartition("@")
    if not at:
        return store.table(name).at()
    if not number.isdecimal():
        raise click.BadParameter(f"{name!r}: write the version as a number, e.g. {table}@7.")
    return store.table(table).at(int(number))


def _rows(state: TableState, partition: str | None) -> pl.LazyFrame:
    if partition is not None:
        return state.scan([partition])
    return state.scan() if state.changes is None else state.current()


def _masked(rows: pl.DataFrame, table: str) -> pl.DataFrame:
    """By the class of each column in the contract of the source that the table belongs to."""
    from assay.checks.validation.masking import classes_of, mask_classes

    declared = _source_of(table)
    classes = classes_of(declared.contract if declared is not None else None)
    of_sides = {f"{name} in {side}": kind for name, kind in classes.items() for side in "AB"}
    return mask_classes(rows, classes | of_sides)
