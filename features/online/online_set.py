"""A feature set that is materialised, as `store.online` gives it: each read sees one generation, the newest one."""

from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from assay.errors import AssayError
from assay.features.online.generations import Generations
from assay.features.online.manifest import Manifest
from assay.features.online.reading import Answer, GenerationReader, OlderThanGeneration
from assay.features.serving.feature_set import FeatureSet
from assay.features.serving.online import Keys, served
from assay.features.tables.lake import Lake


@dataclass(slots=True, eq=False)
class OnlineSet:
    """Latest values of a feature set, from the online store.

    Args:
        lake: Where the tables are: its guard is asked, and moments before the generation's are read there.
        generations: The online store.
        name: Of the set, such as `router@1`.
        features: The set, where it is known: it must be the one that was materialised.
    """

    lake: Lake
    generations: Generations
    name: str
    features: FeatureSet | None = None
    _mark: tuple[int, int] | None = field(default=None, repr=False)
    _reader: GenerationReader | None = field(default=None, repr=False)

    @property
    def manifest(self) -> Manifest:
        """Of the generation that is read now: table versions, moment, number. Raises AssayError where there is none."""
        return self._current().generation.manifest

    def key_types(self) -> dict[str, pl.DataType]:
        """The columns that are asked for, with their types."""
        return self._current().key_types()

    def get(self, keys: Keys, at: datetime | None = None) -> pl.DataFrame:
        """The values valid at `at`, their state, their age and the snapshot they came from. See `Online.get`.

        What held before the generation's moment and is not kept is read from the tables, at the same versions.

        Raises:
            AssayError: For keys that are missing or do not fit; another set was materialised under this name; there is none.
        """
        reader = self._current()
        self._ask_guard(reader.generation.manifest)
        try:
            return reader.get(keys, at).frame()
        except OlderThanGeneration:
            if at is None or self.features is None:
                raise
            return served(self.lake, self.features, keys, at, versions=reader.generation.manifest.versions)[0]

    def answer(self, keys: Keys, at: datetime | None = None) -> tuple[Answer, Manifest]:
        """The same as values, and the generation's manifest: for whoever makes no frame of it.

        Raises:
            OlderThanGeneration: The values of that moment are not kept.
        """
        reader = self._current()
        self._ask_guard(reader.generation.manifest)
        return reader.get(keys, at), reader.generation.manifest

    def _ask_guard(self, manifest: Manifest) -> None:
        for table in manifest.tables:
            self.lake.allow("read", table.table)

    def _current(self) -> GenerationReader:
        mark = self.generations.mark(self.name)
        if self._reader is None or mark is None or mark != self._mark:
            reader = GenerationReader(self.generations.open(self.name))
            known = reader.generation.manifest
            if self.features is not None and known.sha256 != self.features.digest():
                raise AssayError(
                    f"{self.name} is materialised with other features ({', '.join(known.references[:5])}, …). Next: give the set "
                    "another version, or materialise it again."
                )
            self._reader, self._mark = reader, mark
        return self._reader
