"""What customers write: the real queries of a folder in the form of banking77, or those of our own grammar."""

import csv
from pathlib import Path

from assay.assets.support.upstream import grammar
from assay.errors import AssayError

GENERATED_TRAIN, GENERATED_TEST = 4_600, 1_400

Texts = list[tuple[str, str]]


def load(folder: Path | None) -> tuple[Texts, Texts]:
    """The (text, intent) pairs of the train and of the test split, in their order."""
    if folder is None:
        pairs = list(grammar.tickets(GENERATED_TRAIN + GENERATED_TEST, "texts"))
        return pairs[:GENERATED_TRAIN], pairs[GENERATED_TRAIN:]
    return _read(folder / "train.csv"), _read(folder / "test.csv")


def _read(file: Path) -> Texts:
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            pairs = [(row["text"], row["category"]) for row in csv.DictReader(stream, strict=True)]
    except OSError as error:
        raise AssayError(
            f"{file} cannot be read ({error.strerror}); give the folder of banking77's train.csv and test.csv"
        ) from None
    except (KeyError, ValueError, csv.Error):
        raise AssayError(
            f"{file} is not a UTF-8 CSV file with the columns text and category; give banking77's own"
        ) from None
    if not pairs or not all(text and text.strip() and intent for text, intent in pairs):
        raise AssayError(f"{file} lacks texts or categories; give banking77's own file")
    return pairs
