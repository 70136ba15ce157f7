"""What ASGI's messages have in common: their errors, their octets, the extensions offered."""

from typing import Any, Dict

Message = Dict[str, Any]

EXTENSIONS = (
    "http.response.pathsend",
    "http.response.trailers",
    "http.response.early_hint",
    "websocket.http.response",
)


def unsupported() -> RuntimeError:
    """Make the error of a message that does not exist or is not allowed now."""
    return RuntimeError("Unsupported ASGI message")


def flow_error(detail: str) -> RuntimeError:
    """Make the error of messages in an impossible order."""
    return RuntimeError(f"ASGI flow error: {detail}")


def as_octets(body: Any) -> bytes:
    """Take a body in any form that is octets.

    Raises:
        RuntimeError: It is in no such form.
    """
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body)
    raise unsupported()
