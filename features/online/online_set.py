"""A feature set that is materialised, as `store.online` gives it: each read sees one generation, the newest one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from assay.errors import AssayError
from assay.features.online.backend import Backend
from assay.features.online.manifest import Manifest
from assay.features.online.on_demand import OnDemandFeatures
from assay.features.online.reading import Answer, GenerationReader, OlderThanGeneration
from assay.features.serving.feature_set import FeatureSet
from assay.features.serving.on_demand.compute import is_hidden
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
    generations: Backend
    name: str
    features: FeatureSet | None = None
    _on_demand: tuple[GenerationReader, OnDemandFeatures | None] | None = field(default=None, repr=False)
    _opened: tuple[object | None, GenerationReader] | None = field(default=None, repr=False)

    @property
    def manifest(self) -> Manifest:
        """Of the generation that is read now: table versions, moment, number. Raises AssayError where there is none."""
        return self._current().generation.manifest

    def key_types(self) -> dict[str, pl.DataType]:
        """The columns that are asked for, with their types: keys, and inputs of the request."""
        reader = self._current()
        computed = self._computed(reader)
        return reader.key_types() | (computed.types if computed else {})

    def get(self, keys: Keys, at: datetime | None = None) -> pl.DataFrame:
        """The values valid at `at`, their state, their age and the snapshot they came from. See `Online.get`.

        What held before the generation's moment and is not kept is read from the tables, at the same versions.

        Raises:
            AssayError: For keys that are missing or do not fit; another set was materialised under this name; there is none.
        """
        reader = self._current()
        self._ask_guard(reader.generation.manifest)
        try:
            return self._answered(reader, keys, at).frame()
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
        return self._answered(reader, keys, at), reader.generation.manifest

    def _answered(self, reader: GenerationReader, keys: Keys, at: datetime | None) -> Answer:
        computed = self._computed(reader)
        if computed is None:
            return reader.get(keys, at)
        return computed.complete(reader.get(computed.typed(keys) if isinstance(keys, Mapping) else keys, at))

    def _computed(self, reader: GenerationReader) -> OnDemandFeatures | None:
        """What is computed for the answers of a generation, looked up once."""
        known = self._on_demand
        if known is None or known[0] is not reader:
            self._on_demand = known = reader, OnDemandFeatures.of(self.lake, reader.generation.manifest)
        return known[1]

    def inputs(self) -> dict[str, str]:
        """The inputs that a request has beside the keys: name → name of the type."""
        computed = self._computed(self._current())
        return computed.inputs if computed else {}

    def columns(self) -> list[str]:
        """The columns of the features."""
        reader = self._current()
        every = [name for joined in reader.generation.manifest.joined for name in joined.outputs.values()]
        computed = self._computed(reader)
        return [*(name for name in every if not is_hidden(name)), *(computed.columns if computed else ())]

    def _ask_guard(self, manifest: Manifest) -> None:
        for table in manifest.tables:
            self.lake.allow("read", table.table)

    def _current(self) -> GenerationReader:
        mark = self.generations.mark(self.name)
        opened = self._opened  # both at once: other threads may open the next one
        if opened is None or mark is None or mark != opened[0]:
            reader = GenerationReader(self.generations.open(self.name))
            known = reader.generation.manifest
            if self.features is not None and known.sha256 != self.features.digest():
                raise AssayError(
                    f"{self.name} is materialised with other features ({', '.join(known.references[:5])}, …). Next: give the set "
                    "another version, or materialise it again."
                )
            self._opened = opened = mark, reader
        return opened[1]
