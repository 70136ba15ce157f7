"""The lifespan of an ASGI application on one event loop.

Startup is awaited before the loop's first connection, shutdown after its last. Runs on the
loop's own thread. ASGI lifespan specification 2.0.
"""

import asyncio
import logging
from typing import Any, Callable, Dict, Optional

_log = logging.getLogger("_granian")

_VERSIONS = {"version": "3.0", "spec_version": "2.3"}


class LifespanProtocol:
    """Drives ``lifespan`` for one loop.

    Attributes:
        state: What the application stored for its requests; each gets a shallow copy.
        errored: Startup failed: the application said so, or raised where it is required.
        supported: The application takes part; False after it raised before its startup was over.
    """

    def __init__(self, callable: Callable[..., Any], required: bool = False) -> None:
        self._app = callable
        self._required = required
        self._task: Optional[asyncio.Task[None]] = None
        self._received_startup = False
        self._started: Optional[asyncio.Future[None]] = None
        self._stopping: Optional[asyncio.Future[None]] = None
        self._stopped: Optional[asyncio.Future[None]] = None
        self.state: Dict[str, Any] = {}
        self.errored = False
        self.supported = True

    async def startup(self) -> None:
        """Run the application's startup; look at ``errored`` afterwards."""
        loop = asyncio.get_running_loop()
        self._started = loop.create_future()
        self._stopping = loop.create_future()
        self._stopped = loop.create_future()
        self._task = loop.create_task(self._run())
        await self._started

    async def shutdown(self) -> None:
        """Run the application's shutdown, unless it never started."""
        if self._stopping is None or self._stopped is None or self._task is None:
            return
        if not self.errored and self.supported and not self._task.done():
            self.state.clear()
            self._stopping.set_result(None)
            await self._stopped
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": dict(_VERSIONS), "state": self.state}
        try:
            await self._app(scope, self._receive, self._send)
        except asyncio.CancelledError:
            pass  # the loop is closing and the application was waiting for nothing any more
        except BaseException as error:
            self._on_raised(error)
        finally:
            _settle(self._started)
            _settle(self._stopped)

    def _on_raised(self, error: BaseException) -> None:
        if self.errored:
            _log.error("ASGI lifespan startup failed", exc_info=error)
        elif self._started is not None and self._started.done():
            _log.error("ASGI lifespan shutdown failed", exc_info=error)
        else:
            self.supported = False
            if self._received_startup:
                # The application takes part in lifespan and its own startup code failed.
                _log.error("ASGI lifespan startup raised an exception", exc_info=error)
                if self._required:
                    self.errored = True
                else:
                    _log.warning("Serving without a completed lifespan startup")
            else:
                _log.debug("The application does not support ASGI lifespan: %r", error)

    async def _receive(self) -> Dict[str, Any]:
        if not self._received_startup:
            self._received_startup = True
            return {"type": "lifespan.startup"}
        assert self._stopping is not None
        await asyncio.shield(self._stopping)
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Dict[str, Any]) -> None:
        kind = message["type"]
        assert self._started is not None
        assert self._stopping is not None
        if kind in ("lifespan.startup.complete", "lifespan.startup.failed"):
            _expect(not self._started.done(), kind)
            if kind == "lifespan.startup.failed":
                self.errored = True
                _log.error("ASGI lifespan startup failed: %s", message.get("message", ""))
            _settle(self._started)
        elif kind in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
            _expect(self._stopping.done(), kind)
            if kind == "lifespan.shutdown.failed":
                _log.error("ASGI lifespan shutdown failed: %s", message.get("message", ""))
            _settle(self._stopped)
        else:
            _expect(False, kind)


def _expect(in_order: bool, kind: str) -> None:
    if not in_order:
        raise AssertionError(f"Unexpected ASGI lifespan message: {kind}")


def _settle(future: "Optional[asyncio.Future[None]]") -> None:
    if future is not None and not future.done():
        future.set_result(None)
