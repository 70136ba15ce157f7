"""Where settings come from: command line, environment, platform, file, default.

Reads each source into a layer of raw values that remember how their giver calls them, lets the
model merge and convert the layers, and makes the plans. Every problem of every source is collected
and told in one sentence each, naming the flag, the variable or the file and key. Owns the rules
about sources only: what values mean together is in ``plans``. Runs once in the command's process.
"""

import json
import os
import re
import sys
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ..errors import ConfigurationError, UnusableError
from . import lane
from .options import (
    CANONICAL,
    CONFIG_OPTION,
    PATH_KINDS,
    PREFIX,
    SETTINGS,
    Option,
)
from .plans import ContradictionError, Plans, make_plans
from .values import complaint, nearest, parse_bool, split_list

COMMAND_LINE = "command line"
ENVIRONMENT = "environment"
PLATFORM = "platform"
FILE = "file"
DEFAULT = "default"

_IN_A_FILE = "_FILE"
_COMPLETION_VARIABLES = ("GRANIAN_INSTALL_COMPLETION", "GRANIAN_SHOW_COMPLETION")
_PLATFORM_VARIABLES = (
    ("PORT", "port"),
    ("WEB_CONCURRENCY", "workers"),
    ("FORWARDED_ALLOW_IPS", "forwarded_allow_ips"),
)
_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


class Origin(NamedTuple):
    """Where a value came from: the source, the row it was given for, and its name there."""

    source: str
    row: Option
    name: str

    def invalid(self) -> str:
        """Begin a complaint about the value."""
        if self.source == FILE:
            return f"Invalid value for {self.name}"
        if self.source in (ENVIRONMENT, PLATFORM):
            return f"Invalid value for {self.row.flag!r} (env var: {self.name!r})"
        return f"Invalid value for {self.row.flag!r}"


class Given(NamedTuple):
    """A raw value and its origin."""

    value: Any
    origin: Origin


Layer = Dict[str, Given]
"""What one source gives, by canonical name once older names are folded in."""


class SettingsError(ConfigurationError):
    """What was given cannot be used.

    Attributes:
        problems: One sentence each, ready to print.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class Resolved(NamedTuple):
    """Settings with their origins and what they come to.

    Attributes:
        values: Every setting converted, by canonical name.
        origins: Where each that is not a default came from.
        plans: The plans of supervisor and workers.
        warnings: One line each.
    """

    values: Dict[str, Any]
    origins: Dict[str, Origin]
    plans: Plans
    warnings: Tuple[str, ...]

    def refusal(self, error: UnusableError) -> str:
        """Word what was found when what a setting names was tried."""
        begin = self.origins[error.setting].invalid()
        return f"{begin}: {error.sentences(lambda name: _called(name, self.origins))}"


def resolve(arguments: Mapping[str, Any], environ: Mapping[str, str]) -> Resolved:
    """Read every source and make the plans.

    Args:
        arguments: Raw values of the command line by row name, ``config`` included; what was not
            given is absent, ``None`` or empty.
        environ: The environment.

    Raises:
        SettingsError: With every problem found.
    """
    return _Reading(arguments, environ).resolved()


class _Reading:
    """One reading of all sources, and what was found wrong."""

    def __init__(self, arguments: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.problems: List[str] = []
        self.warnings: List[str] = []
        self.config = self._config_path(arguments)
        self.command_line = self._fold_aliases(self._read_command_line(arguments))
        self.environment = self._fold_aliases(self._read_environment())
        self.file = self._fold_aliases(self._read_file())
        self.platform = self._read_platform() if self._platform_wanted() else {}

    def resolved(self) -> Resolved:
        layers = (self.command_line, self.environment, self.platform, self.file)
        merged: Layer = {}
        for layer in reversed(layers):
            merged.update(layer)
        origins = {name: given.origin for name, given in merged.items()}
        values = self._convert(layers, merged)
        log_config = self._read_log_config(values.get("log_config"), origins)
        if self.problems:
            raise SettingsError(self.problems)
        try:
            plans = make_plans(
                values,
                log_config=log_config,
                called=lambda name: _called(name, origins),
                sources=self._in_words(),
            )
        except ContradictionError as error:
            raise SettingsError(error.problems) from None
        return Resolved(values, origins, plans, (*self.warnings, *plans.warnings))

    # Sources

    def _read_command_line(self, arguments: Mapping[str, Any]) -> Layer:
        layer: Layer = {}
        for name, row in SETTINGS.items():
            value = arguments.get(name)
            if value is None or value == ():
                continue
            if row.secret:
                self.warnings.append(
                    f"{row.flag} can be read in the list of processes; "
                    f"{row.variable} and {row.variable + _IN_A_FILE} cannot."
                )
            shown = "APP" if name == "app" else row.flag
            layer[name] = Given(_plain(value), Origin(COMMAND_LINE, row, shown))
        return layer

    def _read_environment(self) -> Layer:
        layer: Layer = {}
        for row in SETTINGS.values():
            text, variable = self.environ.get(row.variable, ""), row.variable
            if row.secret:
                text, variable = self._read_secret(row, text)
            if text:
                value = split_list(row, text) if row.multiple else text
                layer[row.name] = Given(value, Origin(ENVIRONMENT, row, variable))
        self._warn_of_unknown_variables()
        return layer

    def _read_secret(self, row: Option, text: str) -> Tuple[str, str]:
        variable = row.variable + _IN_A_FILE
        path = self.environ.get(variable, "")
        if not path:
            return text, row.variable
        if text:
            self.problems.append(f"{row.variable} and {variable} exclude each other.")
            return text, row.variable
        try:
            with open(path, encoding="utf-8") as file:
                return file.read().rstrip("\r\n"), variable
        except (OSError, UnicodeDecodeError) as error:
            self.problems.append(
                f"Invalid value for {row.flag!r} (env var: {variable!r}): "
                f"{path!r} cannot be read: {_reason(error)}."
            )
            return "", variable

    def _warn_of_unknown_variables(self) -> None:
        known = {row.variable for row in SETTINGS.values()}
        known.update(row.variable + _IN_A_FILE for row in SETTINGS.values() if row.secret)
        known.update((CONFIG_OPTION.variable, *_COMPLETION_VARIABLES))
        for variable in sorted(self.environ):
            if variable.startswith(PREFIX) and variable not in known:
                guess = nearest(variable, known)
                hint = f"; did you mean {guess}?" if guess else "."
                self.warnings.append(f"{variable} is not a variable of this server{hint}")

    def _read_platform(self) -> Layer:
        layer: Layer = {}
        for variable, name in _PLATFORM_VARIABLES:
            text = self.environ.get(variable, "")
            if text:
                row = CANONICAL[name]
                value = split_list(row, text) if row.multiple else text
                layer[name] = Given(value, Origin(PLATFORM, row, variable))
        if "port" in layer:
            # A platform that says which port means a port the outside can reach.
            layer["host"] = Given("0.0.0.0", Origin(PLATFORM, CANONICAL["host"], "PORT"))  # noqa: S104 - asked for by --platform-env
        return layer

    def _platform_wanted(self) -> bool:
        for layer in (self.command_line, self.environment, self.file):
            if "platform_env" in layer:
                try:
                    return parse_bool(layer["platform_env"].value)
                except ValueError:
                    return False  # the model will complain about it
        return False

    # The file

    def _config_path(self, arguments: Mapping[str, Any]) -> Optional[str]:
        path, origin = arguments.get("config"), Origin(COMMAND_LINE, CONFIG_OPTION, "--config")
        if not path:
            path = self.environ.get(CONFIG_OPTION.variable)
            origin = Origin(ENVIRONMENT, CONFIG_OPTION, CONFIG_OPTION.variable)
        if not path:
            return None
        if not os.path.isfile(path) or not os.access(path, os.R_OK):
            self.problems.append(f"{origin.invalid()}: {complaint(CONFIG_OPTION, path)}")
            return None
        return str(path)

    def _read_file(self) -> Layer:
        if self.config is None:
            return {}
        document = self._parse_toml(self.config)
        if document is None:
            return {}
        table = self._settings_table(document)
        layer: Layer = {}
        for key, value in table.items():
            name = key.replace("-", "_")
            row = SETTINGS.get(name)
            if row is None or isinstance(value, dict):
                self._refuse_key(key, value)
                continue
            if name in layer:
                self.problems.append(f"Key {key!r} stands twice in {self.config}.")
                continue
            origin = Origin(FILE, row, f"{name!r} in {self.config}")
            layer[name] = Given(self._beside_the_file(row, value), origin)
        return layer

    def _parse_toml(self, path: str) -> Optional[Dict[str, Any]]:
        if sys.version_info >= (3, 11):
            import tomllib
        else:
            import tomli as tomllib

        try:
            with open(path, "rb") as file:
                return tomllib.load(file)
        except OSError as error:
            self.problems.append(f"{path} cannot be read: {_reason(error)}.")
        except UnicodeDecodeError:
            self.problems.append(f"{path} is not UTF-8 text, which TOML is.")
        except tomllib.TOMLDecodeError as error:
            text = str(error)
            place = _TOML_PLACE.search(text)
            if place is not None and place.group(1):
                path = f"{path}, line {place.group(1)}, column {place.group(2)}"
            elif place is not None:
                path = f"{path}, at its end"
            self.problems.append(f"{path}: {_TOML_PLACE.sub('', text)}.")
        return None

    def _settings_table(self, document: Dict[str, Any]) -> Dict[str, Any]:
        """Return the table of settings: ``granian``, a tool's own in a project's file, or all."""
        if os.path.basename(self.config or "") == "pyproject.toml":
            table = document.get("tool", {}).get("granian", {})
        elif "granian" in document:
            table = document["granian"]
            for key in document:
                if key != "granian":
                    self.problems.append(
                        f"{key!r} in {self.config} stands outside the table [granian]."
                    )
        else:
            return document
        if not isinstance(table, dict):
            self.problems.append(f"'granian' in {self.config} must be a table: [granian].")
            return {}
        return table

    def _refuse_key(self, key: str, value: Any) -> None:
        if isinstance(value, dict) and value:
            flat = f"{key}_{next(iter(value))}".replace("-", "_")
            like = nearest(flat, SETTINGS) or "http1_keep_alive"
            self.problems.append(
                f"{key!r} in {self.config} is a table; keys are flat, such as {like!r}."
            )
            return
        guess = nearest(key.replace("-", "_"), SETTINGS)
        hint = f" Did you mean {guess!r}?" if guess else ""
        self.problems.append(f"Unknown key {key!r} in {self.config}.{hint}")

    def _beside_the_file(self, row: Option, value: Any) -> Any:
        """Take relative paths from the file's folder, and a single item for a list of one."""
        if row.multiple and not isinstance(value, list):
            value = [value]
        if row.kind not in PATH_KINDS:
            return value
        folder = os.path.dirname(os.path.abspath(self.config or ""))
        if isinstance(value, list):
            return [_joined(folder, item) for item in value]
        return _joined(folder, value)

    # What the layers come to

    def _fold_aliases(self, layer: Layer) -> Layer:
        """Move values given under older names to the names of today."""
        folded = {name: given for name, given in layer.items() if name in CANONICAL}
        for name, given in layer.items():
            row = SETTINGS[name]
            if not row.alias_of:
                continue
            value = given.value
            if row.translation:
                translated = dict(row.translation).get(str(value).strip().lower())
                if translated is None:
                    self.problems.append(f"{given.origin.invalid()}: {complaint(row, value)}")
                    continue
                value = translated
            today = folded.get(row.alias_of)
            if today is not None and _word(today.value) != _word(value):
                self.problems.append(
                    f"{today.origin.name} and {given.origin.name} are two names of one setting "
                    "and say different things; give one of them."
                )
                continue
            folded[row.alias_of] = Given(value, given.origin)
        return folded

    def _convert(self, layers: Iterable[Layer], merged: Layer) -> Dict[str, Any]:
        raw = tuple({name: given.value for name, given in layer.items()} for layer in layers)
        try:
            return lane.converted(raw)
        except lane.Declined:
            return self._judge(raw, merged)

    def _judge(self, raw: Tuple[Dict[str, Any], ...], merged: Layer) -> Dict[str, Any]:
        """Let the model decide, and word what it refuses."""
        # Pydantic scans every installed package for plugins when it makes its first model, and
        # would run them here. The application's own models still get theirs.
        before = os.environ.get("PYDANTIC_DISABLE_PLUGINS")
        os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
        try:
            from pydantic import ValidationError

            from .settings import converted
        finally:
            if before is None:
                del os.environ["PYDANTIC_DISABLE_PLUGINS"]
            else:
                os.environ["PYDANTIC_DISABLE_PLUGINS"] = before
        try:
            return converted(raw)
        except ValidationError as error:
            places = dict.fromkeys(
                (str(loc[0]), loc[1] if len(loc) > 1 and CANONICAL[str(loc[0])].multiple else None)
                for loc in (item["loc"] for item in error.errors(include_url=False))
            )
            for name, index in places:
                value, origin = merged[name]
                if isinstance(index, int):
                    value = value[index]
                self.problems.append(f"{origin.invalid()}: {complaint(origin.row, value)}")
            return {}

    def _read_log_config(
        self, path: Optional[str], origins: Mapping[str, Origin]
    ) -> Optional[Dict[str, Any]]:
        if path is None:
            return None
        if path.endswith(".toml"):
            return self._parse_toml(path)
        begin = f"{origins['log_config'].invalid()}: File {path!r}"
        try:
            with open(path, encoding="utf-8") as file:
                config = json.load(file)
        except json.JSONDecodeError as error:
            place = f"line {error.lineno}, column {error.colno}"
            self.problems.append(f"{begin} is not valid JSON at {place}: {error.msg}.")
            return None
        except (OSError, UnicodeDecodeError) as error:
            self.problems.append(f"{begin} cannot be read: {_reason(error)}.")
            return None
        if isinstance(config, dict):
            return config
        self.problems.append(f"{begin} does not hold a JSON object.")
        return None

    def _in_words(self) -> Tuple[str, ...]:
        words = [os.path.relpath(self.config)] if self.config else []
        words.extend(sorted({given.origin.name for given in self.platform.values()}))
        for layer, noun in (
            (self.environment, "environment variable"),
            (self.command_line, "flag"),
        ):
            count = len(layer) - ("app" in layer)
            if count:
                words.append(f"{count} {noun}{'s' if count > 1 else ''}")
        return tuple(words)


def _called(name: str, origins: Mapping[str, Origin]) -> str:
    """Name a setting as its giver does, or as it could be given: a secret by its variable."""
    if name in origins:
        return origins[name].name
    row = CANONICAL[name]
    return row.variable if row.secret else row.flag


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _word(value: Any) -> str:
    return str(value).strip().lower()


def _joined(folder: str, path: Any) -> Any:
    return os.path.join(folder, path) if isinstance(path, str) and path else path


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    return getattr(error, "strerror", None) or str(error)
