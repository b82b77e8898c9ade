"""The Inception network of 2015 in which FID, Inception Score and sFID are defined, as torch-fidelity ports it."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vistok.metrics._float64 import to_float64
from vistok.metrics.distribution.spatial import spatial_features
from vistok.metrics.networks._torchvision_schemas import declare_missing_operators
from vistok.metrics.networks.features import Features, check_8_bit
from vistok.metrics.networks.fingerprint import fingerprint

_LONGEST_REASON = 240
_WEIGHTS = "weights-inception-2015-12-05-6726825d.pth of torch-fidelity's release v0.2.0"


class InceptionFeatures:
    r"""Features of the Inception network that published FID, Inception Score and sFID are measured in.

    TensorFlow's ``classify_image_graph_def.pb`` of 2015-12-05 with its own weights, ported by torch-fidelity (extra
    ``fidelity``). Images go to 299 x 299 pixels as in the graph: bilinear as TensorFlow 1 does it (row ``i`` is read at
    ``i H / 299``: no half-pixel shift, no antialiasing), then ``(x - 128) / 128``. ADM's evaluator runs the graph
    itself; clean-fid resizes otherwise and torchvision's weights are others, so their numbers are not these.

    - ``pooled``: ``pool_3``, 2048 numbers (torch-fidelity's ``2048``).
    - ``probabilities``: softmax of the 1008 *unbiased* logits, ``pool_3`` times the weights of the last layer without
      its bias (torch-fidelity's ``logits_unbiased``): what Inception Scores are computed from, since the reference
      implementation left the bias out and all that followed, ADM's ``_create_softmax_graph`` included, did too.
    - ``spatial``: the first 7 channels of ``mixed_6/conv`` after its ReLU, 17 x 17 positions, flattened in the order
      row, column, channel: 2023 numbers, as ADM's sFID takes them, so that they fit ``mu_s`` and ``sigma_s`` of its
      reference files. In torch-fidelity this is ``Mixed_6d.branch1x1``.

    Source:
        Szegedy et al. 2015, arXiv:1512.00567, for the network; Heusel et al. 2017, arXiv:1706.08500 (FID), Salimans et
        al. 2016, arXiv:1606.03498 (Inception Score), Nash et al. 2021, arXiv:2103.03841 (sFID). The names of tensors:
        ``FID_POOL_NAME``, ``FID_SPATIAL_NAME`` and ``_create_softmax_graph`` in guided-diffusion's
        ``evaluations/evaluator.py``; which module each is: the table of names in torch-fidelity's
        ``utils/util_convert_inception_weights.py``, where ``mixed_3`` to ``mixed_7`` are ``Mixed_6a`` to ``Mixed_6e``.

    Args:
        weights: Path of torch-fidelity's weights file; ``None`` for its own download, or the cache of that.
        device: Where the network runs.

    Shape:
        - images: ``(B, 1 or 3, H, W)``, uint8; grey ones are repeated.
        - pooled: ``(B, 2048)``; spatial: ``(B, 2023)``; probabilities: ``(B, 1008)``; all float32.

    Range:
        ``pooled`` and ``spatial`` are not negative; each row of ``probabilities`` sums to 1.

    Gradient:
        None: this is a measurement.

    Raises:
        ValueError: torch-fidelity is not installed, the weights cannot be had or do not fit, or images are not
            ``(B, 1 or 3, H, W)``.
        TypeError: Images are not uint8.
    """

    name = "Inception (torch-fidelity)"
    preprocessing = "to 299 x 299 pixels, bilinear as TensorFlow 1 (no antialiasing), then (x - 128) / 128"

    def __init__(self, weights: str | Path | None = None, *, device: str | torch.device = "cpu") -> None:
        self._network = _load(weights).to(device)
        self._spatial: list[Tensor] = []
        mixed_6 = self._network.Mixed_6d
        mixed_6.branch1x1.register_forward_hook(lambda *seen: self._spatial.append(seen[-1]))

    def fingerprint(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the weights in use."""
        return fingerprint(self._network.state_dict())

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Features:
        """What the network sees in images, from one pass."""
        check_8_bit(images)
        images = images.to(self._network.fc.weight.device).expand(-1, 3, -1, -1)
        with torch.autocast(images.device.type, enabled=False):
            pooled, logits = self._network(images)
        probabilities = to_float64(logits).softmax(dim=1).float().to(images.device)
        return Features(pooled, spatial_features(self._spatial.pop()), probabilities)


def _load(weights: str | Path | None) -> Any:
    """The network, or one line that says what is missing and what would help."""
    declare_missing_operators()
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError as error:
        raise ValueError(
            f"Inception features need torch-fidelity ({error}): pip install 'vistok-metrics[fidelity]'"
        ) from error
    if weights is not None and not Path(weights).is_file():
        raise ValueError(f"weights of Inception must be a file, got {str(weights)!r}")
    try:
        if weights is not None:  # torch-fidelity would run code that a file holds: this refuses such a file
            torch.load(weights, map_location="cpu", weights_only=True)
        path = None if weights is None else str(weights)
        network = FeatureExtractorInceptionV3("inception", ["2048", "logits_unbiased"], path)
    except Exception as error:  # whatever the download or the reader raised
        reason = " ".join(str(error).split())[:_LONGEST_REASON] or type(error).__name__
        raise ValueError(
            f"weights of Inception could not be had ({reason}); give weights=<path of {_WEIGHTS}>, or run once with a "
            f"network"
        ) from error
    return network.eval().requires_grad_(False)
