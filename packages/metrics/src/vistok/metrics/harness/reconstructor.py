"""How any tokenizer reconstructs: from 8-bit images to 8-bit images and, where there are any, tokens."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from vistok.metrics.harness.held import held_modules
from vistok.metrics.pixels import from_uint8, to_uint8

_LARGEST_SEED = 1 << 63
_COLOURS = 3


class Reconstruction(NamedTuple):
    """What a tokenizer makes of images.

    Attributes:
        images: ``(B, C, H, W)``, uint8, on the CPU.
        tokens: One tensor ``(B, ...)`` of int64 for each codebook, on the CPU; none where the code is not discrete.
        uncounted: Why there are no tokens, though the code is neither continuous nor kept to itself; else empty.
    """

    images: Tensor
    tokens: tuple[Tensor, ...]
    uncounted: str = ""


@torch.no_grad()
def reconstruct(tokenizer: Any, images: Tensor, *, seed: int = 0) -> Reconstruction:
    """Reconstruct a batch with a tokenizer of any origin.

    It is asked, on its own device and with images in ``[-1, 1]`` of its weights' dtype, for ``decode(encode(images))``,
    or where it has no such pair for ``reconstruct(images)``. Of what an encoder returns, the mode of ``latent_dist``
    and ``latents`` are understood, of what a decoder returns ``sample``: diffusers' autoencoders need no adapter.
    Networks, the tokenizer itself or those that it holds, are in evaluation mode for the call, and each of their
    modules in the one that it was in afterwards; the first weights tell the device and the dtype. An object without
    any may have a ``device``.

    Args:
        tokenizer: Any object with these methods.
        images: ``(B, C, H, W)``, uint8.
        seed: Of the default random generators during the call, for decoders that draw; the state of the CPU's and of
            the tokenizer's GPU's is put back.

    Raises:
        TypeError: The tokenizer has none of these methods, or gives something else than a tensor.
        ValueError: Images are not uint8 ``(B, C, H, W)``, or such that the tokenizer cannot take them (channels, sides,
            memory), with what gives one channel where it takes such; the reconstruction has another shape, or values
            that are not finite or cannot be meant as ``[-1, 1]``.

    Example:
        >>> class Coarse:
        ...     def encode(self, images): return (images > 0).long()
        ...     def decode(self, tokens): return tokens * 2.0 - 1.0
        >>> made = reconstruct(Coarse(), torch.tensor([[[[100, 200]]]], dtype=torch.uint8))
        >>> made.images.tolist(), made.tokens[0].tolist()
        ([[[[0, 255]]]], [[[[0, 1]]]])
    """
    if images.dtype != torch.uint8 or images.ndim != 4:
        raise ValueError(f"images must be uint8 (B, C, H, W), got {images.dtype} {tuple(images.shape)}")
    networks = held_modules(tokenizer)
    given = _given(tokenizer, networks, from_uint8(images))
    gpus = [given.device] if given.is_cuda else []  # without a list PyTorch keeps the state of all, and warns of it
    with torch.random.fork_rng(gpus), _evaluating(networks):
        torch.manual_seed(seed % _LARGEST_SEED)
        made, code = _through(tokenizer, given)
    if not isinstance(made, Tensor):
        raise TypeError(f"{_name(tokenizer)} must give a tensor of images, got {type(made).__name__}")
    if made.shape != given.shape:
        raise ValueError(f"{_name(tokenizer)} must give images of {tuple(given.shape)}, got {tuple(made.shape)}")
    if not bool(torch.isfinite(made).all()):
        raise ValueError(f"{_name(tokenizer)} must give finite images, got NaN or infinity")
    return Reconstruction(to_uint8(made.float()).cpu(), *_tokens(code))


@contextmanager
def _evaluating(networks: Sequence[nn.Module]) -> Iterator[None]:
    """Networks in evaluation mode; afterwards each of their modules is in the mode that it was in."""
    modes = [(module, module.training) for network in networks for module in network.modules()]
    try:
        for network in networks:
            network.eval()
        yield
    finally:
        for module, training in modes:
            module.training = training


def _through(tokenizer: Any, images: Tensor) -> tuple[Any, Any]:
    """What it makes of images, and the code between; what PyTorch says against such images in one line."""
    try:
        return _made(tokenizer, images)
    except RuntimeError as error:
        why, given = str(error).partition("\n")[0], f"{tuple(images.shape)} {images.dtype}"
        advice = "" if isinstance(error, torch.OutOfMemoryError) else _advice(tokenizer, images)
        raise ValueError(f"{_name(tokenizer)} cannot take images {given}: {why}{advice}") from error
    except ValueError as error:
        advice = _advice(tokenizer, images)
        if not advice:
            raise
        raise ValueError(f"{error}{advice}") from error


def _advice(tokenizer: Any, images: Tensor) -> str:
    """How a tokenizer of grey images, which refused these in colour, gets such; empty where it is none."""
    if images.shape[1] != _COLOURS:
        return ""
    try:
        _made(tokenizer, images[:, :1])
    except Exception:  # it refuses other things, too: what it says of these images stands alone
        return ""
    return "; it takes images of one channel, which --grey (in Python GreyImages) gives"


def _made(tokenizer: Any, images: Tensor) -> tuple[Any, Any]:
    """What it makes of images, and the code between; of one that keeps its code to itself no parts."""
    if callable(getattr(tokenizer, "encode", None)) and callable(getattr(tokenizer, "decode", None)):
        code = _code(tokenizer.encode(images))
        decoded = tokenizer.decode(code)
        return getattr(decoded, "sample", decoded), code
    if callable(getattr(tokenizer, "reconstruct", None)):
        return tokenizer.reconstruct(images), ()
    raise TypeError(f"a tokenizer must have encode and decode, or reconstruct; {_name(tokenizer)} has neither")


def _code(encoded: Any) -> Any:
    """What the decoder takes of what the encoder gave."""
    if hasattr(encoded, "latent_dist"):
        return encoded.latent_dist.mode()
    return encoded.latents if hasattr(encoded, "latents") else encoded


def _tokens(code: Any) -> tuple[tuple[Tensor, ...], str]:
    """The tokens of a code, and why there are none where nobody would expect that."""
    parts = code if isinstance(code, tuple | list) else (code,)
    if all(isinstance(part, Tensor) and _is_integer(part) for part in parts):
        return tuple(part.long().cpu() for part in parts), ""
    if all(isinstance(part, Tensor) and part.is_floating_point() for part in parts):
        return (), ""
    kinds = ", ".join(str(part.dtype) if isinstance(part, Tensor) else type(part).__name__ for part in parts)
    return (), f"encode: expected a tensor of integers, or a tuple or list of such, to be counted, got {kinds}"


def _is_integer(tensor: Tensor) -> bool:
    return not (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool)


def _given(tokenizer: Any, networks: Sequence[nn.Module], images: Tensor) -> Tensor:
    """Images where the tokenizer's weights are and in their dtype, that of the first ones of floating point."""
    tensors = [tensor for network in networks for tensor in (*network.parameters(), *network.buffers())]
    dtype = next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), images.dtype)
    return images.to(tensors[0].device if tensors else getattr(tokenizer, "device", "cpu"), dtype)


def _name(tokenizer: Any) -> str:
    return type(tokenizer).__name__
