"""The deliveries of one partition: its files, and which of them correct others."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from assay.assets.sources.deliveries import Delivery, DeliveryError
from assay.assets.sources.file_hashes import FileHashes
from assay.assets.sources.file_names import has_suffix, original_of, revision_of
from assay.assets.sources.landing.folders import files_of
from assay.assets.sources.landing.places import Places


def scan_partition(
    landing: Path,
    places: Places,
    key: str,
    suffixes: Sequence[str] = (),
    hashes: FileHashes | None = None,
    root: str = "",
) -> tuple[Delivery, ...]:
    """The files of one partition, sorted by path; hidden and unfinished ones (`.tmp`, `.part`) are not deliveries.

    `suffixes` (".csv", …), in whatever case, restrict the files; `root` comes before their paths. Files that `hashes` knows are
    not read. Raises AssayError for a key that the partitions do not have.
    """
    hashes = hashes or FileHashes()
    if not places.partitioning.is_key(key):
        places.partitioning.require(key)
    files = [
        _deliver(landing, file, key, hashes)
        for file in files_of(landing, places, key)
        if has_suffix(file.name, suffixes)
    ]
    return with_revisions(files, root)


def with_revisions(files: Sequence[Delivery], root: str = "") -> tuple[Delivery, ...]:
    """Deliveries sorted by path, with what corrects each, and with `root` before their paths."""
    latest: dict[str, Delivery] = {}
    for delivery in files:
        name = original_of(delivery.path)
        if name not in latest or latest[name].revision < delivery.revision:
            latest[name] = delivery
    superseded = {
        delivery.path: root + last.path
        for delivery in files
        if (last := latest[original_of(delivery.path)]) is not delivery
    }
    found = sorted(files, key=lambda delivery: delivery.path)
    return tuple(
        replace(delivery, path=root + delivery.path, superseded_by=superseded.get(delivery.path)) for delivery in found
    )


def _deliver(landing: Path, file: Path, key: str, hashes: FileHashes) -> Delivery:
    path = file.relative_to(landing).as_posix()
    if not _is_text(path):
        name = path.encode(errors="surrogateescape").decode(errors="backslashreplace")
        raise DeliveryError(name, "has a name that is not UTF-8", "ask the upstream to rename it")
    try:
        digest, size = hashes.of(file)
    except OSError as error:
        raise DeliveryError(path, f"cannot be read ({error.strerror})", "restore the file and run again") from error
    return Delivery(path, file, digest, size, key, revision_of(path))


def _is_text(path: str) -> bool:
    try:
        return bool(path.encode())
    except UnicodeEncodeError:
        return False
