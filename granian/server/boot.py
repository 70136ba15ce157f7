"""What the interpreter of a worker process runs first: ``python boot.py DESCRIPTOR``.

The supervisor sends its import path ahead of everything else, so that the worker finds the same
``granian`` however the supervisor was started; until then only built-in modules may be imported.
"""

import marshal
import sys
from io import FileIO


def main() -> None:
    """Take the import path from the line to the supervisor, then become a worker."""
    descriptor = int(sys.argv[1])
    with FileIO(descriptor, closefd=False) as line:
        size = int.from_bytes(_exactly(line, 4), "big")
        path, argv = marshal.loads(_exactly(line, size))  # noqa: S302 - from our own parent
    sys.path[:] = path
    sys.argv[:] = argv
    from granian.server.process import work

    work(descriptor)


def _exactly(line: FileIO, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = line.read(count - len(data))
        if not more:
            sys.exit(0)  # the supervisor has gone before it said what to do
        data += more
    return data


if __name__ == "__main__":
    main()
