"""Workers as threads: one process holds all of them, where threads run at once.

For free-threaded builds. The workers of a server share one process, one loaded application and
nothing else: each has its own engine, with its own loops, lifespan and counters. The process is
still the supervisor's child, so that a reload loads the application anew, a crash is survived and
a kill timeout holds; only that all workers are replaced together. Supervisor's main thread.
"""

from typing import Sequence

from .._compat import gil_enabled
from ..log import logger
from .common import AbstractServer
from .crew import Body
from .mp import WorkerProcess
from .worker import Assignment


class MTServer(AbstractServer):
    """A supervisor whose workers are threads of one child process."""

    def _prepare(self) -> None:
        super()._prepare()
        if gil_enabled():
            logger.warning("The GIL is enabled: workers are threads and take turns")
        if self.interface != "wsgi" and self.workers > 1:
            logger.warning(
                "Workers are threads: the application is loaded once and shared by their loops"
            )

    def _places(self) -> Sequence[int]:
        return (1,)

    def _workers_at(self, place: int) -> Sequence[int]:
        return range(1, self.workers + 1)

    def _make_body(self, assignment: Assignment) -> Body:
        assignment = assignment._replace(replicas=self.workers)
        return WorkerProcess(assignment, self._sockets, self._take_newborn())
