"""Try what serving would need, without serving: files, certificate, address, application.

Each function returns one line about what it found, or raises ``FatalError`` with the reason a
server would not start, as ``UnusableError`` where that is about what a setting names. Runs in the
command's process for ``--check-config``.
"""

import os
import socket
from typing import List

from .. import net
from .._internal import load_target
from ..errors import FatalError
from ..log import configure_logging
from ..plan import SupervisorPlan, WorkerPlan
from .environment import Environment


def files(supervisor: SupervisorPlan, worker: WorkerPlan) -> str:
    """Check that files to be written can be, and that those to be read make sense."""
    found: List[str] = []
    for path in (supervisor.pid_file, supervisor.uds):
        if path is None:
            continue
        folder = os.path.dirname(path)
        if not os.path.isdir(folder):
            raise FatalError(f"{path} cannot be created: {folder} is not a folder")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise FatalError(f"{path} cannot be created: {folder} is not writable")
        found.append(path)
    Environment(worker.env_files).apply()
    if worker.log_config is not None:
        configure_logging(worker.log_level, worker.log_config, worker.log_enabled, worker.log_json)
        found.append("logging configuration")
    return ", ".join([*found, *worker.env_files])


def certificate(worker: WorkerPlan) -> str:
    """Check that the certificate, its key and the other files of TLS belong together."""
    plan = worker.tls
    if plan is None:
        return "not used"
    from ..engine.tls import check

    check(plan, worker.http)
    return f"{plan.certificate}, {plan.protocol_min} or newer"


def address(supervisor: SupervisorPlan, worker: WorkerPlan) -> str:
    """Check that the address can be listened on, by doing so for a moment."""
    scheme = "http" if worker.tls is None else "https"
    if supervisor.fd is not None:
        return f"file descriptor {supervisor.fd}, not tried"
    if supervisor.uds is not None:
        sock = net.bind_unix(supervisor.uds, supervisor.backlog, supervisor.uds_permissions)
        own = net.identity(supervisor.uds)
        try:
            return net.url(sock, scheme)
        finally:
            sock.close()
            net.unlink_own(supervisor.uds, own)
    sockets: List[socket.socket] = net.bind_tcp(
        supervisor.host, supervisor.port, supervisor.backlog
    )
    try:
        return ", ".join(net.url(sock, scheme) for sock in sockets)
    finally:
        for sock in sockets:
            sock.close()


def application(worker: WorkerPlan) -> str:
    """Check that the application can be imported and speaks the interface."""
    load_target(worker.target, worker.working_dir, worker.factory, worker.interface)
    return f"{worker.target}, {worker.interface}"
