"""`assay features backfill`: compute by a view's declared definition what another one has computed."""

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from assay.cli.exit_codes import EXIT_DONE, EXIT_NO, EXIT_STOPPED
from assay.cli.output import err, json_option, out, print_json
from assay.cli.pipeline import run_steps
from assay.errors import AssayError, nearest
from assay.features.views.feature_view import FeatureView
from assay.optional import require

if TYPE_CHECKING:
    from assay.assets.dagster.materialize import Summary
    from assay.assets.planning.backfill import Backfill

_LINES = 10  # of progress, where nobody sees a bar


@click.command()
@click.argument("view")
@click.option(
    "--dry-run", is_flag=True, help="Say what is left, how much it is and how long it may take; compute nothing."
)
@json_option
def backfill(view: str, dry_run: bool, as_json: bool) -> int:
    """Compute by the declared definition of VIEW the partitions that another one computed, oldest first.

    The estimate comes first: partitions, rows, bytes, and seconds by what recorded runs took. Until the last partition is done,
    references to VIEW are answered by the definition before; the last commit switches to the new one. Ctrl-C stops after a
    partition (130), and a killed backfill loses at most the one that it was at: run it again, it goes on there. The exit code
    is 3 where partitions are left that could not be computed.

    \b
    Examples:
      assay features backfill customer_activity --dry-run
      assay features backfill customer_activity
    """
    from assay.assets.declarations import pipeline, require_declarations
    from assay.assets.planning.backfill import plan_backfill
    from assay.assets.project import active_project
    from assay.store import open_store

    if not dry_run:
        require("dagster", "Running the pipeline")
    project = active_project()
    require_declarations(project)
    declared = declared_view(view)
    store = open_store()
    lake = store.env(recording=False).lake
    table = declared.table
    if not lake.table(table).exists():
        raise AssayError(f"{table} has no rows by any definition yet: `assay materialize +{table}` computes them.")
    plan = plan_backfill(lake, declared)
    if not as_json:
        out.print(str(plan), markup=False, highlight=False, soft_wrap=True)
    if dry_run or plan.complete:
        if as_json:
            print_json(plan.to_dict())
        return EXIT_DONE
    (step,) = (step for step in pipeline(project) if table in step.outputs)
    wanted = plan.todo
    pace = _Pace(len(wanted), quiet=as_json or err.is_terminal)
    summary, _ = run_steps(
        [step],
        store,
        (lambda partitioning: partitioning.known(wanted)) if step.partitioning.is_partitioned else None,
        force=False,
        judge_again=False,
        project=project.name,
        as_json=as_json,
        finished=pace.tell,
    )
    left = plan_backfill(lake, declared)
    if as_json:
        print_json({"before": plan.to_dict(), "after": left.to_dict(), "failed": len(summary.failed)})
    else:
        _tell(left, table, lake.table(table).at().version, summary)
    if summary.left:
        return EXIT_STOPPED
    return EXIT_DONE if left.complete else EXIT_NO


def declared_view(name: str) -> FeatureView:
    """The view of the active project. Raises AssayError, with the nearest name, if it declares none of that name."""
    from assay.listing import declared_views

    views = declared_views()
    if name not in views:
        there = f" There are: {', '.join(sorted(views)) or 'none'}."
        raise AssayError(f"The project declares no feature view {name!r}.{nearest(name, views) or there}")
    view = views[name]
    if not isinstance(view, FeatureView):
        raise AssayError(f"{name!r} is computed when it is read: there are no rows to compute again.")
    return view


@dataclass(slots=True)
class _Pace:
    """Lines of progress, a few over the whole backfill, with how long the rest takes at the pace so far."""

    total: int
    quiet: bool
    done: int = 0
    began: float = field(default_factory=time.monotonic)

    def tell(self, result: Any) -> None:
        self.done += 1
        if self.quiet or self.done * _LINES // self.total == (self.done - 1) * _LINES // self.total:
            return
        rest = (time.monotonic() - self.began) / self.done * (self.total - self.done)
        place = result.unit.partition or "the whole table"
        text = f"{self.done:,} of {self.total:,} partitions ({place}), about {max(rest, 0):,.0f} s left"
        err.print(text, markup=False, highlight=False, soft_wrap=True)


def _tell(left: "Backfill", table: str, version: int, summary: "Summary") -> None:
    if left.complete:
        out.print(
            f"Definition {left.number} of {left.view} is complete, and served from {table}@{version} on. The ones before stay "
            f"readable by their numbers ({left.view}@1:…) while they are pinned or recent; then `assay vacuum` frees them.",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        return
    for result in summary.results:
        for reason in result.waiting:
            err.print(f"{result.unit.partition or table}: {reason}", markup=False, highlight=False, soft_wrap=True)
    stopped = "Stopped. " if summary.left else ""
    out.print(
        f"{stopped}Definition {left.served} is served still. {left}", markup=False, highlight=False, soft_wrap=True
    )
    if not summary.left:
        out.print(
            "What is left waits for its upstream or failed: `assay status` says why.", markup=False, highlight=False
        )
