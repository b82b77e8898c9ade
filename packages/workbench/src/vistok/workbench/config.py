"""Strict, typed configuration: YAML files and ``key=value`` overrides into pydantic models, errors in one line."""

import difflib
import stat
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import pydantic

from vistok.workbench.strict_yaml import StrictYAMLError, read_yaml

MOST_BYTES = 256 * 1024  # of a configuration file

#: A run's seed. With the step and the process mixed in (:func:`vistok.workbench.training.seeds.seed_step`) it stays
#: 64 bits.
Seed = Annotated[int, pydantic.Field(ge=0, lt=2**31)]

#: What networks compute in: ``"bf16"`` is autocast to bfloat16. YAML reads a bare ``no`` as false.
MixedPrecision = Annotated[
    Literal["no", "bf16"], pydantic.BeforeValidator(lambda value: "no" if value is False else value)
]

ConfigT = TypeVar("ConfigT", bound="Config")


class ConfigError(ValueError):
    """A configuration that cannot be used; the message is one line with the key, what was expected and what came.

    Whatever it was made from, the line is printable and shorter than 500 characters: what is too long loses its middle.
    """

    def __init__(self, message: str) -> None:
        super().__init__(_shown(message, 490))


class Config(pydantic.BaseModel):
    """Base of every configuration section: frozen, closed to unknown keys, with finite numbers only.

    YAML's ``true``, ``yes`` and ``on`` are no numbers, but where a setting may be a boolean, too.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)
    #: Settings that no result depends on, but for rounding: a run's records leave them out, and it goes on with others.
    switches: ClassVar[tuple[str, ...]] = ()

    @pydantic.model_validator(mode="before")
    @classmethod
    def _no_boolean_is_a_number(cls, values: Any) -> Any:
        for key, value in values.items() if isinstance(values, dict) else ():
            if (boolean := _boolean_in(value)) is not None and key in cls.model_fields:
                kinds = _named(cls.model_fields[key].annotation)
                if kinds & {int, float} and bool not in kinds:
                    raise _BooleanForNumber(f"{key}: expected a number, got {str(boolean).lower()}")
        return values

    @pydantic.model_serializer(mode="wrap")
    def _dumped(self, dump: pydantic.SerializerFunctionWrapHandler, info: pydantic.SerializationInfo) -> dict[str, Any]:
        values: dict[str, Any] = dump(self)
        recorded = info.context is not None and info.context.get("recorded")
        return {key: value for key, value in values.items() if not (recorded and key in self.switches)}

    def recorded(self) -> dict[str, Any]:
        """What a run's records hold of these settings, as JSON has it: all but the switches."""
        return self.model_dump(mode="json", context={"recorded": True})


class _BooleanForNumber(ValueError):
    """Told of a section, with the key within it."""


_ANYTHING: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(Any)


def default_values(config: Config) -> dict[str, Any]:
    """The defaults of a configuration's settings, in the shape of its JSON; settings without one are not there.

    Example:
        >>> class Section(Config):
        ...     width: int
        ...     depth: int = 3
        >>> default_values(Section(width=8))
        {'depth': 3}
    """
    found: dict[str, Any] = {}
    for name, info in type(config).model_fields.items():
        value = getattr(config, name)
        if name in config.switches:
            continue
        if isinstance(value, Config):
            found[name] = default_values(value)
        elif isinstance(value, Mapping):
            found[name] = {key: default_values(entry) for key, entry in value.items() if isinstance(entry, Config)}
        elif not info.is_required():
            found[name] = _ANYTHING.dump_python(info.get_default(call_default_factory=True), mode="json")
    return found


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
        path: A YAML file holding a mapping, read by :func:`vistok.workbench.strict_yaml.read_yaml`. Numbers may be
            written as YAML 1.1 strings, as in ``1e-4``.
        overrides: ``dotted.key=value`` strings, later ones win; the value is read as YAML.
        values: Dotted keys with what they are set to before the overrides, taken as it is: a string stays a string.

    Returns:
        The validated configuration.

    Raises:
        ConfigError: In one line: the file cannot be read, a key is unknown (with the nearest valid name) or given
            twice, or a value has the wrong type or range.
    """
    source = _shown(str(path), 160)
    tree = read_mapping(path)
    for key, value in (values or {}).items():
        _set(tree, key, value, source=key)
    apply_overrides(tree, overrides)
    return parse_config(model, tree, source=source)


def apply_overrides(tree: dict[str, Any], overrides: Sequence[str]) -> None:
    """Set what ``dotted.key=value`` strings say in a tree of sections, as :func:`load_config` does."""
    for override in overrides:
        _apply_override(tree, override)


def parse_config(model: type[ConfigT], values: Mapping[str, Any], *, source: str) -> ConfigT:
    """Validate a mapping; ``source`` names it in errors. Raises :class:`ConfigError` as :func:`load_config` does."""
    try:
        return model.model_validate(values)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{source}: {_explain(model, first)}") from None


def read_mapping(path: str | Path) -> dict[str, Any]:
    """What a YAML file holds, before anything is set or checked.

    Raises:
        ConfigError: In one line that begins with the path: the file cannot be read, or holds no mapping.
    """
    source = _shown(str(path), 160)
    tree = _parse(_read(Path(path), source), source)
    if not isinstance(tree, dict):
        got = "nothing" if tree is None else type(tree).__name__
        raise ConfigError(f"{source}: expected a mapping of keys to values, got {got}")
    return tree


def _read(path: Path, source: str) -> str:
    data = b""
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):  # opening a pipe or a device may wait, and reading it may not end
            with path.open("rb") as file:
                data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{source}: cannot be read ({error.strerror})") from None
    except ValueError as error:  # a path with a zero in it
        raise ConfigError(f"{source}: cannot be read ({error})") from None
    if not stat.S_ISREG(mode):
        raise ConfigError(
            f"{source}: expected a file, got {'a folder' if stat.S_ISDIR(mode) else 'a device or a pipe'}"
        )
    if len(data) > MOST_BYTES:
        raise ConfigError(f"{source}: expected at most {MOST_BYTES // 1024} KiB for a configuration, got more")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{source}: line {line}: expected UTF-8, got the byte {data[error.start]:#04x}") from None


def _parse(text: str, source: str) -> Any:
    try:
        return read_yaml(text)
    except StrictYAMLError as error:
        raise ConfigError(f"{source}: not valid YAML ({error})") from None


def _apply_override(tree: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    source = f"override {_shown(override, 160)!r}"
    if not equals or not key:
        raise ConfigError(f"{source}: expected key=value, as in train.steps=100")
    _set(tree, key.strip(), _parse(text, source), source=source)


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
    place = [str(part) for part in error["loc"]]
    if len(place) > 1 and place[-1] == "[key]" and error["type"] not in ("extra_forbidden", "missing"):
        place.pop()  # the validator's word for the name of an entry, which stands before it
    location, section, kinds = _find(model, place)
    key = _shown(".".join(location), 160)
    if error["type"] == "extra_forbidden":
        names = list(section.model_fields)
        near = difflib.get_close_matches(location[-1][:80], names, n=1, cutoff=0.0)
        return f"unknown key {key}; the nearest valid name is {near[0]}" if near else f"unknown key {key}"
    if error["type"] == "missing":
        return f"{key} is missing"
    if error["type"] == "union_tag_not_found":
        return f"{key}.kind is missing; expected one of {', '.join(kinds)}"
    if error["type"] == "union_tag_invalid":
        return f"{key}.kind: expected one of {', '.join(kinds)}, got {_shown(repr(error['ctx']['tag']), 120)}"
    if error["type"] == "value_error":  # one of ours, which says what came
        said = error["ctx"]["error"]
        between = "." if isinstance(said, _BooleanForNumber) else ": "
        return f"{key}{between if key else ''}{said}"
    message = f"{key}{': ' if key else ''}{error['msg'][0].lower()}{error['msg'][1:]}"
    # What a check of a whole section found is in its message; the section itself would hide it.
    if isinstance(error["input"], dict | Config):
        return message
    return f"{message}, got {_shown(repr(error['input']), 120)}"


def _shown(text: str, longest: int) -> str:
    """The text as one printable line, its middle left out where it is too long."""
    if len(text) > longest:
        text = f"{text[: longest // 2 - 3]} ... {text[-(longest // 2 - 3) :]}"
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return line if len(line) <= longest else _shown(line, longest)


def _find(model: type[Config], location: Sequence[str]) -> tuple[list[str], type[Config], list[str]]:
    """Where an error is, as dotted keys of the file, the class of the innermost section around it, and its kinds.

    Looks through optional sections, sections by name, and sections of several kinds: of those, the validator puts the
    kind into the location, and the file does not.
    """
    keys: list[str] = []
    annotation: Any = model
    for part in location:
        if typing.get_origin(annotation) is dict:
            keys.append(part)
            annotation = typing.get_args(annotation)[1]
            continue
        sections = _sections(annotation)
        if len(sections) > 1:
            annotation = next((section for section in sections if part in _kinds(section)), None)
            continue
        keys.append(part)
        if not sections:
            annotation = None
            continue
        (model,) = sections
        field = model.model_fields.get(part)
        annotation = None if field is None else field.annotation
    within = [] if typing.get_origin(annotation) is dict else _sections(annotation)
    if len(within) == 1:
        (model,) = within
    return keys, model, [kind for section in within for kind in _kinds(section)]


def _named(annotation: Any) -> set[Any]:
    """The classes that an annotation names, at any depth."""
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return {annotation}
    return {found for part in typing.get_args(annotation) for found in _named(part)}


def _boolean_in(value: Any) -> bool | None:
    """The first boolean that a value is or holds; pydantic reads them as 0 and 1, and so as numbers."""
    if isinstance(value, bool):
        return value
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return next((found for part in parts if (found := _boolean_in(part)) is not None), None)


def _sections(annotation: Any) -> list[type[Config]]:
    """All configuration classes within an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return [annotation]
    return [found for part in typing.get_args(annotation) for found in _sections(part)]


def _kinds(model: type[Config]) -> tuple[str, ...]:
    field = model.model_fields.get("kind")
    return () if field is None else typing.get_args(field.annotation)
