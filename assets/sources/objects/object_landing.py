"""Files in an object store, found by listing keys.

A look lists everything below the fixed beginning of the pattern, a thousand keys a request, and compares ETag, size and time of
each partition's objects with those of the look before. One partition is listed alone. Nothing is copied that is known by its
ETag, and planning copies nothing at all: an object that is not known yet is a reason to run.
"""

import hashlib
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from assay.assets.sources.deliveries import Delivery, DeliveryError
from assay.assets.sources.file_hashes import ObjectMark
from assay.assets.sources.file_names import has_suffix, may_be_delivery, revision_of
from assay.assets.sources.landing.delivered import Delivered, by_marks
from assay.assets.sources.landing.leftovers import Leftover, left_among, misnamed_files, outside_of, unplaced_folders
from assay.assets.sources.landing.places import Places
from assay.assets.sources.landing.scan import with_revisions
from assay.assets.sources.landing.tree import names_of, names_of_partition
from assay.assets.sources.limits import USUAL_LIMITS, Limits
from assay.assets.sources.objects.copies import Copies, Copy
from assay.assets.sources.objects.keys import KeyTree
from assay.assets.sources.objects.s3 import Bucket, Found
from assay.assets.sources.objects.s3_errors import Changed
from assay.assets.sources.reader import NotReadYet, Reading

_AT_ONCE = 8  # objects that are copied at the same time: small ones are mostly waited for
_OF_BYTES = re.compile(r'"?[0-9a-f]{32}(-[0-9]{1,5})?"?')  # an MD5, also of the MD5s of parts
_LOOKS = 3  # at a partition whose objects change meanwhile


@dataclass(slots=True)
class _Object:
    """The bytes of one state of an object."""

    path: str
    bucket: Bucket
    found: Found
    copies: Copies
    version_id: str = ""

    @property
    def etag(self) -> str:
        return self.found.etag

    def copy(self) -> Copy:
        try:
            return self.as_listed()
        except Changed as problem:
            raise _refusal(self.path, problem) from None

    def as_listed(self) -> Copy:
        """The same. Raises Changed."""
        copy = self.copies.of(self.bucket, self.found)
        self.version_id = copy.version_id
        return copy


def _refusal(path: str, problem: Changed) -> DeliveryError:
    what = "is not there any more" if problem.gone else "was overwritten while it was being read"
    return DeliveryError(path, what, "run again once the upstream has finished")


@dataclass(frozen=True, slots=True)
class ObjectLanding:
    """A place of a bucket."""

    bucket: Bucket
    copies: Copies
    most: int = USUAL_LIMITS.objects  # that are listed at once

    @property
    def root(self) -> str:
        return self.bucket.address.root

    def partitions(self, places: Places) -> list[str]:
        return places.partitioning.known(sorted(self._marks(places)))

    def delivered(self, places: Places, before: bytes) -> Delivered:
        return by_marks(self._marks(places), before)

    def unplaced(self, places: Places) -> list[str]:
        return unplaced_folders(self._tree(places), places)

    def outside(self, places: Places) -> list[str]:
        return outside_of(self._tree(places), places)

    def left(self, places: Places, suffixes: Sequence[str], partition: str | None, seen: bytes) -> list[Leftover]:
        del seen  # marks have no names
        tree = self._tree(places, partition)
        if partition is None:
            left = [*left_among(places, suffixes, names_of(tree, places)), *misnamed_files(tree, places)]
        else:
            left = left_among(places, suffixes, names_of_partition(tree, places, partition))
            left.sort(key=lambda one: one.path)
        return [replace(one, root=self.root) for one in [*left, *tree.left(places.top)]]

    def scan(self, places: Places, reading: Reading, suffixes: Sequence[str], limits: Limits) -> Sequence[Delivery]:
        places.partitioning.require(reading.partition)
        for left in reversed(range(_LOOKS)):
            try:
                return self._scan(places, reading, suffixes, limits)
            except Changed as problem:
                if not left:
                    raise _refusal(f"{self.bucket.address.store}/{problem.key}", problem) from None
        raise AssertionError("unreachable")

    def _scan(self, places: Places, reading: Reading, suffixes: Sequence[str], limits: Limits) -> Sequence[Delivery]:
        tree = self._tree(places, reading.partition)
        names = (name for name, is_folder in names_of_partition(tree, places, reading.partition) if not is_folder)
        objects = [
            _Object(self.root + places.top + name, self.bucket, tree.objects[name], self.copies)
            for name in sorted(names)
            if may_be_delivery(base := name.rpartition("/")[2]) and has_suffix(base, suffixes)
        ]
        for one in objects:
            limits.require_object(one.path, one.found.size)
        known = self._digests(objects, reading)
        files = [
            Delivery(
                one.path[len(self.root) :], None, digest, one.found.size, reading.partition, revision, elsewhere=one
            )
            for one, digest in zip(objects, known, strict=True)
            for revision in [revision_of(one.path)]
        ]
        return with_revisions(files, self.root)

    def _digests(self, objects: Sequence[_Object], reading: Reading) -> Sequence[str]:
        """The SHA-256 of each. What is not known is copied, several at once."""
        marks = [ObjectMark(one.found.size, one.found.modified, one.etag) for one in objects]
        known = [reading.hashes.of_object(one.path, mark) for one, mark in zip(objects, marks, strict=True)]
        if None in known:  # another machine may have read it
            # Commits have no times. So only an ETag that is computed from the bytes says that they are the same.
            taken = {
                (item.path, item.etag, item.size): item.sha256
                for item in reading.taken()
                if _OF_BYTES.fullmatch(item.etag)
            }
            states = ((one.path, one.etag, one.found.size) for one in objects)
            known = [sha256 or taken.get(state) for sha256, state in zip(known, states, strict=True)]
        unknown = [number for number, sha256 in enumerate(known) if sha256 is None]
        if unknown and reading.planning:
            state = hashlib.sha256(repr([(one.path, mark) for one, mark in zip(objects, marks, strict=True)]).encode())
            raise NotReadYet(
                f"{objects[unknown[0]].path} has not been read yet, as one of {len(unknown)} (state {state.hexdigest()[:16]})."
            )

        def read(number: int) -> str:
            sha256 = objects[number].as_listed().sha256
            reading.hashes.note_object(objects[number].path, marks[number], sha256)
            return sha256

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            copied = dict(zip(unknown, pool.map(read, unknown), strict=True))
        return [sha256 or copied[number] for number, sha256 in enumerate(known)]

    # -- listing -----------------------------------------------------------------------------------------------------

    def _tree(self, places: Places, partition: str | None = None) -> KeyTree:
        prefix = self.bucket.address.prefix
        begins = places.top if partition is None else places.stem(partition)
        return KeyTree.of(prefix + places.top, self.bucket.listed(prefix + begins, self.most))

    def _marks(self, places: Places) -> dict[str, str]:
        tree, marks = self._tree(places), dict[str, "hashlib._Hash"]()
        for path, is_folder in names_of(tree, places):
            if not is_folder and (key := places.key_of(path)) is not None:
                one = tree.objects[path]
                mark = marks.setdefault(key, hashlib.sha256(self.root.encode()))
                mark.update(f"\0{path}\0{one.etag}\0{one.size}\0{one.modified}".encode())
        return {key: mark.hexdigest()[:32] for key, mark in marks.items()}
