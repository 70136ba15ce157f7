"""Aliases that state the shapes passed between rooms. Standard library only."""

from typing import List, Tuple, Union

RawHeader = Tuple[bytes, bytes]
"""One field: lower-case name, value without surrounding white space."""

RawHeaders = List[RawHeader]
"""Fields in wire order, repeats kept."""

Address = Tuple[str, int]
"""Host without brackets, port; a Unix socket is ``(path, 0)``."""

Message = Union[str, bytes]
"""A whole WebSocket message: text or binary (RFC 6455 section 5.6)."""
