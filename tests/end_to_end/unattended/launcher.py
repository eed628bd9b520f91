"""Starts Dagster's runs in forked processes, and lets some of them be killed."""

import random
from collections.abc import Mapping
from typing import Any, Self

from dagster._core.launcher import LaunchRunContext, RunLauncher
from dagster._serdes import ConfigurableClass, ConfigurableClassData

from tests.end_to_end.unattended.forking import Forked, fork

LONGEST = 1.6  # seconds that a run takes, or nearly
KILLED_TWICE = 2  # attempts of a run that may be killed: it is not the aim that any is given up


class ForkingLauncher(RunLauncher, ConfigurableClass):
    """As Dagster's own: each run is a process of its own, which nobody waits for."""

    def __init__(self, socket: str, seed: int, killed: float, inst_data: ConfigurableClassData | None = None) -> None:
        self._socket, self._seed, self._killed, self._inst_data = socket, seed, killed, inst_data
        self.started: list[Forked] = []
        super().__init__()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> Any:
        return {"socket": str, "seed": int, "killed": float}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        return cls(**config_value, inst_data=inst_data)

    def launch_run(self, context: LaunchRunContext) -> None:
        run = context.dagster_run
        chance = random.Random(f"{self._seed}/{run.tags.get('dagster/run_key', run.run_id)}")
        dies = chance.random() < self._killed and int(run.tags.get("assay/attempt", "1")) <= KILLED_TWICE
        moment = chance.uniform(0, LONGEST) if dies else None
        self.started.append(fork(self._socket, "run", run_id=run.run_id, dies_after=moment))

    def going_on(self) -> int:
        self.started = [process for process in self.started if process.alive()]
        return len(self.started)

    def terminate(self, run_id: str) -> bool:
        return False

    def join(self, timeout: float = 30) -> None: ...
