"""What texts that are not of their column's type look like: a known form, to be declared if it is meant so."""

import polars as pl

from assay.checks.contract.rules import Column
from assay.checks.contract.written_form import WrittenForm
from assay.checks.validation.seen_forms import fits, means_no_value, rivals

#: So many of the texts are looked at.
MOST = 1_000
#: A form is named if it reads this share of them.
HALF = 0.5


def dtype_note(texts: pl.Series, column: Column) -> str:
    """One or two sentences about texts that break the column's `dtype`: in which form they would be read. They show no text."""
    empty = means_no_value(texts)
    others = texts.filter(~empty)
    notes = []
    found = fits(others, column.dtype)
    if found and (best := found[0]).read >= HALF * len(others):
        forms = [best, *rivals(best, found)]
        naive = ", naive_utc=True" if best.naive and not column.options.naive_utc else ""
        # The words for true and false are values of cells.
        words = "true_values=…, false_values=…" if column.dtype == pl.Boolean else ""
        declared = " or ".join(dict.fromkeys(f"Field({words or fit.form}{naive})" for fit in forms))
        start = f"{best.read:,} of the {_texts(texts)} that cannot be read"
        if not _adds_to_declared(best.form, column):
            # Beside the declared form the other one would contradict it, so there is nothing to declare.
            notes.append(f"{start} are written in another form than the declared one: ask the upstream for one form.")
        else:
            notes.append(f"{start} fit {declared}.")
    if count := int(empty.sum()):
        what = "them" if notes else f"the {_texts(texts)} that cannot be read"
        notes.append(
            f"{count:,} of {what} may mean that there is no value, as N/A or - does: Field(missing=…) lists such texts."
        )
    return " ".join(notes)


def _adds_to_declared(form: WrittenForm, column: Column) -> bool:
    own = {name: value for name, value in column.options.written.declared().items() if name != "missing"}
    return own.items() <= form.declared().items()


def _texts(texts: pl.Series) -> str:
    return f"first {MOST:,} texts" if len(texts) == MOST else f"{len(texts):,} text{'' if len(texts) == 1 else 's'}"
