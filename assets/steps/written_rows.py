"""Clean and quarantined rows on their way to their tables, and what is learned of them as they pass."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import reduce

import polars as pl

from assay.assets.sources.source import Source
from assay.checks import mask
from assay.checks.profiles.profile import profile
from assay.checks.profiles.profile_state import ProfileState
from assay.features.storage.parquet_files import PARTITION, in_files

PREVIEW_ROWS = 10
EXAMPLES = 3
# When a batch came in is raw's to know: with it, the same rows read again would be other content.
LEFT_OUT = (PARTITION, "_batch_id", "_ingested_at")


@dataclass(slots=True)
class Written:
    """Rows of a batch, which `frames` gives once. Then it is known how many there are, the first ones, and of the clean rows
    the profile: that of their data files, one merged into the other. `streamed`: memory does not hold all of them."""

    source: Source
    query: pl.LazyFrame
    streamed: bool
    profiled: bool = False
    rows: int = 0
    preview: pl.DataFrame = field(default_factory=pl.DataFrame)
    examples: dict[str, pl.DataFrame] = field(default_factory=dict)
    _parts: list[ProfileState] = field(default_factory=list)

    @property
    def profile(self) -> ProfileState:
        return reduce(ProfileState.merge, self._parts)

    def frames(self) -> Iterator[pl.DataFrame]:
        """The rows as the table has them, in frames with the rows of a data file each: at least one."""
        for frame in in_files(self._collected()):
            if not self.preview.width:
                self.preview = frame.head(PREVIEW_ROWS)
            if self.profiled:
                self._parts.append(profile(frame, self.source.contract))
            else:
                self._note_examples(frame)
            self.rows += frame.height
            yield frame.drop(LEFT_OUT, strict=False)
            del frame

    def _collected(self) -> Iterator[pl.DataFrame]:
        if self.streamed:
            yield pl.DataFrame(schema=self.query.collect_schema())
            yield from self.query.collect_batches(maintain_order=True, engine="streaming")
        else:
            yield self.query.collect()

    def _note_examples(self, frame: pl.DataFrame) -> None:
        """For each rule a few rows that broke it, masked."""
        for rule in frame["_rules"].explode().drop_nulls().unique(maintain_order=True):
            have = self.examples.get(rule)
            wanted = EXAMPLES - (0 if have is None else have.height)
            if wanted:
                rows = frame.filter(pl.col("_rules").list.contains(rule)).head(wanted)
                masked = mask(rows, self.source.contract)
                self.examples[rule] = masked if have is None else pl.concat([have, masked])
