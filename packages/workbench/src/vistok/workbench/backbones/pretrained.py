"""Networks as folders: saved whole with a checksum, loaded strictly, from a folder or from the hub."""

import difflib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pydantic
from huggingface_hub import PyTorchModelHubMixin, hf_hub_download
from torch import Tensor, nn

from vistok.workbench.backbones.weights import tensor_problem
from vistok.workbench.run.files import DamagedFileError, read_json, write_atomically, written_aside
from vistok.workbench.run.tensor_files import load_tensors, save_tensors, tensor_metadata

CONFIG, WEIGHTS = "config.json", "model.safetensors"
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_SHOWN = 8


_ModelT = TypeVar("_ModelT", bound="Pretrained")

_CARD = """---
{{ card_data }}
---

# {{ network }}

An image tokenizer of vistok, `{{ module }}.{{ network }}`, of {{ parameters }} parameters. `config.json` holds the
arguments that it is made with, `model.safetensors` the weights, a checksum and a copy of the arguments.

```python
from {{ module }} import {{ network }}

tokenizer = {{ network }}.from_pretrained("this folder, or its name on the hub")
```

How it was trained and how good it is: in the run that it comes from, and on the card that `export-pipeline` writes.
"""


class Pretrained(PyTorchModelHubMixin, model_card_template=_CARD):
    """``save_pretrained`` and ``from_pretrained`` of a network, in the files of huggingface_hub's mixin.

    The weights' file carries a checksum and a copy of the configuration, so that damage, or a configuration that was
    changed afterwards, is told and never loaded. Loading is strict: every tensor by its name, shape and kind.
    """

    _hub_mixin_config: Any
    _hub_mixin_init_parameters: dict[str, Any]

    def save_pretrained(  # type: ignore[override]  # what only uploading needs is given to push_to_hub
        self,
        save_directory: str | Path,
        *,
        config: Any = None,
        state_dict: Mapping[str, Tensor] | None = None,
        repo_id: str | None = None,
        push_to_hub: bool = False,
        model_card_kwargs: dict[str, Any] | None = None,
    ) -> str | None:
        """Write ``model.safetensors``, ``config.json`` and a model card, each whole or not at all.

        Args:
            save_directory: The folder.
            config: What ``config.json`` holds; by default the arguments that the network was made with.
            state_dict: The weights, in place of the network's own, such as those gathered from processes that share it.
            repo_id: With ``push_to_hub``, where to; the folder's name by default.
            push_to_hub: Upload it too.
            model_card_kwargs: For the model card.

        Raises:
            NoSpaceError: The device is full; what the folder held is untouched.
        """
        folder = Path(save_directory)
        text = json.dumps(self._hub_mixin_config if config is None else config, sort_keys=True, indent=2)
        module: Any = self
        with written_aside(folder / CONFIG, size=len(text)) as file:  # it takes its place after the weights took theirs
            file.write(text.encode())
            weights = module.state_dict() if state_dict is None else state_dict
            save_tensors(folder / WEIGHTS, weights, {"format": "pt", "config": text})
        if not (folder / "README.md").exists():
            facts = {
                "network": type(self).__name__,
                "module": type(self).__module__,
                "parameters": f"{sum(p.numel() for p in module.parameters()):,}",
            }
            write_atomically(folder / "README.md", str(self.generate_model_card(**facts | (model_card_kwargs or {}))))
        if not push_to_hub:
            return None
        return self.push_to_hub(repo_id or folder.name, model_card_kwargs=model_card_kwargs)

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls: type[_ModelT],
        pretrained_model_name_or_path: str | Path,
        *,
        given: Mapping[str, Any] | None = None,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
    ) -> _ModelT:
        """Make the network of a folder (or of a model on the hub) and fill it; in evaluation mode.

        Args:
            pretrained_model_name_or_path: A folder, or ``organisation/name``. A ``Path``, what is no such name, or what
                begins with a folder that exists is a path and never goes to the hub.
            given: Arguments of the network in place of the saved ones.
            revision: Of the hub; so are the next four.
            token: For private models.
            cache_dir: Where downloads are kept.
            force_download: Download again.
            local_files_only: Take only what was downloaded before.

        Raises:
            FileNotFoundError: There is no such folder, or it lacks a file.
            DamagedFileError: A file is damaged, or a tensor or an argument is missing, unknown or unfit; all in one
                line, with the file and the names.
        """
        found: Any = pretrained_model_name_or_path
        if Path(found).is_dir():
            config_file, weights = Path(found) / CONFIG, Path(found) / WEIGHTS
        else:
            hub: dict[str, Any] = {"revision": revision, "token": token, "cache_dir": cache_dir}
            hub |= {"force_download": force_download, "local_files_only": local_files_only}
            config_file, weights = (_download(found, name, hub) for name in (CONFIG, WEIGHTS))
        arguments = cls._arguments(config_file, weights, given or {})
        try:
            model: Any = cls(**arguments)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{config_file}: {error}") from error
        load_module(model, weights)
        model.eval()
        return model  # type: ignore[no-any-return]

    @classmethod
    def _arguments(cls, config_file: Path, weights: Path, given: Mapping[str, Any]) -> dict[str, Any]:
        """The network's arguments: those given, and the others from the configuration, checked against its copy."""
        copy = tensor_metadata(weights).get("config")
        if copy is not None and not config_file.exists():
            values: Any = json.loads(copy)
        else:
            values = read_json(config_file)
        changed = sorted(_differences(json.loads(copy), values)) if copy is not None else []
        if changed:
            raise DamagedFileError(
                f"{config_file}: is not what the weights were saved with: {'; '.join(changed[:_SHOWN])}"
            )
        known = [name for name in cls._hub_mixin_init_parameters if name != "self"]
        for key in values:
            if key not in known:
                raise DamagedFileError(f"{config_file}: unknown key {key!r}; expected {', '.join(known)}")
        arguments = dict(given)
        for key in values.keys() - given.keys():
            try:
                arguments[key] = cls._decode_arg(cls._hub_mixin_init_parameters[key].annotation, values[key])
            except pydantic.ValidationError as error:
                first = error.errors()[0]
                place = ".".join(map(str, (key, *first["loc"])))
                raise DamagedFileError(f"{config_file}: {place}: {first['msg']}") from None
            except (TypeError, ValueError) as error:
                raise DamagedFileError(f"{config_file}: {key}: expected what was saved, got {values[key]!r}") from error
        return arguments


def load_module(module: nn.Module, path: Path) -> None:
    """Fill a network from a safetensors file, strictly.

    Raises:
        FileNotFoundError: There is no such file.
        DamagedFileError: The file is damaged, or tensors are missing, unknown, of another shape or kind, or not finite;
            in one line with their names. The network is unchanged then.
    """
    state, target = load_tensors(path), module.state_dict()
    problems = [f"{name}: missing{_close(name, state, target)}" for name in target if name not in state]
    problems += [f"{name}: unknown" for name in state if name not in target]
    for name in state.keys() & target.keys():
        ours, theirs = target[name], state[name]
        if ours.shape != theirs.shape:
            problems.append(f"{name}: expected shape {tuple(ours.shape)}, got {tuple(theirs.shape)}")
        elif ours.is_floating_point() != theirs.is_floating_point():
            problems.append(f"{name}: expected {ours.dtype}, got {theirs.dtype}")
        elif problem := tensor_problem(theirs):
            problems.append(f"{name}: {problem}")
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise DamagedFileError(f"{path}: does not fit the network: {'; '.join(sorted(problems)[:_SHOWN])}{more}")
    module.load_state_dict(state)


def _close(name: str, state: Mapping[str, Any], target: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, state.keys() - target.keys(), n=1)
    return f" (renamed to {near[0]}?)" if near else ""


def _differences(saved: Any, found: Any, place: str = "") -> list[str]:
    """The entries in which two JSON values differ, as ``key is X, was Y``."""
    if not isinstance(saved, dict) or not isinstance(found, dict):
        return [] if saved == found else [f"{place or 'all'} is {found!r}, was {saved!r}"[:200]]
    lists = (
        _differences(saved.get(key), found.get(key), f"{place}.{key}" if place else str(key))
        for key in saved.keys() | found.keys()
    )
    return [line for lines in lists for line in lines]


def _download(name: str | Path, file: str, options: Mapping[str, Any]) -> Path:
    return from_hub(name, lambda model: hf_hub_download(repo_id=model, filename=file, **options), missing=f"no {file}")


def from_hub(name: str | Path, download: Callable[[str], str], *, missing: str) -> Path:
    """What is downloaded of a model on the hub; or one line that says why there is none.

    Args:
        name: ``organisation/name``. A ``Path``, no such name, or what begins with a folder that exists is a path.
        download: Of a model by its name, to the place where it is then.
        missing: What the hub gave where it failed, in words.

    Raises:
        FileNotFoundError: It is a path, or the hub failed.
    """
    text = str(name)
    if isinstance(name, Path) or not _REPOSITORY.fullmatch(text) or Path(text.split("/")[0]).is_dir():
        raise FileNotFoundError(f"{text}: no such folder")
    try:
        return Path(download(text))
    except Exception as error:  # the client's own errors, and those of whatever it downloads with
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise FileNotFoundError(f"{text}: no folder here, and the hub gave {missing} ({reason})") from error
