"""The `assay` command. Subcommands are loaded when called, so that `assay --help` is quick."""

import importlib
import sys
from typing import Any

import click

from assay.cli.exit_codes import EXIT_DONE, EXIT_ERROR, EXIT_USAGE
from assay.errors import AssayError, nearest

COMMANDS = {
    "init": ("assay.cli.init", "init"),
    "materialize": ("assay.cli.pipeline", "materialize"),
    "status": ("assay.cli.status", "status"),
    "up": ("assay.cli.up", "up"),
    "sources": ("assay.cli.catalogue", "sources"),
    "tables": ("assay.cli.tables", "tables"),
    "report": ("assay.cli.report", "report"),
    "quarantine": ("assay.cli.quarantine", "quarantine"),
    "contract": ("assay.cli.contract", "contract"),
    "views": ("assay.cli.catalogue", "views"),
    "features": ("assay.cli.features", "features"),
    "training-sets": ("assay.cli.catalogue", "training_sets"),
    "models": ("assay.cli.catalogue", "models"),
    "predictions": ("assay.cli.predictions", "predictions"),
    "trace": ("assay.cli.lineage", "trace"),
    "impact": ("assay.cli.lineage", "impact"),
    "pins": ("assay.cli.catalogue", "pins"),
    "pin": ("assay.cli.lake", "pin"),
    "maintain": ("assay.cli.maintain", "maintain"),
    "vacuum": ("assay.cli.lake", "vacuum"),
    "lineage": ("assay.cli.lineage", "lineage"),
    "doctor": ("assay.cli.lake", "doctor"),
}


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
        module, name = COMMANDS[cmd_name]
        return getattr(importlib.import_module(module), name)

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


def _meant(problem: AssayError) -> str:
    """For a table that is not there: the one that was meant, perhaps."""
    table = getattr(problem, "table", "")
    if not table:
        return ""
    from assay.store import open_store

    return nearest(table, open_store().lake.tables())
