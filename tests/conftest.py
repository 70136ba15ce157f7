"""What every test may rely on: it finds the process as the first one did."""

import logging

import pytest


@pytest.fixture(autouse=True)
def logging_as_it_was():
    """Undo what configuring the server's logging has done to its loggers."""
    loggers = [logging.getLogger(name) for name in ("_granian", "granian.access")]
    before = [(item.level, item.propagate, item.disabled, item.handlers[:]) for item in loggers]
    yield
    for item, (level, propagate, disabled, handlers) in zip(loggers, before):
        item.setLevel(level)
        item.propagate, item.disabled, item.handlers = propagate, disabled, handlers
