"""A worker process's own side: from the line to the supervisor to its exit code.

Main thread of a worker process; ``boot`` comes here once ``granian`` can be imported. Imports no
library beyond the standard one.
"""

import os
import pickle
import socket
import sys
from typing import Dict, NamedTuple, Optional

from .boot import WARM_LOOP, WARM_NOTHING
from .link import Link
from .signals import Alarm
from .worker import Assignment, Stopper, configure, run_worker


class Parcel(NamedTuple):
    """What a new process needs before it can unpickle its assignment.

    The environment and the folder are those of now: they may have changed since the process began.
    """

    main_path: Optional[str] = None
    main_name: Optional[str] = None
    environ: Dict[str, str] = {}  # noqa: RUF012 - read only
    folder: Optional[str] = None


def work(descriptor: int, warm: str) -> None:
    """Become a worker: the rest of ``boot.main``."""
    alarm = Alarm()
    stopper = Stopper(alarm)
    os.set_inheritable(descriptor, False)
    link = Link(socket.socket(fileno=descriptor))
    _warm_up(warm)
    try:
        block, numbers = link.read_block()
        parcel: Parcel = pickle.loads(block)  # noqa: S301 - from our own parent
        _move(parcel)
        if parcel.main_path or parcel.main_name:
            _prepare_main(parcel)
        block, _ = link.read_block()
        assignment: Assignment = pickle.loads(block)  # noqa: S301 - likewise
    except EOFError:
        sys.exit(0)
    sockets = [socket.socket(fileno=number) for number in numbers]
    configure(assignment)
    entitle(assignment)
    stopper.install()
    run = assignment.run or run_worker
    code = run(assignment, link, sockets, stopper=stopper, alarm=alarm)
    link.close()
    sys.exit(code)


def _warm_up(warm: str) -> None:
    """Import what will be needed, while the supervisor is still reading its settings."""
    if warm == WARM_NOTHING:
        return
    from .. import _internal  # noqa: F401 - to have been imported
    from ..engine import runtime  # noqa: F401 - likewise

    if warm == WARM_LOOP:
        from ..engine import bridge  # noqa: F401 - likewise


def _move(parcel: Parcel) -> None:
    """Take over the environment and the folder of the supervisor."""
    if parcel.environ != dict(os.environ):
        os.environ.clear()
        os.environ.update(parcel.environ)
    if parcel.folder is not None:
        os.chdir(parcel.folder)


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
