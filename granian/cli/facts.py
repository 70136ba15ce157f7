"""What a server that starts can say about itself: where, what, by what, and who said so.

Titles and sentences without any form; ``panels`` draws them, ``launch`` logs them in one line.
Standard library only.
"""

import os
import platform
from typing import Iterable, List, Tuple

from .._compat import BUILD_GIL, gil_enabled
from ..config.plans import Plans
from ..plan import WorkerPlan

_INTERFACES = {"asgi": "ASGI", "asginl": "ASGI without lifespan", "rsgi": "RSGI", "wsgi": "WSGI"}

Facts = List[Tuple[str, str]]
"""Lines of a panel: a title, and what there is to say."""


def summary(facts: Facts) -> str:
    """Put facts into one line of a log."""
    return "; ".join(f"{title.lower()}: {fact}" for title, fact in facts)


def facts(plans: Plans, urls: Iterable[str]) -> Facts:
    """Say what is being served, where, by what, and who said so."""
    supervisor, worker = plans.supervisor, plans.worker
    lines = [("Address", url) for url in urls]
    lines += [
        ("Application", f"{worker.target}, {_INTERFACES[worker.interface]}"),
        ("Workers", _crew(worker)),
        *([] if worker.interface == "wsgi" else [("Event loop", _loop(worker.loop))]),
        ("Protocols", _protocols(worker)),
        ("Python", _python()),
        ("Settings", ", ".join(supervisor.sources) or "defaults"),
    ]
    notes = []
    if supervisor.reload is not None:
        watched = [os.path.relpath(path) for path in supervisor.reload.paths] or ["."]
        notes.append("reload on changes in " + ", ".join(watched))
    if not worker.log_access:
        notes.append("no access log (--access-log)")
    if supervisor.metrics is not None:
        notes.append(f"metrics at http://{supervisor.metrics.address}:{supervisor.metrics.port}")
    if notes:
        lines.append(("Also", "; ".join(notes)))
    return lines


def _crew(worker: WorkerPlan) -> str:
    kind = "process" if BUILD_GIL else "thread"
    count = f"{worker.workers} {kind}"
    if worker.workers > 1:
        count += "es" if BUILD_GIL else "s"
    if worker.interface == "wsgi":
        return f"{count}, up to {worker.blocking_threads} threads each"
    if worker.runtime_threads == 1:
        return f"{count}, 1 I/O thread each"
    mode = "one loop" if worker.runtime_mode == "mt" else "a loop per thread"
    return f"{count}, {worker.runtime_threads} I/O threads each ({worker.runtime_mode}: {mode})"


def _protocols(worker: WorkerPlan) -> str:
    names = {"auto": ["HTTP/1.1", "HTTP/2"], "1": ["HTTP/1.1"], "2": ["HTTP/2"]}[worker.http]
    if worker.websockets:
        names.append("WebSocket")
    if worker.tls is None:
        return ", ".join(names) + " in clear text"
    floor = worker.tls.protocol_min.replace("tls", "TLS ")
    alpn = {"auto": "h2 and http/1.1", "1": "http/1.1", "2": "h2"}[worker.http]
    checked = ", client certificates required" if worker.tls.client_verify else ""
    return f"{', '.join(names)} over {floor} or newer (ALPN {alpn}){checked}"


def _loop(name: str) -> str:
    if name in ("auto", "asyncio"):
        return f"asyncio{' (auto)' if name == 'auto' else ''}"
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return name


def _python() -> str:
    build = f"{platform.python_implementation()} {platform.python_version()}"
    if BUILD_GIL:
        return build
    return build + (", free-threaded, GIL forced on!" if gil_enabled() else ", free-threaded")
