"""`assay why`: a prediction explained to people who are no engineers, on one screen."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click

from assay.cli.exit_codes import EXIT_DONE, EXIT_NO
from assay.cli.output import OutputFile, json_option, out, print_json, progress, ticking
from assay.cli.predictions.command import prediction_of, show_lost
from assay.cli.trees import tree
from assay.errors import AssayError
from assay.store import open_store


@click.command()
@click.argument("prediction", metavar="PREDICTION")
@click.option("--verify", "verify_", is_flag=True, help="Recompute all that it rests on, and the answer.")
@click.option(
    "--letter",
    "letter_file",
    type=OutputFile(),
    help="Write it as a letter (Markdown) for the person who complained, or for an auditor. Verifies, too.",
)
@click.option(
    "--export",
    "bundle",
    type=OutputFile(),
    help="Write a zip file that proves it offline, with a script that verifies it. Personal columns are withheld.",
)
@click.option(
    "--whose",
    multiple=True,
    metavar="KEY",
    help="With --letter: list the rows with the same KEY, too, such as customer_id. Repeatable. Others are only counted.",
)
@click.option("--rows", "all_rows", is_flag=True, help="Show every delivered row, not only the first ten.")
@json_option
def why(
    prediction: str,
    verify_: bool,
    letter_file: Path | None,
    bundle: Path | None,
    whose: tuple[str, ...],
    all_rows: bool,
    as_json: bool,
) -> int:
    """Say why PREDICTION is as it is: what was unusual, the rows behind it, the rules they passed, who answers for each step.

    PREDICTION is its id, or the first 8 or more characters of it. Personal data is masked by the contracts that judged the rows.
    A letter lists the rows that agree with the prediction in every key that their table has; with --whose those that agree in
    these keys. Exit code 3 when it was verified and anything does not hold, or when it cannot be traced any more: then what is
    known of it is named.

    \b
    Examples:
      assay predictions --about customer_id=C0012 --on 2026-09-03     find it
      assay why 01990b3c-5c00                                         one screen
      assay why 01990b3c-5c00 --rows                                  with every row behind it
      assay why 01990b3c-5c00 --verify --json
      assay why 01990b3c-5c00 --letter answer.md --export proof.zip   to be sent
      assay why 01990b3c-5c00 --letter answer.md --whose customer_id  with all rows of the customer
    """
    from assay.why.declared_now import declared_now
    from assay.why.letter import letter
    from assay.why.shown import keys_of, personal_columns

    if whose and letter_file is None:
        raise click.UsageError("--whose is for --letter: add it.")
    store = open_store()
    whole = prediction_of(store.lake, prediction, as_json)
    try:
        traced = store.trace(whole)
    except AssayError as problem:
        if (lost := store.lost_prediction(whole, str(problem))) is None:
            raise
        show_lost(lost, as_json)
        return EXIT_NO
    keys = keys_of(traced)
    if unknown := [key for key in whose if key not in keys]:
        raise click.UsageError(f"The prediction has no key {unknown[0]!r}: it is about {', '.join(keys)}.")
    found = store.why(traced)
    if all_rows:
        found = replace(found, listed=None)
    if verify_ or letter_file is not None:
        with progress(as_json) as bar:
            found = replace(found, verification=store.verify(traced, progress=ticking(bar)))
    if bundle is not None:
        withhold = personal_columns(store.lake, traced, declared_now())
        found = replace(found, bundle=store.export_evidence(traced, withhold=withhold).write(bundle))
    if letter_file is not None:
        letter_file.write_text(letter(found, datetime.now(UTC).date(), whose), encoding="utf-8")
    if as_json:
        print_json(found.to_dict() | ({"letter": str(letter_file)} if letter_file is not None else {}))
    else:
        out.print(tree(found.outline()))
        if found.bundle is not None:
            out.print(
                f"{found.bundle['path']}: evidence, SHA256SUMS has SHA-256 {found.bundle['sha256']}", markup=False
            )
        if letter_file is not None:
            out.print(f"{letter_file}: the letter", markup=False)
    return EXIT_DONE if found.verification is None or found.verification.ok else EXIT_NO
