"""The `assay` command. Subcommands are loaded when called, so that `assay --help` is quick."""

import atexit
import gc
import importlib
import sys
from typing import Any

import click

from assay.cli.exit_codes import EXIT_DONE, EXIT_ERROR, EXIT_USAGE
from assay.errors import AssayError, nearest

# Objects made until Python looks for garbage. Of the modules that a command imports nothing is, and by default each thousand of
# their objects would be looked through.
GARBAGE = 50_000
# Name -> where it is, and its first sentence, so that `assay --help` imports none of them (a test compares the two).
COMMANDS = {
    "init": (
        "assay.cli.init",
        "init",
        "Write a project called NAME: a source with its contract and delivered files, two views, a test, what Dagster needs.",
    ),
    "materialize": ("assay.cli.pipeline", "materialize", "Materialise what is stale, through Dagster, and wait."),
    "status": (
        "assay.cli.status",
        "status",
        "Say what is up to date, what waits for what, what was refused and why, what is not read, what was given up, and the "
        "last runs.",
    ),
    "up": (
        "assay.cli.up",
        "up",
        "Open the Dagster UI with its daemon (sensors, queue) and the console, on 127.0.0.1, until Ctrl-C.",
    ),
    "receive": (
        "assay.cli.receive",
        "receive",
        "Take in records that upstreams send over HTTP, until Ctrl-C.",
    ),
    "sources": ("assay.cli.catalogue", "sources", "Declared sources: what is read, and what must hold of it."),
    "tables": ("assay.cli.tables", "tables", "List the tables, or one table's versions."),
    "compare": (
        "assay.cli.tables",
        "compare",
        "Compare two tables on a key: which rows only one has, and which columns differ.",
    ),
    "report": (
        "assay.cli.report",
        "report",
        "Show what the contract found in a batch of TABLE, and the profile of its clean rows.",
    ),
    "quarantine": (
        "assay.cli.quarantine",
        "quarantine",
        "Rows that broke a rule: kept whole, with the rules they broke, and what was decided about them.",
    ),
    "contract": (
        "assay.cli.contracts.command",
        "contract",
        "Contracts: drafted from data, compared with each other, exchanged as ODCS.",
    ),
    "suggest": (
        "assay.cli.suggestions.command",
        "suggest",
        "Doubt cells of TABLE or FILE that look wrong beside the rest of it, without any rule: which, why and how surely.",
    ),
    "views": ("assay.cli.catalogue", "views", "Declared feature views: features of an entity over time."),
    "features": (
        "assay.cli.features.command",
        "features",
        "The catalogue of features, their values, and training sets.",
    ),
    "online": (
        "assay.cli.serving.online",
        "online",
        "Feature sets whose latest values are kept ready for reading: one packed row per entity, swapped as a whole.",
    ),
    "serve": (
        "assay.cli.serving.serve",
        "serve",
        "Serve feature SETS (default: all that are materialised) over HTTP, until Ctrl-C.",
    ),
    "training-sets": ("assay.cli.training_sets", "training_sets", "Training sets in the lake, every version."),
    "models": ("assay.cli.catalogue", "models", "Models in the lake, every version."),
    "predictions": (
        "assay.cli.predictions.command",
        "predictions",
        "List the latest predictions of MODEL, or of all models, newest first: ids, times, whom they are about, answers.",
    ),
    "why": (
        "assay.cli.predictions.why",
        "why",
        "Say why PREDICTION is as it is: what was unusual, the rows behind it, the rules they passed, who answers for each step.",
    ),
    "trace": ("assay.cli.lineage", "trace", "From a prediction to the source bytes."),
    "impact": (
        "assay.cli.lineage",
        "impact",
        "Everything downstream of a file, table, version, partition or column: tables, training sets, models, predictions.",
    ),
    "pins": ("assay.cli.catalogue", "pins", "Leases that keep snapshots readable (to add and remove them: assay pin)."),
    "pin": ("assay.cli.lake", "pin", "Leases that keep snapshots readable."),
    "maintain": (
        "assay.cli.maintain",
        "maintain",
        "Write checkpoints, remove Dagster's old history, take up leftovers, free space.",
    ),
    "vacuum": ("assay.cli.lake", "vacuum", "Free files that no recent and no pinned version needs."),
    "lineage": (
        "assay.cli.search.command",
        "lineage",
        "The lineage graph: search it, follow columns, compare versions; and the OpenLineage events that it is made from.",
    ),
    "doctor": (
        "assay.cli.lake",
        "doctor",
        "Say how this installation is: settings, lake, model, lineage store and its backlog, disk, clocks, sensor and history.",
    ),
}


class InOrder(click.Group):
    """A group that lists its commands as they were given, not by the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


class Lazy(click.Group):
    """A group whose commands are imported when they are needed; the project's own come after Assay's."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        try:
            return [*COMMANDS, *_commands_of_project(ctx)]
        except AssayError:  # what is wrong with the project, its own commands say
            return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return _commands_of_project(ctx).get(cmd_name)
        module, name, _ = COMMANDS[cmd_name]
        return getattr(importlib.import_module(module), name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        try:
            own = _commands_of_project(ctx)
        except AssayError:
            own = {}
        listed = [click.Command(name, help=text) for name, (_, _, text) in COMMANDS.items()]
        InOrder(commands=[*listed, *own.values()]).format_commands(ctx, formatter)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as unknown:
            raise click.NoSuchCommand(unknown.command_name, possibilities=self.list_commands(ctx), ctx=ctx) from None


def _commands_of_project(ctx: click.Context) -> dict[str, click.Command]:
    """Commands that the active project offers (`[tool.assay] commands`), without those that would hide one of Assay's."""
    from assay.assets.project import find_project, load_object

    project = find_project()
    if project is None or not project.commands:
        return {}
    group = load_object(project, project.commands)
    if not isinstance(group, click.Group):
        raise AssayError(
            f"{project.commands} of project {project.name} is not a click group; correct [tool.assay] commands."
        )
    commands = {name: group.get_command(ctx, name) for name in group.list_commands(ctx) if name not in COMMANDS}
    return {name: command for name, command in commands.items() if command is not None}


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="assay", prog_name="assay")
@click.option(
    "--install-completion",
    type=click.Choice(["auto", "bash", "zsh", "fish"]),
    is_flag=False,
    flag_value="auto",
    expose_value=False,
    is_eager=True,
    callback=lambda ctx, _, shell: shell and _complete(ctx, shell),
    help="Complete commands and options with the tab key in this shell (default: the one of $SHELL).",
)
def cli() -> None:
    """Data quality, versioned features, and lineage down to the source bytes.

    \b
    A first round:
      assay init shop             write a project of your own, with a delivered file (then: cd shop)
      assay materialize           ingest, validate, compute features, train, predict
      assay up                    open the UI on http://127.0.0.1:3000
      assay trace PREDICTION_ID   from a prediction to the files it came from

    Settings are ASSAY_* variables (ASSAY_HOME, ASSAY_LAKE, …). Every command has --json, and exit codes for scripts:
    0 done, 1 error, 2 wrong usage, 3 done, and the answer is no (or batches were stopped).
    """


def _complete(ctx: click.Context, shell: str) -> None:
    from assay.cli.completion import install

    click.echo(install(shell))
    ctx.exit(EXIT_DONE)


def main(args: list[str] | None = None) -> Any:
    """The console entry point: an AssayError becomes one line and exit code 1."""
    gc.set_threshold(GARBAGE)
    atexit.register(_look_for_no_garbage)  # at the exit, after what others do there
    try:
        code = cli.main(args=args, prog_name="assay", standalone_mode=False)
    except click.ClickException as problem:
        problem.show()
        sys.exit(EXIT_USAGE if isinstance(problem, click.UsageError) else problem.exit_code)
    except click.Abort:
        click.echo("Stopped.", err=True)
        sys.exit(EXIT_ERROR)
    except AssayError as problem:
        click.echo(f"Error: {problem}{_meant(problem)}", err=True)
        sys.exit(EXIT_ERROR)
    except Exception as problem:
        if type(problem).__module__.partition(".")[0] != "sqlalchemy":
            raise
        from assay.diagnosis import explained

        click.echo(f"Error: {explained(problem)}", err=True)
        sys.exit(EXIT_ERROR)
    sys.exit(code if isinstance(code, int) else EXIT_DONE)


def _look_for_no_garbage() -> None:
    """What is left at the exit is taken back by the system. DuckDB would list its objects that are left on stderr."""
    if "_duckdb" not in sys.modules:
        gc.freeze()


def _meant(problem: AssayError) -> str:
    """For a table that is not there: the one that was meant, perhaps."""
    table = getattr(problem, "table", "")
    if not table:
        return ""
    from assay.store import open_store

    return nearest(table, open_store().lake.tables())
