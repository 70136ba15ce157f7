"""Errors say whose fault they are, by their class and by what they carry."""

import pickle

import pytest

from granian.errors import AppError, ConfigurationError, FatalError, PeerError, PidFileError


def test_peer_error_carries_the_answer():
    error = PeerError(431, "too many fields")
    assert (error.status, error.reason, str(error)) == (431, "too many fields", "too many fields")


@pytest.mark.parametrize("kind", [ConfigurationError, PidFileError])
def test_operators_errors_are_fatal_errors(kind):
    assert issubclass(kind, FatalError)


@pytest.mark.parametrize("kind", [FatalError, PeerError])
def test_faults_of_others_are_not_runtime_errors(kind):
    """An application that catches RuntimeError must not swallow them."""
    assert not issubclass(kind, RuntimeError)


def test_app_error_is_what_interfaces_promise_to_raise():
    assert issubclass(AppError, RuntimeError)


def test_fatal_error_crosses_processes():
    assert str(pickle.loads(pickle.dumps(ConfigurationError("no such file")))) == "no such file"
