"""Extractions, kept until a batch is made of them: planner and run see the same one, and the upstream is asked once."""

import fcntl
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

from assay.assets.extracted.resource import Extraction


@dataclass(frozen=True, slots=True)
class KeptExtraction:
    """An extraction for a batch: when it was made, from which state, and what came of it. Without rows there is no file."""

    batch: str
    at: str
    before: str
    rows: int
    state: str
    content: str
    sha256: str
    size: int


def extraction_for(
    folder: Path,
    batch: str,
    before: str,
    now: datetime,
    every: timedelta,
    extract: Callable[[Path], Extraction],
) -> tuple[KeptExtraction, Path]:
    """The extraction of a batch, and its file. One that is younger than `every` is not made again.

    Args:
        folder: Where the source's extractions are kept.
        batch: The number of the batch.
        before: The state to start from.
        now: The time.
        every: How long an extraction of the same batch holds, and how long one without rows keeps the next from being made.
        extract: Makes one, writing to a file.

    Raises:
        OSError: The folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        kept = _read(folder)
        if kept is not None and now - datetime.fromisoformat(kept.at) < every:
            same = kept.batch == batch and kept.before == before
            file = _file(folder, kept)
            # What became a batch holds its successor back, too.
            if same and (not kept.rows or (file.exists() and file.stat().st_size == kept.size)):
                return kept, file
            if not same and kept.batch < batch and kept.state == before:
                return KeptExtraction(batch, kept.at, before, 0, before, "", "", 0), file
        unfinished = folder / "extracting.part"
        found = extract(unfinished)
        with unfinished.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        moment = now.astimezone(UTC).isoformat()
        size = unfinished.stat().st_size
        kept = KeptExtraction(batch, moment, before, found.rows, found.state, found.content, sha256, size)
        for old in folder.glob("extract-*.jsonl"):
            old.unlink()
        unfinished.rename(_file(folder, kept))
        note = folder / "extraction.json.part"
        note.write_text(json.dumps(asdict(kept)))
        note.rename(folder / "extraction.json")
        return kept, _file(folder, kept)


def _read(folder: Path) -> KeptExtraction | None:
    """What is kept; None where nothing is, or nothing that can be used: losing it costs one extraction."""
    try:
        kept = KeptExtraction(**json.loads((folder / "extraction.json").read_text()))
        sound = all(type(getattr(kept, part.name)) is part.type for part in fields(kept))
        return kept if sound and datetime.fromisoformat(kept.at).tzinfo is not None else None
    except (OSError, ValueError, TypeError):
        return None


def _file(folder: Path, kept: KeptExtraction) -> Path:
    return folder / f"extract-{kept.batch}-{kept.sha256[:16]}.jsonl"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / "extracting.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
