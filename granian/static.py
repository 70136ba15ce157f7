"""Files under a route, answered before the application is asked.

GET and HEAD only; every other request is the application's. A path is decoded once; the file is
opened first and then asked where it really is, so that neither ``..``, a symlink, nor a change
in between leads out of the mount. Whatever is not a regular file inside it is the same 404.
RFC 9110 sections 8.6, 8.8, 13 and 14; any thread.
"""

import os
import re
import stat
from calendar import timegm
from email.utils import formatdate, parsedate
from mimetypes import MimeTypes
from time import monotonic, time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from ._typing import RawHeader, RawHeaders
from .errors import AppError
from .plan import StaticPlan
from .tally import Tally
from .wire.head import RequestHead

SMALL = 65_536
"""Octets up to which a file is read and sent with its head in one write."""

_OPEN_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a FIFO must not hold the thread
    | getattr(os, "O_BINARY", 0)
)
_DESCRIPTORS = "/proc/self/fd"
_PLAIN = ((b"content-type", b"text/plain; charset=utf-8"),)
_RANGE = re.compile(rb"bytes=([0-9]{0,18})-([0-9]{0,18})")
_ENCODINGS = ((b"br", ".br"), (b"gzip", ".gz"))
_CONDITIONS = frozenset(
    (
        b"accept-encoding",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"range",
    )
)

# The interpreter's own table only: what a file is must not depend on the machine.
_TYPES = MimeTypes()
for _extension, _kind in (
    (".avif", "image/avif"),
    (".jxl", "image/jxl"),
    (".map", "application/json"),
    (".md", "text/markdown"),
    (".mjs", "text/javascript"),
    (".pem", "application/x-x509-ca-cert"),
    (".wasm", "application/wasm"),
    (".webmanifest", "application/manifest+json"),
    (".webp", "image/webp"),
    (".woff", "font/woff"),
    (".woff2", "font/woff2"),
):
    _TYPES.add_type(_kind, _extension)


class File(NamedTuple):
    """An open regular file inside its mount."""

    descriptor: int
    path: str
    size: int
    mtime_ns: int

    @property
    def etag(self) -> bytes:
        """Strong validator: any change moves the time or the size."""
        return b'"%x-%x"' % (self.mtime_ns, self.size)

    @property
    def last_modified(self) -> bytes:
        """Time of the last change, to the second (RFC 9110 section 8.8.2)."""
        return formatdate(self.mtime_ns // 1_000_000_000, usegmt=True).encode("ascii")


class StaticFiles:
    """An application that answers for the mounts and hands all else to another.

    Args:
        plan: Routes and directories, the name of an index, seconds to cache.
        application: A ``waist.Application`` for everything else.
        counters: Takes ``static_requests_handled`` and ``static_requests_err``.
    """

    def __init__(self, plan: StaticPlan, application: Any, counters: Any) -> None:
        self._mounts = [
            ("/" + route.strip("/") if route.strip("/") else "", os.path.realpath(directory))
            for route, directory in plan.mounts
        ]
        self._index = plan.dir_to_file
        self._cache: Tuple[RawHeader, ...] = ()
        if plan.expires:
            self._cache = ((b"cache-control", b"max-age=%d" % plan.expires),)
        self._counters = counters
        self._begin = application.begin
        self.connect = application.connect
        self.disconnect = application.disconnect
        self.begin_websocket = getattr(application, "begin_websocket", None)

    def begin(self, responder: Any, head: RequestHead, body: bytes, complete: bool) -> None:
        """Answer a request for a mount; begin any other with the application."""
        if head.method in ("GET", "HEAD"):
            path = head.path
            for route, directory in self._mounts:
                if path.startswith(route) and path[len(route) : len(route) + 1] in ("/", ""):
                    responder.handler = None
                    self._answer(responder, head, directory, path[len(route) :])
                    return
        self._begin(responder, head, body, complete)

    def _answer(self, responder: Any, head: RequestHead, directory: str, path: str) -> None:
        file = self._find(directory, path)
        if file is None:
            self._counters.static_requests_err += 1
            responder.respond(404, _PLAIN, b"Not found")
            return
        self._counters.static_requests_handled += 1
        asked = _conditions_of(head.headers)
        fields = self._describe(file)
        encoded, varies = self._find_encoded(file, directory, asked)
        if varies:
            fields.append((b"vary", b"accept-encoding"))
        if encoded is not None:
            os.close(file.descriptor)
            file, coding = encoded
            fields.append((b"content-encoding", coding))
        try:
            self._send(responder, head, file, fields, asked)
        except AppError:
            os.close(file.descriptor)
            raise

    def _send(
        self,
        responder: Any,
        head: RequestHead,
        file: File,
        fields: RawHeaders,
        asked: Dict[bytes, bytes],
    ) -> None:
        """Answer with the file, a part of it, or why neither; takes its descriptor."""
        descriptor, size = file.descriptor, file.size
        etag, modified = file.etag, file.last_modified
        validators = [(b"etag", etag), (b"last-modified", modified), *self._cache]
        verdict = evaluate(asked, etag, modified)
        if verdict:
            os.close(descriptor)
            responder.respond(verdict, validators if verdict == 304 else _PLAIN, b"")
            return
        fields += validators
        fields.append((b"accept-ranges", b"bytes"))
        if head.method == "HEAD":
            os.close(descriptor)
            responder.respond(200, [*fields, (b"content-length", b"%d" % size)], b"")
            return
        status, start, count = 200, 0, size
        if b"range" in asked and asked.get(b"if-range", etag) in (etag, modified):
            part = read_range(asked[b"range"], size)
            if part is not None:
                start, count = part
                if not count:
                    os.close(descriptor)
                    responder.respond(416, [(b"content-range", b"bytes */%d" % size)], b"")
                    return
                status = 206
                place = b"bytes %d-%d/%d" % (start, start + count - 1, size)
                fields.append((b"content-range", place))
        if count > SMALL:
            responder.respond_file(status, fields, descriptor, start, count)
            return
        os.lseek(descriptor, start, os.SEEK_SET)
        data = os.read(descriptor, count)
        if len(data) == count:
            responder.respond(status, fields, data)
        else:
            responder.respond(500, _PLAIN, b"")  # it shrank since it was measured
        os.close(descriptor)

    def _describe(self, file: File) -> RawHeaders:
        kind, coding = _TYPES.guess_type(f"file{os.path.splitext(file.path)[1]}")
        if coding is not None:
            kind = "application/gzip" if coding == "gzip" else "application/octet-stream"
        return [] if kind is None else [(b"content-type", kind.encode("ascii"))]

    # finding

    def _find(self, directory: str, path: str) -> Optional[File]:
        """Open what a decoded path below the mount names, or its index."""
        if "\\" in path or ".." in path.split("/"):
            return None
        name = directory + path
        file = open_inside(directory, name)
        if file is None and self._index is not None and os.path.isdir(name.replace("\0", "")):
            file = open_inside(directory, os.path.join(name, self._index))
        return file

    def _find_encoded(
        self, file: File, directory: str, asked: Dict[bytes, bytes]
    ) -> Tuple[Optional[Tuple[File, bytes]], bool]:
        """Open the compressed sibling that the client prefers; tell whether there is any."""
        varies = False
        for coding, suffix in _ENCODINGS:
            sibling = open_inside(directory, file.path + suffix)
            if sibling is None:
                continue
            if sibling.mtime_ns >= file.mtime_ns:
                varies = True
                if b"range" not in asked and accepts(asked.get(b"accept-encoding", b""), coding):
                    return (sibling, coding), True
            os.close(sibling.descriptor)
        return None, varies


class LoggedStaticFiles(StaticFiles):
    """The same with an access line for every answer of its own.

    Args:
        plan, application, counters: As for ``StaticFiles``.
        line: From ``granian.log.log_request_builder``.
        client_of: Names the client of a responder, given the request's fields.
    """

    def __init__(
        self,
        plan: StaticPlan,
        application: Any,
        counters: Any,
        line: Callable[..., None],
        client_of: Callable[[Any, RawHeaders], str],
    ) -> None:
        super().__init__(plan, application, counters)
        self._line = line
        self._client_of = client_of

    def _answer(self, responder: Any, head: RequestHead, directory: str, path: str) -> None:
        started, ticks = time(), monotonic()
        tally = Tally(responder, head, b"", True)
        # Taken first: a connection serves its next request as soon as this one is answered.
        atoms = {
            "addr_remote": self._client_of(responder, head.headers),
            "protocol": f"HTTP/{head.version}",
            "path": head.path,
            "qs": head.query,
            "method": head.method,
            "scheme": responder.scheme,
            "headers": head.headers,
            "responder": tally,
        }
        super()._answer(tally, head, directory, path)
        self._line(started, ticks, atoms, tally.status)


def open_inside(directory: str, path: str) -> Optional[File]:
    """Open a regular file whose real place is inside a directory, or return None.

    Args:
        directory: A real path.
        path: Any path; symlinks are followed, but not out of the directory.
    """
    try:
        descriptor = os.open(path, _OPEN_FLAGS)
    except (OSError, ValueError):  # ValueError: a NUL, or what no file system can name
        return None
    try:
        facts = os.fstat(descriptor)
        if stat.S_ISREG(facts.st_mode):
            real = _real_path(descriptor, path)
            if real.startswith(directory.rstrip(os.sep) + os.sep):
                return File(descriptor, path, facts.st_size, facts.st_mtime_ns)
    except OSError:
        pass  # removed since: it is not there
    os.close(descriptor)
    return None


def _real_path(descriptor: int, path: str) -> str:
    try:
        # Of what was opened, so that nothing can change in between.
        return os.readlink(f"{_DESCRIPTORS}/{descriptor}")
    except OSError:
        return os.path.realpath(path)


def _conditions_of(headers: RawHeaders) -> Dict[bytes, bytes]:
    """Return the fields that decide how a file is sent, repeats joined."""
    found: Dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _CONDITIONS:
            found[name] = found[name] + b", " + value if name in found else value
    return found


def evaluate(asked: Dict[bytes, bytes], etag: bytes, modified: bytes) -> int:
    """Evaluate preconditions in the order of RFC 9110 section 13.2.2.

    Returns:
        304, 412, or 0 when the request is to be served.
    """
    if b"if-match" in asked:
        if not _lists(asked[b"if-match"], etag):
            return 412
    elif b"if-unmodified-since" in asked and _is_newer(modified, asked[b"if-unmodified-since"]):
        return 412
    if b"if-none-match" in asked:
        return 304 if _lists(asked[b"if-none-match"].replace(b"W/", b""), etag) else 0
    since = asked.get(b"if-modified-since")
    if since is None or since == modified:
        return 0 if since is None else 304
    return 304 if _seconds(since) is not None and not _is_newer(modified, since) else 0


def _lists(tags: bytes, etag: bytes) -> bool:
    # No tag of ours contains a comma, so those of others need not be told apart exactly.
    return tags.strip() == b"*" or etag in [tag.strip(b" \t") for tag in tags.split(b",")]


def _is_newer(modified: bytes, date: bytes) -> bool:
    """Tell whether a change came after a date; a date that cannot be read is no condition."""
    limit, changed = _seconds(date), _seconds(modified)
    return limit is not None and changed is not None and changed > limit


def _seconds(date: bytes) -> Optional[int]:
    try:
        parsed = parsedate(date.decode("ascii"))
        return None if parsed is None else timegm(parsed)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def read_range(value: bytes, size: int) -> Optional[Tuple[int, int]]:
    """Read a range request (RFC 9110 section 14.1.2).

    Returns:
        ``(start, count)``, count 0 when it lies outside the file; None when the range is to be
        ignored: another unit, several ranges, no range at all.
    """
    match = _RANGE.fullmatch(value)
    if match is None:
        return None
    first, last = match.groups()
    if first:
        start = int(first)
        end = min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
        return (start, end - start) if start < size else (0, 0)
    if not last:
        return None
    count = min(int(last), size)
    return size - count, count


def accepts(value: bytes, coding: bytes) -> bool:
    """Tell whether an ``accept-encoding`` value lists a coding without refusing it."""
    for item in value.lower().split(b","):
        name, _, weight = item.partition(b";")
        if name.strip() == coding:
            return weight.replace(b" ", b"").rstrip(b"0").rstrip(b".") not in (b"q=0", b"q=")
    return False


__all__: List[str] = ["LoggedStaticFiles", "StaticFiles"]
