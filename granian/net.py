"""Listening sockets: where to bind, how sockets reach other processes, and who is in the way.

Owns the sockets until the engine accepts on them; never accepts itself. Main thread, before any
worker exists (``umask`` belongs to the process). Every failure is one ``FatalError`` in the
operator's words. RFC 3986 section 3.2.2 for brackets; RFC 3493 section 5.3 for ``::``.
"""

import errno
import os
import socket
import stat
import sys
from typing import Any, Dict, List, Optional, Sequence, Set, Tuple

from .errors import FatalError
from .log import logger
from .plan import SupervisorPlan

LISTEN_FDS_START = 3
"""The first descriptor that systemd passes (sd_listen_fds(3))."""

_ADDRESSES_MAX = 8
"""A name that resolves to more addresses than this is a mistake, not a host of ours."""

_FAMILY_MISSING = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)

_TCP_LISTEN = "0A"
"""The state of a listening socket in /proc/net/tcp, hexadecimal as the kernel prints it."""


class SocketHolder:
    """A listening socket by its descriptor, which it keeps open but does not close.

    Args:
        fd: Descriptor of a bound stream socket.
        uds: Whether it is a Unix socket.
        backlog: Length of the accept queue; None keeps what was set.
    """

    __slots__ = ("_backlog", "_fd", "_uds")

    def __init__(self, fd: int, uds: bool = False, backlog: Optional[int] = None) -> None:
        self._fd = fd
        self._uds = uds
        self._backlog = backlog

    def __reduce__(self) -> Tuple[Any, ...]:
        return (SocketHolder, (self._fd, self._uds, self._backlog))

    def get_fd(self) -> int:
        """Return the descriptor."""
        return self._fd

    def is_uds(self) -> bool:
        """Tell whether this is a Unix socket."""
        return self._uds

    def listen(self) -> socket.socket:
        """Return a listening, close-on-exec socket object over a duplicate of the descriptor."""
        return listening(socket.socket(fileno=os.dup(self._fd)), self._backlog)


class SocketSpec:
    """A TCP address to listen on."""

    __slots__ = ("backlog", "host", "port")

    def __init__(self, host: str, port: int, backlog: int = 1024) -> None:
        self.host = host
        self.port = port
        self.backlog = backlog

    def __reduce__(self) -> Tuple[Any, ...]:
        return (SocketSpec, (self.host, self.port, self.backlog))

    def build(self) -> SocketHolder:
        """Bind, listen and hand over the descriptor of the first address."""
        return SocketHolder(bind_tcp(self.host, self.port, self.backlog)[0].detach())

    def is_uds(self) -> bool:
        """Tell whether this is a Unix socket: never."""
        return False


class UnixSocketSpec:
    """A Unix socket path to listen on; ``permissions`` None leaves them to the umask."""

    __slots__ = ("backlog", "path", "permissions")

    def __init__(self, path: str, backlog: int = 1024, permissions: Optional[int] = None) -> None:
        self.path = str(path)
        self.backlog = backlog
        self.permissions = permissions

    def __reduce__(self) -> Tuple[Any, ...]:
        return (UnixSocketSpec, (self.path, self.backlog, self.permissions))

    def build(self) -> SocketHolder:
        """Bind, listen and hand over the descriptor."""
        return SocketHolder(bind_unix(self.path, self.backlog, self.permissions).detach(), True)

    def is_uds(self) -> bool:
        """Tell whether this is a Unix socket: always."""
        return True


def open_listeners(plan: SupervisorPlan) -> List[socket.socket]:
    """Open what a plan says to listen on: a descriptor, a Unix socket, or an address.

    Raises:
        FatalError: It cannot be had, with the reason in words.
    """
    if plan.fd is not None:
        return [adopt(plan.fd, plan.backlog)]
    if plan.uds is not None:
        return [bind_unix(plan.uds, plan.backlog, plan.uds_permissions)]
    return bind_tcp(plan.host, plan.port, plan.backlog)


def bind_tcp(host: str, port: int, backlog: int) -> List[socket.socket]:
    """Listen on every address that ``host`` stands for.

    ``::`` takes IPv4 as well, and falls back to ``0.0.0.0`` with a warning where IPv6 is missing.
    Port 0 lets the kernel choose, the same port for all addresses of a name.

    Raises:
        FatalError: The name does not resolve, or the address cannot be bound.
    """
    sockets: List[socket.socket] = []
    try:
        for family, address in _resolve(host, port):
            chosen = sockets[0].getsockname()[1] if sockets else port
            sockets.append(_bind_address(family, (address[0], chosen, *address[2:]), backlog))
    except OSError as error:
        for sock in sockets:
            sock.close()
        if host == "::" and error.errno in _FAMILY_MISSING:
            logger.warning("IPv6 is not available here, listening on 0.0.0.0 instead of ::")
            return bind_tcp("0.0.0.0", port, backlog)  # noqa: S104 - what "::" asked for
        raise FatalError(_explain(error, host, port)) from None
    return sockets


def bind_unix(path: str, backlog: int, permissions: Optional[int]) -> socket.socket:
    """Listen on a Unix socket; a socket that nobody answers on is replaced.

    The socket is created for its owner alone and opened up afterwards, so that it is never
    more accessible than asked.

    Raises:
        FatalError: The path is taken by something else, or cannot be created.
    """
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = None if permissions is None else os.umask(0o177)
    try:
        sock.bind(path)
        if permissions is not None:
            if not stat.S_ISSOCK(os.lstat(path).st_mode):
                raise FatalError(f"{path} was replaced while it was being created")
            os.chmod(path, permissions)
        sock.listen(backlog)
    except OSError as error:
        sock.close()
        raise FatalError(f"Cannot listen on unix:{path}: {error.strerror or error}") from None
    finally:
        if mask is not None:
            os.umask(mask)
    return sock


def identity(path: str) -> Optional[Tuple[int, int]]:
    """Return what tells one file from another of the same name, or None if there is none."""
    try:
        facts = os.lstat(path)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def unlink_own(path: str, own: Optional[Tuple[int, int]]) -> None:
    """Remove a Unix socket if the path still leads to the one that was bound."""
    if own is not None and identity(path) == own:
        try:
            os.unlink(path)
        except OSError as error:
            logger.warning("Cannot remove %s: %s", path, error.strerror)


def adopt(descriptor: int, backlog: Optional[int]) -> socket.socket:
    """Take over a stream socket that was opened elsewhere; ``--fd`` and socket activation.

    Raises:
        FatalError: The descriptor is closed or is no stream socket.
    """
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            raise FatalError(f"File descriptor {descriptor} is not a socket")
        sock = socket.socket(fileno=descriptor)
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) != socket.SOCK_STREAM:
            sock.detach()
            raise FatalError(f"File descriptor {descriptor} is not a stream socket")
        sock.set_inheritable(False)
        listening(sock, backlog)
    except OSError as error:
        raise FatalError(
            f"File descriptor {descriptor} cannot be used: {error.strerror or error}"
        ) from None
    return sock


def take_activated() -> List[int]:
    """Return the descriptors that a service manager passed, and forget them in the environment.

    Spec:
        sd_listen_fds(3): they count only if LISTEN_PID is this process.
    """
    facts = {name: os.environ.pop(name, "") for name in _ACTIVATION}
    if facts["LISTEN_PID"] != str(os.getpid()) or not facts["LISTEN_FDS"].isdigit():
        return []
    return list(range(LISTEN_FDS_START, LISTEN_FDS_START + int(facts["LISTEN_FDS"])))


_ACTIVATION = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


def url(sock: socket.socket, scheme: str) -> str:
    """Return where a listening socket is reached, with IPv6 in brackets."""
    name = sock.getsockname()
    if isinstance(name, (str, bytes)):
        path = os.fsdecode(name)
        return f"{scheme}://unix:{'@' + path[1:] if path.startswith(chr(0)) else path}"
    host = name[0].split("%", 1)[0]
    return f"{scheme}://[{host}]:{name[1]}" if ":" in host else f"{scheme}://{host}:{name[1]}"


def _resolve(host: str, port: int) -> Sequence[Tuple[int, Tuple[Any, ...]]]:
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (socket.gaierror, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not a valid name"
        raise FatalError(f"Cannot resolve host {host!r}: {reason}") from None
    unique: Dict[Tuple[Any, ...], int] = {}
    for family, _, _, _, address in found:
        unique.setdefault(address, family)
    if len(unique) > _ADDRESSES_MAX:
        raise FatalError(f"Host {host!r} resolves to {len(unique)} addresses, use one of them")
    return [(family, address) for address, family in unique.items()]


def _bind_address(family: int, address: Tuple[Any, ...], backlog: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # "::" means every address; a name's ::1 must leave 127.0.0.1 to its own socket.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address[0] != "::"))
        sock.bind(address)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def _explain(error: OSError, host: str, port: int) -> str:
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if error.errno == errno.EADDRINUSE:
        return f"Cannot listen on {where}: the port is in use{_holder_of(port)}"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"Cannot listen on {where}: this machine does not have that address"
    if error.errno == errno.EACCES and port < 1024:
        return f"Cannot listen on {where}: ports below 1024 need more privileges"
    return f"Cannot listen on {where}: {error.strerror or error}"


def _holder_of(port: int) -> str:
    """Name the process that listens on ``port``, as far as this user may see; else nothing."""
    if not sys.platform.startswith("linux"):
        return ""
    inodes: Set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as lines:
                rows = [line.split() for line in lines]
        except OSError:
            continue
        inodes.update(
            f"socket:[{row[9]}]"
            for row in rows[1:]
            if row[3] == _TCP_LISTEN and int(row[1].rpartition(":")[2], 16) == port
        )
    pid = _process_holding(inodes) if inodes else None
    if pid is None:
        return ""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        words = ""
    command = "".join(char if char.isprintable() else "?" for char in words[:60])
    return f" by process {pid} ({command})" if command else f" by process {pid}"


def _process_holding(links: Set[str]) -> Optional[int]:
    for entry in sorted((name for name in os.listdir("/proc") if name.isdigit()), key=int):
        folder = f"/proc/{entry}/fd"
        try:
            if any(os.readlink(f"{folder}/{fd}") in links for fd in os.listdir(folder)):
                return int(entry)
        except OSError:
            continue  # gone meanwhile, or another user's
    return None


def listening(sock: socket.socket, backlog: Optional[int]) -> socket.socket:
    """Return a bound socket in its listening state, which it may have already."""
    option = getattr(socket, "SO_ACCEPTCONN", None)
    if option is None or not sock.getsockopt(socket.SOL_SOCKET, option):
        sock.listen(backlog or socket.SOMAXCONN)
    return sock


def _remove_stale(path: str) -> None:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise FatalError(f"Cannot listen on unix:{path}: {error.strerror}") from None
    if not stat.S_ISSOCK(mode):
        raise FatalError(f"Cannot listen on unix:{path}: it exists and is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # A full accept queue answers EAGAIN at once; only a refusal proves that nobody listens.
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            pass
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EAGAIN:
                raise FatalError(f"Cannot listen on unix:{path}: {error.strerror}") from None
            raise FatalError(f"Cannot listen on unix:{path}: it is in use") from None
        else:
            raise FatalError(f"Cannot listen on unix:{path}: it is in use")
    try:
        os.unlink(path)
    except OSError as error:
        raise FatalError(f"Cannot replace unix:{path}: {error.strerror}") from None
