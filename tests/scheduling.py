"""How pytest-xdist hands out tests: by file, to the worker that is free."""

from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from tests.order import SHARED_RUN, waits


class ByFile(LoadScopeScheduling):
    """The tests of a file stay in one process, and so do those of the folder that shares one run of minutes. Where there are more
    than two workers, one of them has the files that mostly wait."""

    def _split_scope(self, nodeid: str) -> str:
        return SHARED_RUN if nodeid.startswith(SHARED_RUN) else nodeid.partition("::")[0]

    def _assign_work_unit(self, node: WorkerController) -> None:
        """The next file of the worker's kind; of the other kind where there is none any more."""
        if self.numnodes > 2:
            first = node.gateway.id == "gw0"
            suited = (scope for scope in self.workqueue if waits(scope) is first)
            if (scope := next(suited, None)) is not None:
                self.workqueue.move_to_end(scope, last=False)
        super()._assign_work_unit(node)
