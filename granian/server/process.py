"""A worker process's own side: from the line to the supervisor to its exit code.

Main thread of a worker process; ``boot`` comes here once ``granian`` can be imported. Imports no
library beyond the standard one.
"""

import os
import pickle
import socket
import sys
from typing import NamedTuple, Optional, Tuple

from .link import Link
from .signals import Alarm
from .worker import Assignment, Stopper, configure, run_worker


class Parcel(NamedTuple):
    """What a new process needs before it can unpickle its assignment."""

    main_path: Optional[str]
    main_name: Optional[str]
    sockets: Tuple[int, ...]


def work(descriptor: int) -> None:
    """Become a worker: the rest of ``boot.main``."""
    alarm = Alarm()
    stopper = Stopper(alarm)
    os.set_inheritable(descriptor, False)
    link = Link(socket.socket(fileno=descriptor))
    try:
        parcel: Parcel = pickle.loads(link.read_block())  # noqa: S301 - from our own parent
        if parcel.main_path or parcel.main_name:
            _prepare_main(parcel)
        assignment: Assignment = pickle.loads(link.read_block())  # noqa: S301 - likewise
    except EOFError:
        sys.exit(0)
    sockets = [_take(number) for number in parcel.sockets]
    configure(assignment)
    entitle(assignment)
    stopper.install()
    run = assignment.run or run_worker
    code = run(assignment, link, sockets, stopper=stopper, alarm=alarm)
    link.close()
    sys.exit(code)


def _take(number: int) -> socket.socket:
    os.set_inheritable(number, False)
    return socket.socket(fileno=number)


def entitle(assignment: Assignment) -> None:
    """Give this process a worker's title, where there is a library for it."""
    title = assignment.plan.process_name
    if title:
        try:
            import setproctitle
        except ImportError:
            return
        setproctitle.setproctitle(f"{title} worker-{assignment.number}")


def _prepare_main(parcel: Parcel) -> None:
    """Run the user's ``__main__`` under the name that multiprocessing gave such copies."""
    import runpy
    import types

    module = types.ModuleType("__mp_main__")
    if parcel.main_name:
        content = runpy.run_module(parcel.main_name, run_name="__mp_main__", alter_sys=True)
    else:
        content = runpy.run_path(str(parcel.main_path), run_name="__mp_main__")
    module.__dict__.update(content)
    sys.modules["__main__"] = sys.modules["__mp_main__"] = module
