"""Tensors in safetensors files that carry a checksum: damage is told, never loaded; or mapped, for what is large."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vistok.workbench.run.files import DamagedFileError, read_json, written_aside

logger = logging.getLogger(__name__)

MADE_OF = "made of"
"""In a file's metadata: what its content follows from."""

_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.uint16: "U16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_MAPPED = {"I64": "<i8", "I32": "<i4", "I16": "<i2", "U16": "<u2", "I8": "<i1", "U8": "<u1"}
# The digest covers the whole file with zeros in the digest's own place, which is always the same one.
_KEY = "vistok-sha256"
_BEFORE_DIGEST = f'{{"__metadata__":{{"{_KEY}":"'.encode()
_DIGEST_AT = 8 + len(_BEFORE_DIGEST)
_ZEROS = b"0" * 64
_CHUNK = 1 << 20


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors of any layout and device as safetensors, atomically, with a checksum in the file's metadata.

    Args:
        path: The file.
        tensors: What it holds.
        metadata: Further entries of the file's metadata.

    Raises:
        TypeError: Something is not a dense tensor of a dtype that files can hold.
        NoSpaceError: The device is full; the file that was there is untouched.
    """
    order = sorted(tensors, key=lambda name: (-_itemsize(name, tensors[name]), name))
    header, end = _header(order, tensors, metadata or {})
    with written_aside(path, size=len(header) + end) as file:
        digest = hashlib.sha256(header)
        file.write(header)
        for name in order:
            data = tensors[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
            file.write(data)
            digest.update(data)
        file.seek(_DIGEST_AT)
        file.write(digest.hexdigest().encode())


def load_tensors(path: Path, *names: str) -> dict[str, Tensor]:
    """Read what :func:`save_tensors` or anybody else wrote; a checksum is checked where the file carries one.

    Args:
        path: The file.
        names: The entries to read; all of them if none is named.

    Raises:
        FileNotFoundError: There is no such file.
        DamagedFileError: The file is cut off or changed, or lacks one of ``names``; the message names the file.
    """
    _verify(path)
    try:
        with safe_open(path, framework="pt") as file:
            held = list(file.keys())
            missing = [name for name in names if name not in held]
            if missing:
                raise DamagedFileError(f"{path}: has no {', '.join(missing)}; it has {', '.join(held) or 'nothing'}")
            return {name: file.get_tensor(name) for name in names or held}
    except (SafetensorError, OSError) as error:
        raise DamagedFileError(f"{path}: damaged or no safetensors file ({_first_line(error)})") from error


def map_tensors(path: Path) -> dict[str, np.ndarray]:
    """The integers of a file, read from the disk where they are touched; nothing else of it is.

    The file must be as long as its header says. Its checksum is **not** looked at: that would read all of it.

    Raises:
        FileNotFoundError: There is no such file.
        DamagedFileError: The file is cut off, no safetensors file, or holds something else than integers.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        data = np.memmap(path, dtype=np.uint8, mode="r").view(np.ndarray)
        begin = 8 + int.from_bytes(data[:8].tobytes(), "little")
        entries = json.loads(data[8:begin].tobytes())
        entries.pop("__metadata__", None)
        ends = [entry["data_offsets"][1] for entry in entries.values()]
        if begin + max(ends) != len(data):
            raise ValueError(f"expected {begin + max(ends)} bytes, got {len(data)}")
        return {
            name: data[begin + first : begin + end].view(_MAPPED[entry["dtype"]]).reshape(entry["shape"])
            for name, entry in entries.items()
            for first, end in [entry["data_offsets"]]
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedFileError(f"{path}: damaged or no safetensors file of integers ({_first_line(error)})") from error


def tensor_metadata(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file. Raises as :func:`load_tensors` does."""
    _verify(path)
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise DamagedFileError(f"{path}: damaged or no safetensors file ({_first_line(error)})") from error


def is_made_of(path: Path, what: str) -> bool:
    """Whether a file is there and whole, and its metadata say under :data:`MADE_OF` what is expected."""
    try:
        return tensor_metadata(path).get(MADE_OF) == what
    except (FileNotFoundError, DamagedFileError):
        return False


def is_whole(path: Path) -> bool:
    """Whether a file is there and not cut off or changed, as far as its kind shows it; what is not is logged.

    Safetensors are held against their checksum and their own header, JSON is parsed.
    """
    if not path.is_file():
        return False
    try:
        if path.suffix == ".safetensors":
            tensor_metadata(path)
        elif path.suffix == ".json":
            read_json(path)
    except DamagedFileError as error:
        logger.warning("%s", error)
        return False
    return True


def _verify(path: Path) -> None:
    """Compare the file with its checksum, if it carries one."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    with path.open("rb") as file:
        start = file.read(_DIGEST_AT + len(_ZEROS))
        if _KEY.encode() not in start + file.read(_CHUNK):  # it is there twice
            return
        digest = hashlib.sha256(start[:_DIGEST_AT] + _ZEROS)
        file.seek(len(start))
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    if start[8:_DIGEST_AT] != _BEFORE_DIGEST or digest.hexdigest().encode() != start[_DIGEST_AT:]:
        raise DamagedFileError(f"{path}: damaged, its content does not match its checksum")


def _header(order: Sequence[str], tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> tuple[bytes, int]:
    """The length and the JSON in front of the data, with zeros for the digest; and the size of the data."""
    signed = {_KEY: _ZEROS.decode(), "signed": _KEY}
    entries: dict[str, Any] = {"__metadata__": {**signed, **{k: v for k, v in metadata.items() if k not in signed}}}
    end = 0
    for name in order:
        tensor = tensors[name]
        begin, end = end, end + tensor.numel() * tensor.element_size()
        entries[name] = {"dtype": _DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text, end


def _itemsize(name: str, tensor: Any) -> int:
    if not isinstance(tensor, Tensor) or tensor.layout != torch.strided or tensor.dtype not in _DTYPES:
        got = f"{tensor.layout}, {tensor.dtype}" if isinstance(tensor, Tensor) else type(tensor).__name__
        raise TypeError(f"{name}: expected a dense tensor of a real dtype, got {got}")
    return tensor.element_size()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
