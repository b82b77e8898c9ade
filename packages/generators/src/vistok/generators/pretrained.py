"""Generators as folders: saved whole, loaded strictly, from a folder or from the hub."""

import dataclasses
import importlib
import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from torch import Tensor

from vistok.generators._card import GeneratorCard
from vistok.generators._renaming import load_renamed

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
_COMPILED = "_orig_mod."  # what torch.compile puts before the names of a block that it wraps
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


class PretrainedGenerator:
    """``save_pretrained``, ``push_to_hub`` and ``from_pretrained`` of a generator; needs the extra ``hub``.

    A folder holds ``config.json`` (the arguments that the network is made with), ``model.safetensors`` (the weights and
    a copy of the arguments) and ``README.md`` (the model card).

    Example:
        >>> from vistok.generators import FAR
        >>> FAR.from_pretrained("no/such/folder")
        Traceback (most recent call last):
        FileNotFoundError: no/such/folder: no such folder
    """

    card: ClassVar[GeneratorCard]
    parts: ClassVar[tuple[type, ...]]  # the classes of arguments that are more than a number

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments that make a network of the same shape."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it is made with")

    def save_pretrained(
        self, folder: str | Path, *, licence: str | None = None, state_dict: Mapping[str, Tensor] | None = None
    ) -> None:
        """Write the folder; what it held is replaced file by file, each whole, but for a card that is there.

        Args:
            folder: Made where it is missing.
            licence: Of the weights, for the card, by its name on the hub, such as ``apache-2.0``.
            state_dict: The weights, in place of the network's own, such as those gathered from processes that share it.

        Raises:
            ImportError: safetensors is not installed.
        """
        save = _imported("safetensors.torch").save_file
        folder, module = Path(folder), self
        arguments = {"class": type(self).__name__, **_plain(self.arguments)}
        weights = module.state_dict() if state_dict is None else state_dict  # type: ignore[attr-defined]
        tensors = {name.replace(_COMPILED, ""): tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
        text = json.dumps(arguments, indent=2)
        folder.mkdir(parents=True, exist_ok=True)
        aside = folder / f".{WEIGHTS}.part"
        save(tensors, aside, {"format": "pt", "config": text})
        aside.replace(folder / WEIGHTS)
        _write(folder / CONFIG, text)
        if not (folder / CARD).exists():
            count = sum(p.numel() for p in module.parameters())  # type: ignore[attr-defined]
            _write(folder / CARD, self.card.text(type(self).__name__, _module(type(self)), count, arguments, licence))

    def push_to_hub(
        self, repo_id: str, *, licence: str | None = None, private: bool | None = None, token: str | None = None
    ) -> str:
        """Upload what :meth:`save_pretrained` writes as the model ``organisation/name``; made where there is none.

        Args:
            repo_id: The model.
            licence: As in :meth:`save_pretrained`.
            private: Whether a model that is made is private; by default as the organisation has it.
            token: Of the hub; by default the one that was saved by ``hf auth login``.

        Returns:
            The address of the upload.

        Raises:
            ImportError: huggingface_hub or safetensors is not installed.
        """
        api = _imported("huggingface_hub").HfApi(token=token)
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder, licence=licence)
            api.create_repo(repo_id, private=private, exist_ok=True)
            return str(api.upload_folder(repo_id=repo_id, folder_path=folder))

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        given: Mapping[str, Any] | None = None,
        revision: str | None = None,
        token: str | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
    ) -> Self:
        """Make the network of a folder (or of a model on the hub) and fill it; float32, in evaluation mode.

        Args:
            source: A folder, or ``organisation/name``. A ``Path``, what is no such name, or what begins with a folder
                that exists is a path and never goes to the hub.
            given: Arguments of the network in place of the saved ones, such as other ``options``.
            revision: Of the hub; so are the next three.
            token: For private models.
            cache_dir: Where downloads are kept.
            local_files_only: Take only what was downloaded before.

        Raises:
            FileNotFoundError: There is no such folder, it lacks a file, or the hub gave none.
            ValueError: A file is damaged, of another kind of generator, or does not fit; in one line.
            ImportError: safetensors, or for the hub huggingface_hub, is not installed.
        """
        if Path(source).is_dir():
            config, weights = Path(source) / CONFIG, Path(source) / WEIGHTS
        else:
            hub = {"revision": revision, "token": token, "cache_dir": cache_dir, "local_files_only": local_files_only}
            config, weights = (_download(source, name, hub) for name in (CONFIG, WEIGHTS))
        state, copy = _read_weights(weights)
        arguments = {**cls._decoded(config, copy), **(given or {})}
        try:
            model = cls(**arguments)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{config}: {_line(error)}") from error
        try:
            load_renamed(model, state, ((".*", r"\g<0>"),), "", ())  # type: ignore[arg-type]
        except ValueError as error:
            raise ValueError(f"{weights}: {error}") from error
        return model.eval()  # type: ignore[attr-defined, no-any-return]

    @classmethod
    def _decoded(cls, file: Path, copy: str | None) -> dict[str, Any]:
        """The arguments of a configuration, which must be the one that the weights were saved with."""
        text = copy if copy is not None and not file.exists() else _read_text(file)
        try:
            values = json.loads(text)
            saved = json.loads(copy or text)
            kind = values.pop("class")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{file}: no configuration of a generator ({_line(error)})") from error
        if kind != cls.__name__:
            raise ValueError(f"{file}: holds {kind}, expected {cls.__name__}")
        changed = [key for key in values.keys() | saved.keys() - {"class"} if values.get(key) != saved.get(key)]
        if changed:
            raise ValueError(f"{file}: is not what the weights were saved with, other {', '.join(sorted(changed))}")
        try:
            return {key: _part(value, cls.parts) for key, value in values.items()}
        except (TypeError, ValueError) as error:
            raise ValueError(f"{file}: {_line(error)}") from error


def _plain(value: Any) -> Any:
    """As JSON holds it; a data class becomes its fields and its ``type``, a number of numpy one of Python."""
    if dataclasses.is_dataclass(value):
        fields = {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"type": type(value).__name__, **fields}
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return value.item() if hasattr(value, "item") else value  # numpy's have it; numpy itself is not needed here


def _part(value: Any, parts: tuple[type, ...]) -> Any:
    """The inverse of :func:`_plain`, with tuples for lists."""
    if isinstance(value, list):
        return tuple(_part(each, parts) for each in value)
    if not isinstance(value, dict):
        return value
    known = {part.__name__: part for part in parts}
    fields = {key: _part(each, parts) for key, each in value.items() if key != "type"}
    if value.get("type") not in known:
        raise ValueError(f"type: expected one of {', '.join(known)}, got {value.get('type')!r}")
    return known[value["type"]](**fields)


def _module(kind: type) -> str:
    """Where it is imported from: ours are public in the package."""
    return "vistok.generators" if kind.__module__.startswith("vistok.generators.") else kind.__module__


def _write(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name}.part")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


def _read_text(path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: damaged or no JSON ({_line(error)})") from error


def _read_weights(path: Path) -> tuple[dict[str, Tensor], str | None]:
    """The tensors of a file, and the configuration that it carries."""
    safetensors = _imported("safetensors")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, (file.metadata() or {}).get("config")  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise ValueError(f"{path}: damaged or no safetensors file ({_line(error)})") from error


def _download(source: str | Path, file: str, hub: Mapping[str, Any]) -> Path:
    """Where the file of a model on the hub is after its download."""
    name = str(source)
    if isinstance(source, Path) or not _REPOSITORY.fullmatch(name) or Path(name.split("/")[0]).is_dir():
        raise FileNotFoundError(f"{name}: no such folder")
    download = _imported("huggingface_hub").hf_hub_download
    try:
        return Path(download(repo_id=name, filename=file, **hub))
    except Exception as error:  # the client's own errors, and those of whatever it downloads with
        fetched = f"fetch {CONFIG} and {WEIGHTS} from https://huggingface.co/{name} into a folder and name that"
        raise FileNotFoundError(
            f"{name}: no folder here, and the hub gave no {file} ({_line(error)}); {fetched}"
        ) from error


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise ImportError(f"generators as folders need {package}: pip install 'vistok-generators[hub]'") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
