"""Facts about the interpreter and the platform, asked once. Standard library only."""

import select
import sys
import sysconfig

BUILD_GIL: bool = not sysconfig.get_config_var("Py_GIL_DISABLED")
"""False on a free-threaded build, whether or not the GIL was forced on."""


def gil_enabled() -> bool:
    """Tell whether threads exclude each other now; importing an extension may turn the GIL on."""
    probe = getattr(sys, "_is_gil_enabled", None)
    return True if probe is None else bool(probe())


EAGER_TASKS: bool = sys.version_info >= (3, 12)
"""``asyncio.Task(..., eager_start=True)`` runs the first step on the creator's stack."""

HAS_EPOLL: bool = hasattr(select, "epoll")
