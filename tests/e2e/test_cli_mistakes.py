"""Every ordinary mistake, word for word, with its exit code: the same on every Python.

``tests/cli/golden/mistakes.txt`` holds what the command prints for each row of ``ROWS``. After a
change that is meant, write it again, and read the difference:

    python -m tests.e2e.test_cli_mistakes > tests/cli/golden/mistakes.txt
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import pytest

from granian._compat import BUILD_GIL
from tests.support.servers import ROOT, GranianServer

pytestmark = pytest.mark.e2e

GOLDEN = ROOT / "tests" / "cli" / "golden" / "mistakes.txt"
CERTS = ROOT / "tests" / "certs"
TLS = "--ssl-certificate server.pem --ssl-keyfile"
PAIR = "ssl_certificate = 'server.pem'\nssl_keyfile = '"

FILES = {
    "good.py": """\
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hi"})

def make():
    return app
""",
    "text.py": "app = 'text'\n",
    "broken.py": "def app(:\n    pass\n",
    "raising.py": 'def connect():\n    raise ValueError("no database")\n\nconnect()\n',
    "needy.py": "import not_installed_anywhere\n",
    "failing.py": """\
async def app(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})
""",
    "starting.py": """\
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        raise ValueError("no database")
""",
    "broken.toml": "[granian\nport = 1\n",
    "unknown.toml": "[granian]\nprot = 1\n",
    "value.toml": '[granian]\nworkers = "x"\n',
    "broken.json": "{",
    "version.json": '{"version": 2}',
    "garbage.pem": "garbage\n",
    "damaged.pem": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "damaged-key.pem": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    "mismatch.toml": f"[granian]\n{PAIR}other-key.pem'\n",
    "encrypted.toml": f"[granian]\n{PAIR}server-key-encrypted.pem'\n",
    "password.toml": f"""\
[granian]
{PAIR}server-key-encrypted.pem'
ssl_keyfile_password = 'wrong'
""",
    "revoked.toml": f"""\
[granian]
{PAIR}server-key.pem'
ssl_ca = 'server.pem'
ssl_crl = 'garbage.pem'
""",
    "words.pid": "words\n",
}

# Exit code, command line, variables.
ROWS = (
    # What is served cannot be.
    (1, "--interface asgi nope:app", {}),
    (1, "--interface asgi goood:app", {}),
    (1, "--interface asgi goood.py", {}),
    (1, "--interface asgi good:ap", {}),
    (1, "--interface asgi good:app.inner", {}),
    (1, "--interface asgi text:app", {}),
    (1, "--interface asgi good:make", {}),
    (1, "good:app", {}),
    (1, "--interface wsgi good:app", {}),
    (1, "--interface asgi raising:app", {}),
    (1, "--interface asgi needy:app", {}),
    (1, "--interface asgi broken:app", {}),
    (1, "--interface asgi failing:app", {}),
    # Where it should be served cannot be.
    (1, "--interface asgi --host 192.0.2.1 good:app", {}),
    (2, "--interface asgi --port 80000 good:app", {}),
    (2, "--interface asgi --port x good:app", {}),
    (2, f"--interface asgi {TLS[:28]} good:app", {}),
    (2, "--interface asgi --ssl-keyfile server-key.pem good:app", {}),
    (2, f"--interface asgi {TLS} none.pem good:app", {}),
    # What TLS is to be made of does not make it.
    (2, f"--interface asgi {TLS} garbage.pem good:app", {}),
    (2, f"--interface asgi {TLS} other-key.pem good:app", {}),
    (2, f"--check-config --interface asgi {TLS} other-key.pem good:app", {}),
    (2, f"--interface asgi {TLS[:28]} good:app", {"GRANIAN_SSL_KEYFILE": "other-key.pem"}),
    (2, "--config mismatch.toml good:app", {}),
    (2, "--check-config --config mismatch.toml good:app", {}),
    (2, f"--interface asgi {TLS} server-key-encrypted.pem good:app", {}),
    (2, "--config encrypted.toml good:app", {}),
    (2, f"--ssl-keyfile-password wrong {TLS} server-key-encrypted.pem good:app", {}),
    (
        2,
        f"--interface asgi {TLS} server-key-encrypted.pem good:app",
        {"GRANIAN_SSL_KEYFILE_PASSWORD": "wrong"},
    ),
    (2, "--config encrypted.toml good:app", {"GRANIAN_SSL_KEYFILE_PASSWORD_FILE": "garbage.pem"}),
    (2, "--config password.toml good:app", {}),
    (2, "--ssl-certificate garbage.pem --ssl-keyfile server-key.pem good:app", {}),
    (2, "--ssl-keyfile server-key.pem good:app", {"GRANIAN_SSL_CERTIFICATE": "damaged.pem"}),
    (2, f"{TLS} damaged-key.pem good:app", {}),
    (2, f"{TLS} server-key.pem --ssl-ca garbage.pem good:app", {}),
    (2, f"{TLS} server-key.pem good:app", {"GRANIAN_SSL_CA": "damaged.pem"}),
    (2, f"{TLS} server-key.pem --ssl-ca server.pem --ssl-crl server.pem good:app", {}),
    (2, "--config revoked.toml good:app", {}),
    (2, f"{TLS} server-key.pem --ssl-client-verify good:app", {}),
    # What was asked for is not understood.
    (2, "", {}),
    (2, "good:app more", {}),
    (2, "--prot 1 good:app", {}),
    (2, "--interface asgy good:app", {}),
    (2, "--ws=true good:app", {}),
    (2, "--workers 0 good:app", {}),
    (2, "--http1-keep-alive --workers", {}),
    (2, "good:app", {"GRANIAN_PORT": "x"}),
    (2, "good:app", {"GRANIAN_HTTP": "3"}),
    (1, "nope:app", {"GRANIAN_PROT": "1"}),
    (2, "--config unknown.toml good:app", {}),
    (2, "--config value.toml good:app", {}),
    (2, "--config broken.toml good:app", {}),
    (2, "--config none.toml good:app", {}),
    (2, "good:app", {"GRANIAN_CONFIG": "none.toml"}),
    (2, "--log-config broken.json good:app", {}),
    (1, "--log-config version.json good:app", {}),
    (2, "--env-files none.env good:app", {}),
    (2, "--access-log --access-log-fmt %(size)d good:app", {}),
    (2, "--blocking-threads 2 good:app", {}),
    (1, "--pid-file words.pid good:app", {}),
    (1, "--pid-file none/granian.pid good:app", {}),
    (1, "--check-config good:app", {}),
    (2, "--show-config=yaml good:app", {}),
    (2, "--show-completion tcsh", {}),
)


def make_folder(path):
    for name, text in FILES.items():
        (path / name).write_text(text)
    for name in ("server.pem", "server-key.pem", "server-key-encrypted.pem", "other-key.pem"):
        shutil.copy(str(CERTS / name), str(path / name))


def title(line, variables):
    words = [f"{name}={value}" for name, value in variables.items()]
    return " ".join([*words, "granian", *line.split()])


def transcript(folder, line, variables):
    """Run the command; return its exit code and what it printed, without what changes."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GRANIAN_", "FORCE_COLOR"))}
    kept.update(PYTHONPATH=str(ROOT), COLUMNS="80", LC_ALL="C.UTF-8", **variables)
    # The lines are as people write them; what gets as far as listening may have any port.
    kept.setdefault("GRANIAN_PORT", "0")
    run = subprocess.run(
        [sys.executable, "-m", "granian", *shlex.split(line)],
        cwd=str(folder),
        env=kept,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    text = "".join(f"1> {said}\n" for said in run.stdout.splitlines())
    text += "".join(f"2> {said}\n" for said in run.stderr.splitlines())
    for place in {str(folder), os.path.realpath(str(folder))}:
        text = text.replace(place, "/FOLDER")
    text = re.sub(r"PID: \d+|PID \d+", "PID", text)
    text = re.sub(r"(http://127\.0\.0\.1):\d+", r"\1:PORT", text)
    return run.returncode, text


def stored():
    """The golden file as a mapping from the command to its code and output."""
    pieces = re.split(r"^\$ (.*)\n", GOLDEN.read_text(), flags=re.MULTILINE)[1:]
    found = {}
    for command, text in zip(pieces[::2], pieces[1::2]):
        said, _, code = text.rstrip("\n").rpartition("=> ")
        found[command] = (int(code), said)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("mistakes")
    make_folder(path)
    return path


@pytest.mark.skipif(not BUILD_GIL, reason="workers are threads there, and are told of as such")
@pytest.mark.parametrize(("code", "line", "variables"), ROWS, ids=lambda value: str(value)[:60])
def test_a_mistake_is_told_in_the_stored_words(folder, code, line, variables):
    found = transcript(folder, line, variables)
    assert found == stored()[title(line, variables)]
    assert found[0] == code


def test_no_stored_words_are_left_over():
    assert list(stored()) == [title(line, variables) for _, line, variables in ROWS]


@pytest.mark.parametrize(("code", "line", "variables"), ROWS, ids=lambda value: str(value)[:60])
def test_words_are_few_and_in_their_place(code, line, variables):
    """Two lines of ours, and frames or a caret of the user's; usage errors on stderr alone."""
    said = stored()[title(line, variables)][1].splitlines()
    assert not any("Traceback" in one or "/granian/" in one for one in said)
    if code == 2:
        assert all(one.startswith("2> ") for one in said)
        assert sum(one.startswith("2> Error: ") for one in said) == 1
        assert len(said) <= 4
    elif "--check-config" not in line:
        usual = ("1> [INFO] ", "1> [ERROR] Unexpected exit", "2> Warning: ", "1>     ", "1>   File")
        assert 1 <= len([one for one in said if not one.startswith(usual)]) <= 2


# what is no mistake


@pytest.mark.parametrize("target", ["good", "good.py", "good.py:app", "{folder}/good.py:app"])
def test_a_file_is_served_as_its_module_is(folder, target):
    with GranianServer(target.format(folder=folder), cwd=folder) as server:
        assert urllib.request.urlopen(server.url, timeout=10).read() == b"hi"


def test_a_file_elsewhere_is_served(folder, tmp_path):
    target = os.path.relpath(str(folder / "good.py"), str(tmp_path))
    with GranianServer(f"{target}:app", cwd=tmp_path) as server:
        assert urllib.request.urlopen(server.url, timeout=10).read() == b"hi"


def test_a_name_is_a_host(folder):
    with GranianServer("good:app", cwd=folder, host="localhost") as server:
        port = server.url.rpartition(":")[2]
        assert urllib.request.urlopen(f"http://localhost:{port}", timeout=10).read() == b"hi"


def test_a_startup_that_raises_is_shown_and_survived(folder):
    with GranianServer("starting:app", cwd=folder) as server:
        server.wait_line("ValueError: no database")
        server.wait_line(r"\[WARNING\] Serving without a completed lifespan startup")
        assert server.stop() == 0


def test_a_startup_that_raises_ends_the_server_where_it_is_required(folder):
    with GranianServer("starting:app", cwd=folder, wait=False, lifespan_required=True) as server:
        assert server.process.wait(15) == 1
        server.reader.join(5)
        assert server.log.count("ValueError: no database") == 1
        assert "Serving without" not in server.log


# exit codes of what has run


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_is_zero(folder, number):
    with GranianServer("good:app", cwd=folder) as server:
        assert server.stop(number) == 0


@pytest.mark.parametrize("respawn", [False, True])
def test_a_dead_worker_is_one_unless_it_is_replaced(folder, respawn):
    with GranianServer(
        "good:app", cwd=folder, respawn_failed_workers=respawn, respawn_interval=0.1
    ) as server:
        os.kill(server.worker_pids[0], signal.SIGKILL)
        if respawn:
            server.wait_line("Started worker-1$", 2)
            server.send_signal(signal.SIGTERM)
        assert server.wait() == (0 if respawn else 1)


@pytest.mark.parametrize(
    "line",
    [
        "--version",
        "--help",
        "--init-config",
        "--show-completion pwsh",
        "--show-config good:app",
        "--show-config=json good:app",
        "--check-config --interface asgi good:app",
    ],
)
def test_information_is_zero(folder, line):
    code, text = transcript(folder, line, {})
    assert code == 0
    assert "2> " not in text


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        make_folder(Path(name))
        for _, line, variables in ROWS:
            code, text = transcript(name, line, variables)
            print(f"$ {title(line, variables)}\n{text}=> {code}\n")
