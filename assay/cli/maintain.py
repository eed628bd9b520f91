"""`assay maintain`: what a lake and its history need from time to time."""

import click

from assay.cli.exit_codes import EXIT_DONE
from assay.cli.output import json_option, out, print_json
from assay.cli.pipeline import dagster_home
from assay.store import open_store


@click.command()
@click.option("--yes", is_flag=True, help="Do it. Without, nothing is changed: see what there is to do.")
@json_option
def maintain(yes: bool, as_json: bool) -> int:
    """Write checkpoints, remove Dagster's old history, take up leftovers, free space. Shows what there is to do; --yes does it.

    History older than ASSAY_HISTORY_DAYS goes; what the Dagster UI shows of an asset's partition stays. Files of old table
    versions are only counted: `assay vacuum --yes` frees them.

    \b
    Examples:
      assay maintain
      assay maintain --yes
    """
    from assay.assets.upkeep import keep_up

    env, home = open_store().env(recording=yes), dagster_home()
    if (home / "dagster.yaml").exists() or (home / "history").exists():
        from assay.assets.dagster.maintenance import upkeep
        from assay.assets.dagster.materialize import open_instance, quiet

        quiet()
        with open_instance(home) as instance:
            found = upkeep(env, instance, do=yes, history=True)
    else:
        found = keep_up(env, do=yes)
    if as_json:
        print_json([one.to_dict() for one in found])
        return EXIT_DONE
    for one in found:
        out.print(str(one), markup=False, highlight=False, soft_wrap=True)
    if not yes:
        out.print("Nothing was changed: add --yes to do it.")
    return EXIT_DONE
