"""What every method of a store works with: settings, lake, lineage store, recorder."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from assay.features.storage.scratch import free_scratch
from assay.features.tables.guard import ALLOW_ALL, Guard
from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.run_record import NullRecorder
from assay.lineage.delivery.recorder import QUIET_SECONDS
from assay.settings import Settings, lake_options_here, pickled

if TYPE_CHECKING:
    from assay.assets.steps.step import Resources
    from assay.lineage.delivery.recorder import EventRecorder
    from assay.lineage.store.lineage_store import LineageStore


@dataclass(frozen=True)
class StoreBase:
    """What all methods of a store use."""

    settings: Settings
    guard: Guard = field(default=ALLOW_ALL, repr=False, compare=False)

    def __repr__(self) -> str:
        return f"Store(lake={self.settings.lake_uri!r}, actor={self.actor!r})"

    def _repr_html_(self) -> str:
        """For notebooks. Nothing is read."""
        from assay.notebook_html import facts_html

        return facts_html("Store", {"lake": self.settings.lake_uri, "actor": self.actor})

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled without secrets and without what it has opened: settings are read again where it is unpickled."""
        return _unpickled, (type(self), pickled(self.settings), self.guard)

    @functools.cached_property
    def lake(self) -> Lake:
        settings = self.settings
        return open_lake(
            settings.lake_uri,
            settings.lake_options,
            actor=settings.acting,
            guard=self.guard,
            options_here=lake_options_here,
        )

    @property
    def actor(self) -> str:
        """Who works with this store: `assay.open(actor=…)`, `ASSAY_ACTOR`, or the operating system's user."""
        return self.settings.acting

    @functools.cached_property
    def lineage_store(self) -> "LineageStore":
        """The index of lineage events. Opened on first use: reading tables needs none."""
        from assay.lineage.store.lineage_store import open_lineage_store

        return open_lineage_store(self.settings.lineage_url, self.settings.home)

    @functools.cached_property
    def recorder(self) -> "EventRecorder":
        """Every transaction of this store is reported here."""
        from assay.lineage.delivery.recorder import EventRecorder

        return EventRecorder(
            self.lineage_store,
            forward_to=self.settings.forward_to or None,
            namespace=self.settings.namespace,
            lake=self.lake.storage,
        )

    def recover_events(
        self,
        quiet_seconds: float = QUIET_SECONDS,
        *,
        over: Callable[[str], bool] = lambda parent_id: False,
        abandoned: timedelta | None = None,
    ) -> list[str]:
        """Record the end of runs that were killed before they could record it themselves, and free what they left on disk.

        Args:
            quiet_seconds: Runs whose start or last commit is younger are left alone.
            over: Whether an orchestrator's run, by its id, has ended.
            abandoned: Also end runs that started longer ago, of whose process nothing can be known. Default: none.

        Returns:
            The ids of the runs.
        """
        free_scratch(self.settings.home)
        return self.recorder.recover(self.lake, quiet=timedelta(seconds=quiet_seconds), over=over, abandoned=abandoned)

    def forward_events(self, seconds: float = 10, *, refused: bool = False) -> int:
        """Deliver waiting events to the OpenLineage backend, if one is set; how many still wait after `seconds`. `refused`:
        also those that it refused before."""
        from assay.lineage.delivery.outbox import Drain, backlog, retry_parked

        if not self.settings.forward_to:
            return 0
        if refused:
            retry_parked(self.lineage_store)
        drain = Drain(self.lineage_store, self.settings.forward_to, namespace=self.settings.namespace)
        try:
            drain.drain(deadline=seconds)
        finally:
            drain.stop()
        return backlog(self.lineage_store).pending

    def env(self, *, recording: bool = True) -> "Resources":
        """What pipeline steps use. Without `recording` nothing is written, not even an empty lineage store: for planning."""
        from assay.assets.sources.file_hashes import hashes_in
        from assay.assets.steps.plan_store import PlanStore
        from assay.assets.steps.step import Resources

        recorder, home = self.recorder if recording else NullRecorder(), self.settings.home.resolve()
        plans = PlanStore(home / "plans.db", kept=recording)
        return Resources(self.settings, self.lake, recorder, hashes=hashes_in(home), plans=plans)


def _unpickled(kind: type[StoreBase], settings: dict[str, Any], guard: Guard) -> StoreBase:
    return kind(Settings(**settings), guard)
