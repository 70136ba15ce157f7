"""The two errors an RSGI application can meet. Siblings; both ``RuntimeError`` by contract."""


class ProtocolError(RuntimeError):
    """The application used the protocol wrongly: twice, concurrently, or after its end."""

    def __init__(self, message: str = "RSGI protocol error") -> None:
        super().__init__(message)


class ProtocolClosed(RuntimeError):  # noqa: N818 - the name is the specification's
    """The peer or the server went away."""

    def __init__(self, message: str = "RSGI transport is closed") -> None:
        super().__init__(message)
