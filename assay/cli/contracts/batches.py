"""What a draft is made from: the files of several deliveries, or the partitions of a table."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from assay.checks.drafting.table_stats import Batch
from assay.cli.places import FileForm, frame_at, is_file
from assay.errors import AssayError, plural
from assay.features.tables.kinds import own_name
from assay.store import open_store

#: What tells deliveries apart in the names of files and folders: dates, numbers, halves of a day.
_DIVIDER = re.compile(r"(?i)^(?:[0-9]+|[tqwvr][0-9]+|y[0-9]{4}|am|pm|part|export|data|final|new|old|copy)$")
_WORD = re.compile(r"[^\W_]+")


def batches_at(places: Sequence[str], form: FileForm) -> tuple[list[Batch], str, str, list[str]]:
    """The batches at some places, what one is (file, partition, table), what they are called, and the files that are not read.

    Raises:
        AssayError: A table stands among files, or a folder holds no file that can be read.
    """
    if len(places) == 1 and not is_file(places[0]) and not Path(places[0]).is_dir():
        return (*_of_table(places[0]), own_name(places[0]), [])
    files: list[Path] = []
    unread: list[str] = []
    for place in places:
        if Path(place).is_dir():
            taken, others = _in_folder(Path(place))
            files += taken
            unread += others
        elif is_file(place):
            files.append(Path(place))
        else:
            raise AssayError(f"{place} is no file that can be read; draft from files, or from one table.")
    files = list(dict.fromkeys(files))

    def batch(file: Path) -> Batch:
        return Batch(str(file), lambda: frame_at(str(file), form))

    by_folder = any(Path(place).is_dir() for place in places)
    return [batch(file) for file in files], "file", _called(files, by_folder=by_folder), unread


def _of_table(place: str) -> tuple[list[Batch], str]:
    state = open_store().table(place).at()
    partitions = state.partitions()
    if len(partitions) < 2:
        return [Batch(place, lambda: state.scan().collect())], "table"

    def read(partition: str) -> pl.DataFrame:
        return state.scan([partition]).collect()

    return [Batch(each, lambda each=each: read(each)) for each in partitions], "partition"


def _in_folder(folder: Path) -> tuple[list[Path], list[str]]:
    """The files of a folder and of those in it, by their paths, and those that are of no kind that a reader knows."""
    there = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    taken = [path for path in there if is_file(path.name)]
    if not taken:
        raise AssayError(
            f"{folder} holds no file that can be read ({plural(len(there), 'file')}); give files or a table."
        )
    return taken, [f"{path} (no reader knows its kind)" for path in there if path not in set(taken)]


def _called(files: Sequence[Path], *, by_folder: bool) -> str:
    """What files are called without what tells them apart; else the nearest folder that is called anything. `by_folder`: somebody
    named the folder and not the files."""
    parents = [file.absolute().parent for file in files]
    common = Path(os.path.commonpath(parents))
    folders = [words for part in reversed(common.parts) if (words := _words(part))]
    # raw/orders/2026-09-01/export.csv and its like of other days are orders.
    by_day = len({*parents}) > 1 and not any(_words(part) for one in parents for part in one.relative_to(common).parts)
    if folders and len(files) > 1 and (by_day or (by_folder and {*parents} == {common})):
        return " ".join(folders[0])
    stems = [_words(file.name.partition(".")[0]) for file in files]
    same = [words[0] for words in zip(*stems, strict=False) if len(set(words)) == 1]
    nearest = next(iter(folders), [])
    # landing/tickets/2026-09-01/tickets-am.csv are tickets.
    if not same or (nearest and same[0].lower() == nearest[0].lower()):
        return " ".join(nearest)
    return " ".join(same)


def _words(name: str) -> list[str]:
    """The words of the name of a file or folder, without those that tell deliveries apart; none of `day=2026-09-01`."""
    return [] if "=" in name else [word for word in _WORD.findall(name) if not _DIVIDER.match(word)]
