"""The fast lane of settings: converts what is plainly right, without a library.

Nearly every start gives a handful of well-formed values, and loading pydantic to read them takes
longer than everything else before the first request together. So this comes first. It may
decline, and then the model in ``settings`` decides and every complaint is made from its verdict;
it may never refuse, and never understand a value differently (a differential test holds it to
that). Standard library only.
"""

import os
from pathlib import Path
from typing import Any, Dict, Iterable, Mapping

from .options import (
    BOOL,
    CANONICAL,
    CHOICE,
    COUNT,
    DIRECTORY,
    DURATION,
    FILE,
    FLOAT,
    INT,
    OCTAL,
    PATH,
    TEXT,
    Option,
)
from .values import (
    fold,
    parse_bool,
    parse_count,
    parse_duration,
    parse_float,
    parse_int,
    parse_octal,
)


class Declined(Exception):  # noqa: N818 - no error: somebody else decides
    """A value that is for the model to judge."""


def converted(layers: Iterable[Mapping[str, Any]]) -> Dict[str, Any]:
    """Merge layers of raw values and convert the result, as ``settings.converted`` does.

    Args:
        layers: Raw values by canonical name, the strongest source first.

    Raises:
        Declined: At least one value is not plainly right.
    """
    merged: Dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            merged.setdefault(name, value)
    values = {name: row.default for name, row in CANONICAL.items()}
    for name, value in merged.items():
        row = CANONICAL.get(name)
        if row is None:
            raise Declined
        if not row.multiple:
            values[name] = _convert(row, value)
        elif isinstance(value, list):
            values[name] = [_convert(row, item) for item in value]
        else:
            raise Declined
    return values


def _convert(row: Option, value: Any) -> Any:
    try:
        result = _CONVERTERS[row.kind](value)
    except ValueError:
        raise Declined from None
    if row.choices and result not in row.choices:
        raise Declined
    if not isinstance(result, str):
        if row.minimum is not None and result < row.minimum:
            raise Declined
        if row.maximum is not None and result > row.maximum:
            raise Declined
    return result


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError
    value.encode()  # a variable's octets that are not UTF-8 are lone surrogates
    return value


def _path(value: Any) -> str:
    if value == "":
        raise ValueError
    return _text(value)


def _file(value: Any) -> str:
    path = _path(value)
    if not os.path.isfile(path) or not os.access(path, os.R_OK):
        raise ValueError
    return str(Path(path))


def _directory(value: Any) -> str:
    path = _path(value)
    if not os.path.isdir(path) or not os.access(path, os.R_OK):
        raise ValueError
    return str(Path(path))


_CONVERTERS = {
    BOOL: parse_bool,
    INT: parse_int,
    FLOAT: parse_float,
    COUNT: parse_count,
    DURATION: parse_duration,
    OCTAL: parse_octal,
    CHOICE: fold,
    TEXT: _text,
    PATH: _path,
    FILE: _file,
    DIRECTORY: _directory,
}
