"""What the interpreter of a worker process runs first: ``python boot.py DESCRIPTOR WARM``.

The supervisor sends its import path ahead of everything else, so that the worker finds the same
``granian`` however the supervisor was started; until then only built-in modules may be imported.
"""

import marshal
import sys
from io import FileIO

WARM_NOTHING = "cold"
WARM_ENGINE = "engine"
WARM_LOOP = "loop"
"""What to import before the assignment: nothing, what all workers use, or asyncio as well."""


def main() -> None:
    """Take the import path from the line to the supervisor, then become a worker."""
    descriptor, warm = int(sys.argv[1]), sys.argv[2]
    with FileIO(descriptor, closefd=False) as line:
        size = int.from_bytes(_exactly(line, 4), "big")
        path, argv = marshal.loads(_exactly(line, size))  # noqa: S302 - from our own parent
    sys.path[:] = path
    sys.argv[:] = argv
    from granian.server.process import work

    work(descriptor, warm)


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
