"""Strict, typed configuration: YAML files and ``key=value`` overrides into pydantic models, errors in one line."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pydantic
import yaml

ConfigT = TypeVar("ConfigT", bound="Config")


class ConfigError(ValueError):
    """A configuration that cannot be used; the message is one line with the key, what was expected and what came."""


class Config(pydantic.BaseModel):
    """Base of every configuration section: frozen, and closed to unknown keys."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, validate_default=True)


def load_config(
    model: type[ConfigT],
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    values: Mapping[str, Any] | None = None,
) -> ConfigT:
    """Read a YAML file, set values, apply overrides, validate.

    Args:
        model: The configuration class to build.
        path: A YAML file holding a mapping. Numbers may be written as YAML 1.1 strings, as in ``1e-4``.
        overrides: ``dotted.key=value`` strings, later ones win; the value is read as YAML.
        values: Dotted keys with what they are set to before the overrides, taken as it is: a string stays a string.

    Returns:
        The validated configuration.

    Raises:
        ConfigError: In one line: the file cannot be read, a key is unknown (with the nearest valid name), or a value
            has the wrong type or range.
    """
    try:
        tree = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected a mapping of keys to values, got {type(tree).__name__}")
    for key, value in (values or {}).items():
        _set(tree, key, value, source=key)
    for override in overrides:
        _apply_override(tree, override)
    return parse_config(model, tree, source=str(path))


def parse_config(model: type[ConfigT], values: Mapping[str, Any], *, source: str) -> ConfigT:
    """Validate a mapping; ``source`` names it in errors. Raises :class:`ConfigError` as :func:`load_config` does."""
    try:
        return model.model_validate(values)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{source}: {_explain(model, first)}") from None


def save_config(config: Config, path: Path) -> None:
    """Write the resolved configuration as YAML, every default spelled out."""
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    path.write_text(text, encoding="utf-8")


def _apply_override(tree: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"override {override!r}: expected key=value, as in train.steps=100")
    _set(tree, key.strip(), yaml.safe_load(text), source=f"override {override!r}")


def _set(tree: dict[str, Any], key: str, value: Any, *, source: str) -> None:
    """Set a dotted key. Sections on the way are copied: two keys of a file may share one (``a: &x {}``, ``b: *x``)."""
    *parents, last = key.split(".")
    for parent in parents:
        section = tree.get(parent, {})
        if not isinstance(section, dict):
            raise ConfigError(f"{source}: {parent} is a value, not a section")
        tree[parent] = dict(section)
        tree = tree[parent]
    tree[last] = value


def _explain(model: type[Config], error: Any) -> str:
    location = [str(part) for part in error["loc"]]
    key = ".".join(location)
    if error["type"] == "extra_forbidden":
        names = list(_section(model, location[:-1]).model_fields)
        near = difflib.get_close_matches(location[-1], names, n=1, cutoff=0.0)
        return f"unknown key {key}; the nearest valid name is {near[0]}" if near else f"unknown key {key}"
    if error["type"] == "missing":
        return f"{key} is missing"
    message = f"{key}: {error['msg'][0].lower()}{error['msg'][1:]}"
    # What a check of a whole section found is in its message; the section itself would hide it.
    return message if isinstance(error["input"], dict | Config) else f"{message}, got {error['input']!r}"


def _section(model: type[Config], location: Sequence[str]) -> type[Config]:
    """The configuration class of a nested section, looking through optional sections."""
    for part in location:
        field = model.model_fields.get(part)
        if field is None:
            continue
        candidates = (field.annotation, *typing.get_args(field.annotation))
        model = next((c for c in candidates if isinstance(c, type) and issubclass(c, Config)), model)
    return model
