"""Networks as they run on a CUDA card, where there is none: the paths they take there, and its mixed precision."""

import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

META = torch.device("meta")
_CUDA = torch.device("cuda")
_DEVICE = Tensor.device.__get__
_YES, _NO = Tensor.is_cuda.__get__, (Tensor.is_meta.__get__, Tensor.is_cpu.__get__)  # type: ignore[attr-defined]

#: What autocast on CUDA computes in bfloat16, and what in float32, by the names of torch's functions.
_LOWER = {
    *("linear", "bilinear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
    *("matmul", "__matmul__", "__rmatmul__", "mm", "mv", "bmm", "addmm", "addmv", "addbmm", "baddbmm", "einsum"),
    *("chain_matmul", "multi_dot", "prelu", "scaled_dot_product_attention"),
}
_FLOAT32 = {
    *("layer_norm", "group_norm", "norm", "cosine_similarity", "cdist", "dist", "renorm", "logsumexp"),
    *("softmax", "log_softmax", "softmin", "softplus", "exp", "expm1", "log", "log10", "log1p", "log2", "reciprocal"),
    *("rsqrt", "pow", "__pow__", "__rpow__", "sum", "prod", "cumsum", "cumprod", "mse_loss", "l1_loss"),
    *("smooth_l1_loss", "huber_loss", "nll_loss", "cross_entropy", "kl_div", "binary_cross_entropy_with_logits"),
}


class PretendedCuda(TorchFunctionMode):
    """Within the block tensors of a device say that they are on CUDA, and what is made on CUDA is made there.

    Only torch itself is told the truth. So a network takes the paths that it takes on a card: no check that would wait
    for a value, no kernels made for the CPU. Attention and dropout keep what the fused kernels keep,
    but where ``sdpa_kernel`` forbids those, as a derivative forward does.
    A copy from the meta device to the CPU that nobody waits for arrives, as ones; what asks for a value fails.

    Args:
        real: Where the tensors are: the meta device, to count, or the CPU, to measure the same step with values.
    """

    def __init__(self, real: torch.device = META) -> None:
        super().__init__()
        self.real = real
        self._casts: dict[int, tuple[Tensor, Tensor]] = {}

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Answer for CUDA, or do what is asked on the real device."""
        kwargs = dict(kwargs or {})
        if function in (_DEVICE, _YES, *_NO):
            return self._answer(function, args[0])
        if function is Tensor.pin_memory:
            return args[0]
        if function is Tensor.to and args[1:] == ("cpu",) and kwargs.get("non_blocking") and _DEVICE(args[0]) == META:
            return torch.ones(args[0].shape, dtype=args[0].dtype)
        args = tuple(self._placed(arg) for arg in args)
        if "device" in kwargs:
            kwargs["device"] = self._placed(kwargs["device"])
        name = getattr(function, "__name__", "")
        if torch.is_autocast_enabled("cuda"):
            args, kwargs = self._cast(name, args, kwargs)
        if function is F.dropout:
            return _dropout(*args, **kwargs)
        if function is F.scaled_dot_product_attention and torch.backends.cuda.mem_efficient_sdp_enabled():
            return _fused_attention(*args, **kwargs)
        return function(*args, **kwargs)

    @contextlib.contextmanager
    def bfloat16(self) -> Iterator[None]:
        """What ``torch.autocast("cuda", torch.bfloat16)`` does: each weight is converted once within the block."""
        before = torch.is_autocast_enabled("cuda")
        torch.set_autocast_enabled("cuda", True)
        try:
            yield
        finally:
            torch.set_autocast_enabled("cuda", before)
            self._casts.clear()

    def __enter__(self) -> "PretendedCuda":
        """Begin; torch need not warn that there is no CUDA."""
        self._silence = warnings.catch_warnings()
        self._silence.__enter__()
        warnings.filterwarnings("ignore", message=".*CUDA is not available.*")
        return super().__enter__()  # type: ignore[no-any-return]

    def __exit__(self, *error: Any) -> None:
        """End."""
        super().__exit__(*error)
        self._silence.__exit__(*error)

    def _answer(self, function: Any, tensor: Tensor) -> Any:
        asked_by_torch = sys._getframe(2).f_globals.get("__name__", "").startswith("torch.")
        if asked_by_torch or _DEVICE(tensor).type != self.real.type:
            return function(tensor)
        return _CUDA if function == _DEVICE else function == _YES

    def _placed(self, value: Any) -> Any:
        on_cuda = isinstance(value, torch.device | str) and str(value).partition(":")[0] == "cuda"
        return self.real if on_cuda else value

    def _cast(self, name: str, args: Any, kwargs: Any) -> tuple[Any, Any]:
        dtype = torch.bfloat16 if name in _LOWER else torch.float32 if name in _FLOAT32 else None
        if dtype is None:
            return args, kwargs

        def cast(value: Any) -> Any:
            if isinstance(value, list | tuple):
                return type(value)(cast(one) for one in value) if type(value) in (list, tuple) else value
            if not isinstance(value, Tensor) or value.dtype not in (torch.float32, torch.bfloat16, torch.float16):
                return value
            return self._converted(value, dtype)

        return tuple(cast(arg) for arg in args), {key: cast(value) for key, value in kwargs.items()}

    def _converted(self, tensor: Tensor, dtype: torch.dtype) -> Tensor:
        if tensor.dtype == dtype:
            return tensor
        if not (tensor.is_leaf and tensor.requires_grad):
            return tensor.to(dtype)
        if id(tensor) not in self._casts:
            self._casts[id(tensor)] = (tensor, tensor.to(dtype))
        return self._casts[id(tensor)][1]


def _dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout by the kernel that keeps a mask of bytes; F.dropout's arguments by their names."""
    return torch.native_dropout(input, p, training)[0] if training and p else input


def _fused_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """Attention by the kernel that keeps no matrix of weights: of any precision, with a mask or without."""
    bias = None
    if attn_mask is not None:
        bias = attn_mask.to(query.dtype).expand(*query.shape[:-1], key.shape[-2])
    attend = torch.ops.aten
    out: Tensor
    if _DEVICE(query) == META:
        kept = torch.is_grad_enabled()
        efficient = attend._scaled_dot_product_efficient_attention
        out = efficient(query, key, value, bias, kept, dropout_p, is_causal, scale=scale)[0]
    else:  # whose fused kernel drops nothing
        fused = attend._scaled_dot_product_flash_attention_for_cpu
        out = fused(query, key, value, 0.0, is_causal, attn_mask=bias, scale=scale)[0]
    return out
