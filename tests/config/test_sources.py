import os
import sys

import pytest

from granian.config import plans as plans_module
from granian.config.options import (
    BOOL,
    CANONICAL,
    CHOICE,
    COUNT,
    DIRECTORY,
    FLOAT,
    PATH,
    SETTINGS,
    TEXT,
)
from granian.config.options import FILE as FILE_KIND
from granian.config.sources import SettingsError, resolve
from granian.errors import UnusableError


@pytest.fixture(autouse=True)
def _many_processors(monkeypatch):
    monkeypatch.setattr(plans_module, "available_processors", lambda: 64)


@pytest.fixture
def toml(tmp_path, monkeypatch):
    """Write a settings file into the current folder and return the arguments that name it."""
    monkeypatch.chdir(tmp_path)

    def write(text, name="granian.toml"):
        (tmp_path / name).write_text(text)
        return {"config": name}

    return write


def problems(arguments, environ=None):
    with pytest.raises(SettingsError) as caught:
        resolve(arguments, environ or {})
    return caught.value.problems


# Every setting, through every source.


def sample(row, tmp_path):
    """A value for a row that is not its default: raw as text, and converted."""
    if row.kind == BOOL:
        return str(not row.default).lower(), not row.default
    if row.choices:
        other = next(choice for choice in row.choices if choice != row.default)
        return other, other
    if row.kind in (FILE_KIND, DIRECTORY, PATH):
        path = tmp_path / ("folder" if row.kind == DIRECTORY else "file.json")
        if row.kind == DIRECTORY:
            path.mkdir(exist_ok=True)
        else:
            path.write_text("{}")
        return str(path), [str(path)] if row.multiple else str(path)
    if row.kind == FLOAT:
        return "7.5", 7.5
    if row.kind == TEXT:
        word = {"forwarded_allow_ips": "10.0.0.1", "health_path": "/up"}.get(row.name, "word")
        return word, [word] if row.multiple else word
    assert row.kind == COUNT or row.kind != CHOICE
    number = (row.minimum or 0) + 1
    return str(number), number


TOGETHER = {  # what a setting needs beside itself
    "ssl_certificate": ["ssl_keyfile"],
    "ssl_keyfile": ["ssl_certificate"],
    "ssl_ca": ["ssl_certificate", "ssl_keyfile"],
    "ssl_crl": ["ssl_certificate", "ssl_keyfile", "ssl_ca"],
    "ssl_client_verify": ["ssl_certificate", "ssl_keyfile", "ssl_ca"],
    "static_path_route": ["static_path_mount"],
    "static_path_mount": ["static_path_route"],
}


def settings_for(row, tmp_path):
    raw = {row.name: sample(row, tmp_path)[0]}
    for name in TOGETHER.get(row.name, ()):
        raw[name] = sample(SETTINGS[name], tmp_path)[0]
    if row.name == "blocking_threads":
        raw["interface"] = "wsgi"
    return raw


def expected(row, tmp_path):
    value = sample(row, tmp_path)[1]
    if row.translation:
        value = dict(row.translation)[value]
        value = value == "true" if CANONICAL[row.alias_of].kind == BOOL else value
    return value


EVERY = pytest.mark.parametrize("row", list(SETTINGS.values()), ids=lambda row: row.name)


@EVERY
def test_every_setting_arrives_from_the_command_line(row, tmp_path):
    raw = {
        name: (value,) if SETTINGS[name].multiple else value
        for name, value in settings_for(row, tmp_path).items()
    }
    resolved = resolve(raw, {})
    name = row.alias_of or row.name
    assert resolved.values[name] == expected(row, tmp_path)
    assert resolved.origins[name].source == "command line"


@EVERY
def test_every_setting_arrives_from_the_environment(row, tmp_path):
    environ = {
        SETTINGS[name].variable: value for name, value in settings_for(row, tmp_path).items()
    }
    resolved = resolve({}, environ)
    name = row.alias_of or row.name
    assert resolved.values[name] == expected(row, tmp_path)
    assert resolved.origins[name][0] == "environment"
    assert resolved.origins[name].name == row.variable


@EVERY
@pytest.mark.parametrize("dashes", [False, True])
def test_every_setting_arrives_from_the_file(row, dashes, tmp_path, toml):
    lines = "".join(
        f'{name.replace("_", "-") if dashes else name} = "{value}"\n'
        for name, value in settings_for(row, tmp_path).items()
    )
    resolved = resolve(toml("[granian]\n" + lines, name="s.toml"), {})
    name = row.alias_of or row.name
    assert resolved.values[name] == expected(row, tmp_path)
    assert resolved.origins[name].name == f"{row.name!r} in s.toml"


# Precedence


@pytest.mark.parametrize("flag", [False, True])
@pytest.mark.parametrize("variable", [False, True])
@pytest.mark.parametrize("platform", [False, True])
@pytest.mark.parametrize("key", [False, True])
def test_precedence(flag, variable, platform, key, toml):
    arguments = toml("[granian]\n" + ("port = 4\n" if key else ""))
    environ = {}
    if flag:
        arguments["port"] = "1"
    if variable:
        environ["GRANIAN_PORT"] = "2"
    if platform:
        environ["GRANIAN_PLATFORM_ENV"] = "yes"
        environ["PORT"] = "3"
    resolved = resolve(arguments, environ)
    winner = next(
        (number for number, given in ((1, flag), (2, variable), (3, platform), (4, key)) if given),
        8000,
    )
    assert resolved.values["port"] == winner
    assert resolved.plans.supervisor.port == winner
    assert resolved.values["host"] == ("0.0.0.0" if platform else "127.0.0.1")


def test_an_older_name_on_the_command_line_beats_todays_in_the_environment():
    resolved = resolve({"threads": "2"}, {"GRANIAN_RUNTIME_THREADS": "4"})
    assert resolved.values["runtime_threads"] == 2
    assert resolved.origins["runtime_threads"].name == "--threads"


def test_two_names_of_one_setting_must_agree():
    assert problems({"threads": "2", "runtime_threads": "4"}) == (
        "--runtime-threads and --threads are two names of one setting and say different things; "
        "give one of them.",
    )
    assert resolve({"threads": "2", "runtime_threads": "2"}, {}).values["runtime_threads"] == 2
    same = {"loop_opt": True, "task_impl": "RUST", "threading_mode": "Workers"}
    resolved = resolve(same, {})
    assert resolved.plans.worker.step_coroutines
    assert resolved.plans.worker.runtime_mode == "st"


def test_an_empty_variable_is_unset():
    assert resolve({}, {"GRANIAN_PORT": "", "GRANIAN_CONFIG": ""}).values["port"] == 8000


def test_the_file_may_be_named_by_a_variable(toml):
    toml("port = 9\n", name="other.toml")
    assert resolve({}, {"GRANIAN_CONFIG": "other.toml"}).values["port"] == 9


def test_no_file_is_read_unless_named(toml):
    toml("port = 9\n")
    toml("[tool.granian]\nport = 9\n", name="pyproject.toml")
    assert resolve({}, {}).values["port"] == 8000


def test_a_projects_file_has_its_own_table(toml):
    arguments = toml("[project]\nname = 'x'\n[tool.granian]\nport = 9\n", name="pyproject.toml")
    assert resolve(arguments, {}).values["port"] == 9


def test_lists_in_variables():
    environ = {
        "GRANIAN_RELOAD_PATHS": os.pathsep.join(["a b", "c"]),
        "GRANIAN_RELOAD_IGNORE_DIRS": "a b",
    }
    values = resolve({}, environ).values
    assert values["reload_paths"] == ["a b", "c"]
    assert values["reload_ignore_dirs"] == ["a", "b"]


def test_paths_in_a_file_are_relative_to_it(tmp_path, monkeypatch):
    conf, elsewhere = tmp_path / "conf", tmp_path / "elsewhere"
    (conf / "public").mkdir(parents=True)
    elsewhere.mkdir()
    (conf / "granian.toml").write_text(
        '[granian]\napp = "mod/file.py:app"\npid_file = "run/pid"\n'
        'static_path_mount = ["public"]\nreload_paths = "/abs"\n'
    )
    monkeypatch.chdir(elsewhere)
    values = resolve({"config": "../conf/granian.toml"}, {}).values
    assert values["app"] == "mod/file.py:app"
    assert os.path.realpath(values["pid_file"]) == str(conf / "run" / "pid")
    assert os.path.samefile(values["static_path_mount"][0], conf / "public")
    assert values["reload_paths"] == ["/abs"]


# Platform variables


def test_platform_variables_count_only_when_asked_for():
    environ = {"PORT": "1", "WEB_CONCURRENCY": "2", "FORWARDED_ALLOW_IPS": "10.0.0.1,10.0.0.2"}
    assert resolve({}, environ).values["port"] == 8000
    resolved = resolve({"platform_env": True}, environ)
    assert resolved.values["port"] == 1
    assert resolved.values["workers"] == 2
    assert resolved.values["forwarded_allow_ips"] == ["10.0.0.1", "10.0.0.2"]
    assert resolved.plans.supervisor.sources == (
        "FORWARDED_ALLOW_IPS",
        "PORT",
        "WEB_CONCURRENCY",
        "1 flag",
    )


def test_the_file_may_ask_for_platform_variables_and_a_flag_refuse_them(toml):
    arguments = toml("platform_env = true\n")
    assert resolve(arguments, {"PORT": "1"}).values["port"] == 1
    arguments["platform_env"] = False
    assert resolve(arguments, {"PORT": "1"}).values["port"] == 8000


# Errors: three classes (unreadable value, out of bounds, missing file) from each source


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("port", "abc", "'abc' is not a valid integer."),
        ("backlog", "5", "5 is not in the range x>=128."),
        ("ssl_ca", "/nope/ca.pem", "File '/nope/ca.pem' does not exist."),
        ("threads", "0", "0 is not in the range x>=1."),
        ("threading_mode", "x", "'x' is not one of 'runtime', 'workers'."),
        ("ssl_crl", ["/nope"], "File '/nope' does not exist."),
    ],
)
def test_errors_name_the_source(name, value, sentence, toml):
    row = SETTINGS[name]
    text = value[0] if isinstance(value, list) else value
    assert problems({name: value}) == (f"Invalid value for '{row.flag}': {sentence}",)
    assert problems({}, {row.variable: text}) == (
        f"Invalid value for '{row.flag}' (env var: '{row.variable}'): {sentence}",
    )
    arguments = toml(f"[granian]\n{name} = {value!r}\n")
    assert problems(arguments) == (f"Invalid value for '{name}' in granian.toml: {sentence}",)


def test_platform_variables_are_named():
    assert problems({"platform_env": True}, {"WEB_CONCURRENCY": "x"}) == (
        "Invalid value for '--workers' (env var: 'WEB_CONCURRENCY'): "
        "'x' is not a valid integer or auto.",
    )


def test_every_problem_of_every_source_is_told(toml):
    arguments = toml("[granian]\nprot = 1\nbacklog = 1\n")
    arguments["workers"] = "0"
    found = problems(arguments, {"GRANIAN_LOOP": "fast"})
    assert len(found) == 4


def test_contradictions_name_what_was_given(toml):
    (problem,) = problems({}, {"GRANIAN_SSL_KEYFILE": __file__})
    assert problem.startswith("GRANIAN_SSL_KEYFILE is given without --ssl-certificate: ")
    (problem,) = problems(toml(f"ssl_keyfile = '{__file__}'\n"))
    assert problem.startswith("'ssl_keyfile' in granian.toml is given without")


def test_what_cannot_be_used_is_told_under_the_name_it_was_given_by(tmp_path, toml):
    """What a setting names is tried elsewhere: only its giver's words for it are here."""
    (tmp_path / "password").write_text("hunter2\n")
    arguments = {"ssl_certificate": __file__, **toml(f"ssl_keyfile = '{__file__}'\n")}
    environ = {"GRANIAN_SSL_KEYFILE_PASSWORD_FILE": str(tmp_path / "password")}

    def refused(resolved, setting, other="ssl_ca"):
        return resolved.refusal(UnusableError(setting, "It is bad", "See {}", other))

    resolved = resolve(arguments, environ)
    assert refused(resolved, "ssl_certificate", "ssl_keyfile") == (
        "Invalid value for '--ssl-certificate': It is bad. See 'ssl_keyfile' in granian.toml."
    )
    assert refused(resolved, "ssl_keyfile") == (
        "Invalid value for 'ssl_keyfile' in granian.toml: It is bad. See --ssl-ca."
    )
    assert refused(resolved, "ssl_keyfile_password").startswith(
        "Invalid value for '--ssl-keyfile-password' "
        "(env var: 'GRANIAN_SSL_KEYFILE_PASSWORD_FILE'): It is bad."
    )
    # A secret that is yet to be given had better not stand on the command line.
    without = refused(resolve(arguments, {}), "ssl_keyfile", "ssl_keyfile_password")
    assert without.endswith("See GRANIAN_SSL_KEYFILE_PASSWORD.")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("port 1\n", "granian.toml, line 1, column 6: "),
        ("[granian]\nprot = 1\n", "Unknown key 'prot' in granian.toml. Did you mean 'port'?"),
        ("[granian]\nxyzzy = 1\n", "Unknown key 'xyzzy' in granian.toml."),
        (
            "[granian.http1]\nkeep_alive = true\n",
            "'http1' in granian.toml is a table; keys are flat, such as 'http1_keep_alive'.",
        ),
        (
            "[granian]\nlog-level = 'info'\nlog_level = 'debug'\n",
            "Key 'log_level' stands twice in granian.toml.",
        ),
        ("[granian]\n[other]\n", "'other' in granian.toml stands outside the table [granian]."),
        ("granian = 3\n", "'granian' in granian.toml must be a table: [granian]."),
        ("[granian]\nconfig = 'x'\n", "Unknown key 'config' in granian.toml."),
        ("port = true\n", "Invalid value for 'port' in granian.toml: True is not a valid integer."),
        ("host = [1]\n", "Invalid value for 'host' in granian.toml: [1] is not a text; "),
    ],
)
def test_errors_in_a_file(text, problem, toml):
    (found,) = problems(toml(text))
    assert found.startswith(problem)


def test_files_that_are_none(tmp_path, toml, monkeypatch):
    toml("")
    assert problems({"config": "nope.toml"}) == (
        "Invalid value for '--config': File 'nope.toml' does not exist.",
    )
    assert problems({}, {"GRANIAN_CONFIG": str(tmp_path)}) == (
        "Invalid value for '--config' (env var: 'GRANIAN_CONFIG'): "
        f"File {str(tmp_path)!r} is a directory.",
    )
    (tmp_path / "latin.toml").write_bytes(b"host = '\xe9'\n")
    assert problems({"config": "latin.toml"}) == ("latin.toml is not UTF-8 text, which TOML is.",)


# Secrets


def test_a_secret_may_stand_in_a_file(tmp_path):
    (tmp_path / "password").write_text("hunter2\n")
    environ = {"GRANIAN_SSL_KEYFILE_PASSWORD_FILE": str(tmp_path / "password")}
    resolved = resolve({}, environ)
    assert resolved.values["ssl_keyfile_password"] == "hunter2"
    assert resolved.warnings == ()
    environ["GRANIAN_SSL_KEYFILE_PASSWORD"] = "other"
    assert problems({}, environ) == (
        "GRANIAN_SSL_KEYFILE_PASSWORD and GRANIAN_SSL_KEYFILE_PASSWORD_FILE exclude each other.",
    )
    environ = {"GRANIAN_SSL_KEYFILE_PASSWORD_FILE": str(tmp_path / "nope")}
    (problem,) = problems({}, environ)
    assert problem.endswith("cannot be read: No such file or directory.")


def test_a_secret_on_the_command_line_is_a_warning():
    resolved = resolve({"ssl_keyfile_password": "hunter2"}, {})
    (warning,) = resolved.warnings
    assert warning.startswith("--ssl-keyfile-password can be read in the list of processes")
    assert "hunter2" not in warning


def test_a_secret_is_not_printed_in_errors(toml):
    (problem,) = problems(toml("ssl_keyfile_password = 1234\n"))
    assert "1234" not in problem


# Misspelt variables


@pytest.mark.parametrize(
    ("variable", "warning"),
    [
        (
            "GRANIAN_WORKRES",
            "GRANIAN_WORKRES is not a variable of this server; did you mean GRANIAN_WORKERS?",
        ),
        ("GRANIAN_QQQQQQQQQ", "GRANIAN_QQQQQQQQQ is not a variable of this server."),
    ],
)
def test_misspelt_variables_are_a_warning(variable, warning):
    assert resolve({}, {variable: "1"}).warnings == (warning,)


def test_known_variables_are_none():
    environ = {"GRANIAN_SHOW_COMPLETION": "", "GRANIAN_INSTALL_COMPLETION": "", "OTHER": "1"}
    assert resolve({}, environ).warnings == ()


# Logging configuration


def test_logging_configuration_in_json_and_toml(tmp_path):
    (tmp_path / "log.json").write_text('{"version": 1}')
    (tmp_path / "log.toml").write_text("version = 1\n[root]\nlevel = 'INFO'\n")
    resolved = resolve({"log_config": str(tmp_path / "log.json")}, {})
    assert resolved.plans.worker.log_config == {"version": 1}
    resolved = resolve({"log_config": str(tmp_path / "log.toml")}, {})
    assert resolved.plans.worker.log_config == {"version": 1, "root": {"level": "INFO"}}


@pytest.mark.parametrize(
    ("name", "text", "end"),
    [
        ("log.json", "{\n1}", "is not valid JSON at line 2, column 1: "),
        ("log.json", "[]", "does not hold a JSON object."),
        ("log.toml", "x\n", "log.toml, line 1, column 2: "),
        ("log.toml", "x", "log.toml, at its end: "),
    ],
)
def test_logging_configuration_that_is_none(tmp_path, name, text, end):
    (tmp_path / name).write_text(text)
    (problem,) = problems({}, {"GRANIAN_LOG_CONFIG": str(tmp_path / name)})
    assert end in problem


def test_pydantic_plugins_are_off_only_here(monkeypatch):
    monkeypatch.delenv("PYDANTIC_DISABLE_PLUGINS", raising=False)
    problems({"port": "x"})
    assert "PYDANTIC_DISABLE_PLUGINS" not in os.environ
    monkeypatch.setenv("PYDANTIC_DISABLE_PLUGINS", "one")
    problems({"port": "x"})
    assert os.environ["PYDANTIC_DISABLE_PLUGINS"] == "one"


def test_toml_is_read_on_every_python(toml):
    assert resolve(toml("port = 0x10\n"), {}).values["port"] == 16
    assert ("tomllib" in sys.modules) == (sys.version_info >= (3, 11))
