"""``wsgi.file_wrapper``: a file an application returns, sent by the kernel where that is safe."""

import io
import os
import stat
from typing import Any, Iterator, Optional, Tuple


class FileWrapper:
    """Iterates over a file-like object in blocks (PEP 3333, optional platform-specific handling).

    Args:
        filelike: Anything with ``read(size)`` returning octets.
        block_size: Octets per block.
    """

    def __init__(self, filelike: Any, block_size: int = 65_536) -> None:
        self.filelike = filelike
        self.block_size = block_size

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.filelike.read(self.block_size) or b"", b"")

    def close(self) -> None:
        """Close the file, if it can be."""
        close = getattr(self.filelike, "close", None)
        if close is not None:
            close()


def regular_file(filelike: Any) -> Optional[Tuple[int, int, int]]:
    """Tell whether a file's octets can be sent without reading them.

    Only the plain file objects of ``open`` qualify: a ``GzipFile`` has a descriptor as well, but
    not of what it reads.

    Returns:
        ``(descriptor, offset, octets left)``, or None. The descriptor stays the file's.
    """
    raw = filelike.raw if type(filelike) is io.BufferedReader else filelike
    if type(raw) is not io.FileIO:
        return None
    try:
        descriptor, offset = filelike.fileno(), filelike.tell()
        facts = os.fstat(descriptor)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(facts.st_mode):
        return None
    return descriptor, offset, max(facts.st_size - offset, 0)
