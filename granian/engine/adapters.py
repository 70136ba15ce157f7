"""Which interface serves a target: chosen once, when a runtime starts.

The only place of the engine that knows the interfaces by name. Imports of an interface happen
here and late, so that a worker loads what it serves and nothing else.
"""

from typing import TYPE_CHECKING, Any, Optional

from ..errors import FatalError
from ..log import DEFAULT_ACCESSLOG_FMT, AccessLine, log_request_builder
from ..metrics import AccessLog, DurationMeter
from ..plan import StaticPlan, WorkerPlan

if TYPE_CHECKING:
    import asyncio

    from ..asgi.lifespan import LifespanProtocol
    from .runtime import Runtime


class Lifecycle:
    """An application that is told nothing of its loop."""

    lifespan: "Optional[LifespanProtocol]" = None

    def startup(self, loop: "asyncio.AbstractEventLoop") -> None:
        """Run what the application does before its first request."""

    def shutdown(self, loop: "asyncio.AbstractEventLoop") -> None:
        """Run what it does after its last."""


class AsgiLifecycle(Lifecycle):
    """ASGI lifespan around a loop's serving time."""

    def __init__(self, target: Any, required: bool) -> None:
        from ..asgi.lifespan import LifespanProtocol

        self.lifespan = LifespanProtocol(target, required)

    def startup(self, loop: "asyncio.AbstractEventLoop") -> None:
        """Run the application's startup.

        Raises:
            FatalError: The application said that it failed, or raised where it is required.
        """
        assert self.lifespan is not None
        loop.run_until_complete(self.lifespan.startup())
        if self.lifespan.errored:
            raise FatalError("ASGI lifespan startup failed")

    def shutdown(self, loop: "asyncio.AbstractEventLoop") -> None:
        """Run the application's shutdown."""
        assert self.lifespan is not None
        loop.run_until_complete(self.lifespan.shutdown())


class RsgiLifecycle(Lifecycle):
    """``__rsgi_init__`` and ``__rsgi_del__`` around a loop's serving time."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def startup(self, loop: "asyncio.AbstractEventLoop") -> None:
        """Call ``__rsgi_init__`` with the loop, which is not running yet."""
        init = getattr(self._target, "__rsgi_init__", None)
        if init is not None:
            init(loop)

    def shutdown(self, loop: "asyncio.AbstractEventLoop") -> None:
        """Call ``__rsgi_del__`` with the loop, which does not run any more."""
        delete = getattr(self._target, "__rsgi_del__", None)
        if delete is not None:
            delete(loop)


def create_lifecycle(target: Any, runtime: "Runtime") -> Lifecycle:
    """Make what runs before and after a loop serves."""
    interface = runtime.plan.interface
    if interface == "asgi":
        return AsgiLifecycle(target, runtime.plan.lifespan_required)
    return RsgiLifecycle(target) if interface == "rsgi" else Lifecycle()


def create_application(
    target: Any, runtime: "Runtime", lifecycle: Optional[Lifecycle] = None
) -> Any:
    """Make the ``waist.Application`` of one runtime thread, health and static files before it."""
    plan = runtime.plan
    if plan.forwarded_allow_ips:
        target = _behind_proxies(target, plan)
    line: Optional[AccessLine] = None
    if plan.log_access:
        line = log_request_builder(
            plan.log_access_format or DEFAULT_ACCESSLOG_FMT, runtime.engine.number
        )
    application = _create_interface(target, runtime, lifecycle, line)
    if line is not None and line.counts:
        from ..tally import TalliedApplication

        application = TalliedApplication(application)
    application = runtime.reach(application)
    if plan.static is not None and plan.static.mounts:
        application = _with_static_files(application, runtime, plan.static, line)
    if plan.health_path is not None:
        from ..health import HealthPath

        application = HealthPath(plan.health_path, application, lambda: runtime.draining)
    return application


def _with_static_files(
    application: Any, runtime: "Runtime", static: StaticPlan, line: Optional[AccessLine]
) -> Any:
    from ..static import LoggedStaticFiles, StaticFiles

    if line is None:
        return StaticFiles(static, application, runtime.counters)
    from ..utils.proxies import TrustedHosts

    trusted = TrustedHosts(runtime.plan.forwarded_allow_ips)
    return LoggedStaticFiles(
        static,
        application,
        runtime.counters,
        line,
        lambda peer, headers: trusted.name_client(peer.client, headers),
    )


def _behind_proxies(target: Any, plan: WorkerPlan) -> Any:
    from ..utils import proxies

    trusted = plan.forwarded_allow_ips
    if plan.interface == "rsgi":
        return proxies.wrap_rsgi_with_proxy_headers(target, trusted)
    if plan.interface == "wsgi":
        return proxies.wrap_wsgi_with_proxy_headers(target, trusted)
    return proxies.wrap_asgi_with_proxy_headers(target, trusted)


def _create_interface(
    target: Any,
    runtime: "Runtime",
    lifecycle: Optional[Lifecycle],
    access: Optional[AccessLog],
) -> Any:
    plan = runtime.plan
    if plan.metrics_scrape_interval is not None:
        access = runtime.meter = DurationMeter(access)
    if plan.interface in ("asgi", "asginl"):
        from ..asgi.application import AsgiApplication

        assert runtime.loop is not None
        assert runtime.tasks is not None
        assert lifecycle is not None
        return AsgiApplication(
            target,
            runtime.loop,
            runtime.tasks.spawn,
            plan.url_path_prefix,
            lifecycle.lifespan,
            access,
        )
    if plan.interface == "rsgi":
        from ..rsgi.application import RsgiApplication

        assert runtime.loop is not None
        assert runtime.tasks is not None
        return RsgiApplication(target, runtime.loop, runtime.tasks.spawn, access)
    if plan.interface == "wsgi":
        from ..wsgi.application import WsgiApplication

        return WsgiApplication(target, plan, access)
    raise FatalError(f"The interface {plan.interface} is not available")
