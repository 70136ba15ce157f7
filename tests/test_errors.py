"""Errors say whose fault they are, by their class and by what they carry."""

import pickle

import pytest

from granian.errors import (
    AppError,
    ConfigurationError,
    FatalError,
    PeerError,
    PidFileError,
    UnusableError,
)


def test_peer_error_carries_the_answer():
    error = PeerError(431, "too many fields")
    assert (error.status, error.reason, str(error)) == (431, "too many fields", "too many fields")


@pytest.mark.parametrize("kind", [ConfigurationError, PidFileError, UnusableError])
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


def test_unusable_error_lets_others_name_the_settings():
    error = UnusableError("ssl_keyfile", "The key in {x} is encrypted", "Open it by {}", "word")
    assert error.sentences(str.upper) == "The key in {x} is encrypted. Open it by WORD."
    assert str(error) == "ssl_keyfile: The key in {x} is encrypted. Open it by word."
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_unusable_error_may_name_one_setting_alone():
    error = UnusableError("ssl_ca", "It is empty", "Name another {file}")
    assert str(error) == "ssl_ca: It is empty. Name another {file}."
