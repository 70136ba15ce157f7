"""Chromium as a client: headless, over loopback alone, with a profile of its own."""

import os
import shutil
import signal
import subprocess
from contextlib import contextmanager

import pytest

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--ignore-certificate-errors",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
)


def chromium(profile, url, *more):
    """Make the command that opens a page with an empty profile directory."""
    return [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", *more, url]


@contextmanager
def opened(profile, url):
    """Keep a page open; the browser and all its processes end with the block."""
    process = subprocess.Popen(
        chromium(profile, url, "--remote-debugging-port=0"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
