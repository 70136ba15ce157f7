"""The settings model: every row of the table as a validated field.

Pydantic does what it is good at here, converting and checking values in one pass over all of them;
where they come from is ``sources``'s business, so that this model reads neither the environment nor
files. It has the last word on what is valid; ``lane`` spares the command its import, which takes
longer than the rest of a start together, while nothing is wrong. No worker ever imports it.
"""

import os
from typing import Any, Dict, List, Mapping, Optional, Tuple, Type, Union

from pydantic import (
    AfterValidator,
    BeforeValidator,
    DirectoryPath,
    Field,
    FilePath,
    SecretStr,
    create_model,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from typing_extensions import Annotated, Literal

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

Layer = Mapping[str, Any]
"""Raw values of one source by name."""


class LayerSource(PydanticBaseSettingsSource):
    """One source of raw values, as pydantic-settings merges them."""

    def __init__(self, settings_cls: Type[BaseSettings], layer: Layer) -> None:
        super().__init__(settings_cls)
        self._layer = layer

    def get_field_value(self, field: Any, field_name: str) -> Tuple[Any, str, bool]:
        """Return one value; the library asks only through ``__call__``."""
        return self._layer.get(field_name), field_name, False

    def __call__(self) -> Dict[str, Any]:
        """Return every value of this source."""
        return dict(self._layer)


class _Layered(BaseSettings):
    """Settings merged from the layers given as ``layers``, the first one winning."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, validate_default=False)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: Type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> Tuple[PydanticBaseSettingsSource, ...]:
        """Replace the library's sources by the layers."""
        layers: Tuple[Layer, ...] = init_settings()["layers"]
        return tuple(LayerSource(settings_cls, layer) for layer in layers)


def _readable(path: "os.PathLike[str]") -> str:
    if not os.access(path, os.R_OK):
        raise ValueError("not readable")
    return os.fspath(path)


_NUMBERS: Dict[str, Tuple[Any, Any]] = {
    INT: (int, parse_int),
    FLOAT: (float, parse_float),
    DURATION: (int, parse_duration),
    OCTAL: (int, parse_octal),
}


def _type_of(row: Option) -> Any:
    """Return the annotation that converts and checks one value of a row."""
    if row.kind in _NUMBERS:
        number, parser = _NUMBERS[row.kind]
        bounds = Field(
            ge=row.minimum, le=row.maximum, allow_inf_nan=False if number is float else None
        )
        return Annotated[number, BeforeValidator(parser), bounds]
    if row.kind == COUNT:
        number = Annotated[int, Field(ge=row.minimum, le=row.maximum)]
        return Annotated[Union[Literal["auto"], number], BeforeValidator(parse_count)]
    if row.kind == BOOL:
        return Annotated[bool, BeforeValidator(parse_bool)]
    if row.kind == CHOICE:
        return Annotated[Literal[row.choices], BeforeValidator(fold)]
    if row.kind in (FILE, DIRECTORY):
        there = FilePath if row.kind == FILE else DirectoryPath
        return Annotated[there, AfterValidator(_readable)]
    if row.kind == PATH:
        return Annotated[str, Field(min_length=1)]
    return SecretStr if row.secret else str


def _field_of(row: Option) -> Tuple[Any, Any]:
    kind = _type_of(row)
    if row.multiple:
        kind = List[kind]  # type: ignore[valid-type]  # built at run time
    return Optional[kind], Field(default=row.default, description=row.help)


Settings: Type[_Layered] = create_model(
    "Settings",
    __base__=_Layered,
    **{name: _field_of(row) for name, row in CANONICAL.items()},  # type: ignore[call-overload]
)
"""The model; a field for each row that is not an older name of another."""


def converted(layers: Tuple[Layer, ...]) -> Dict[str, Any]:
    """Merge layers of raw values and convert the result.

    Args:
        layers: Raw values by canonical name, the strongest source first.

    Returns:
        Every setting as plain data: numbers, texts, lists; no type of pydantic's.

    Raises:
        pydantic.ValidationError: With every value that does not fit.
    """
    settings = Settings(layers=layers)  # type: ignore[call-arg]  # consumed by the sources
    return {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value
        for name, value in ((name, getattr(settings, name)) for name in CANONICAL)
    }
