import warnings

import click
import pytest

from granian.cli.types import Duration, EnumType, OctalIntType, _pretty_print_default, option
from granian.constants import Interfaces


@pytest.mark.parametrize(
    ("value", "seconds"), [("24h", 86_400), ("30", 30), ("1h30m", 5400), (7, 7), (None, None)]
)
def test_durations_convert(value, seconds):
    assert Duration().convert(value, None, None) == seconds


@pytest.mark.parametrize("value", ["10x", "1.5h", "-1", object()])
def test_what_is_no_duration_is_a_bad_parameter(value):
    with pytest.raises(click.BadParameter, match="not a valid duration"):
        Duration().convert(value, None, None)


def test_durations_have_bounds():
    kind = Duration(10, 60)
    assert kind.convert("10", None, None) == 10
    assert kind.convert("1m", None, None) == 60
    with pytest.raises(click.BadParameter, match="less than 10 seconds"):
        kind.convert("9s", None, None)
    with pytest.raises(click.BadParameter, match="more than 60 seconds"):
        kind.convert("61", None, None)


def test_file_modes_convert():
    assert OctalIntType().convert("0660", None, None) == 0o660
    assert OctalIntType().convert("660", None, None) == 660
    assert OctalIntType().convert(None, None, None) is None
    with pytest.raises(click.BadParameter):
        OctalIntType().convert("0999", None, None)


def test_enumerations_convert_in_any_case():
    kind = EnumType(Interfaces)
    assert kind.convert("ASGI", None, None) is Interfaces.ASGI
    assert kind.convert(Interfaces.WSGI, None, None) is Interfaces.WSGI
    assert kind.convert(None, None, None) is None
    with pytest.raises(click.BadParameter):
        kind.convert("cgi", None, None)


def test_defaults_are_printed_in_words():
    assert _pretty_print_default(True) == "enabled"
    assert _pretty_print_default(False) == "disabled"
    assert _pretty_print_default(Interfaces.ASGI) == "asgi"
    assert _pretty_print_default(3) == 3


def test_the_types_serve_commands_of_others():
    @click.command()
    @option("--interface", type=EnumType(Interfaces), default=Interfaces.ASGI)
    @option("--timeout", type=Duration(1), default=3)
    def command(interface, timeout):
        click.echo(f"{interface} {timeout}")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # click's own, on some releases
        from click.testing import CliRunner
    run = CliRunner().invoke(command, ["--interface", "WSGI", "--timeout", "1m"])
    assert run.output == "wsgi 60\n"
