"""The first lines of a worker process, in a real interpreter."""

import ast
import marshal
import struct
import subprocess
import sys

from granian.server import boot
from granian.server.link import pair

IMPORTED_FIRST = """
import sys
before = set(sys.modules)
exec(compile(open({path!r}, 'rb').read().split(b"def main")[0], "boot", "exec"))
print(sorted(set(sys.modules) - before))
"""


def test_nothing_is_imported_before_the_path_is_known():
    script = IMPORTED_FIRST.format(path=boot.__file__)
    command = [sys.executable, "-S", "-c", script]
    shown = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode()
    # What 3.8 loads to open a file depends on the locale.
    assert set(ast.literal_eval(shown)) <= {"marshal", "_locale", "_bootlocale"}


def test_supervisor_that_has_gone_ends_it_quietly():
    ours, theirs = pair()
    command = [sys.executable, boot.__file__, str(theirs.fileno()), "cold"]
    with subprocess.Popen(command, pass_fds=[theirs.fileno()], stderr=subprocess.PIPE) as process:
        theirs.close()
        ours.sendall(b"\0\0")
        ours.close()
        assert process.wait(10) == 0
        assert process.stderr.read() == b""


def test_path_comes_from_the_supervisor(tmp_path):
    package = tmp_path / "granian" / "server"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").write_text("")
    (package / "process.py").write_text(
        "import sys\n"
        "def work(descriptor, warm):\n"
        f"    print(descriptor, warm, sys.argv, sys.path == [{str(tmp_path)!r}])\n"
        "    sys.stdout.flush()\n"
    )
    ours, theirs = pair()
    command = [sys.executable, boot.__file__, str(theirs.fileno()), "cold"]
    passed = [theirs.fileno()]
    with subprocess.Popen(command, pass_fds=passed, stdout=subprocess.PIPE) as process:
        head = marshal.dumps(([str(tmp_path)], ["granian", "x"]))
        ours.sendall(struct.pack("!I", len(head)) + head)
        shown = process.stdout.read().decode()
        assert process.wait(10) == 0
    assert shown.strip() == f"{theirs.fileno()} cold ['granian', 'x'] True"
    ours.close()
    theirs.close()
