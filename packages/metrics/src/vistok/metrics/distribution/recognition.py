"""A classifier of real images that judges whether generated ones show the class they were asked for."""

from typing import Any

import torch
from torch import Tensor

from vistok.metrics.not_measurable import NotMeasurableError
from vistok.metrics.pixels import to_uint8

_COMPONENTS = 50
_MARGIN_COST = 5.0
_AT_A_TIME = 1000  # images whose pixels are held in float32


class Recognizer:
    """A fitted classifier of images; made by :func:`fit_recognizer`.

    Args:
        model: A fitted scikit-learn classifier of flattened pixels in ``[0, 1]``.
        image_shape: ``(C, H, W)`` of the images it was fitted on.

    Shape:
        - images: ``(N, C, H, W)``, in ``[-1, 1]`` or uint8.
        - labels: ``(N,)``, int64.

    Range:
        ``accuracy`` in ``[0, 1]``. Images are rounded to 8 bits first, as if written to a file.

    Raises:
        ValueError: Images have another shape than those it was fitted on, or do not match the labels.
    """

    def __init__(self, model: Any, image_shape: tuple[int, int, int]) -> None:
        self._model = model
        self.image_shape = image_shape

    def predict(self, images: Tensor) -> Tensor:
        """The class of each image."""
        if images.ndim != 4 or tuple(images.shape[1:]) != self.image_shape:
            raise ValueError(f"images must be (N, {', '.join(map(str, self.image_shape))}), got {tuple(images.shape)}")
        parts = [self._model.predict(_flat_pixels(part)) for part in images.split(_AT_A_TIME)]
        return torch.cat([torch.from_numpy(part.astype("int64")) for part in parts])

    def accuracy(self, images: Tensor, labels: Tensor) -> float:
        """Share of images recognised as their label."""
        if tuple(labels.shape) != tuple(images.shape[:1]) or not len(labels):
            raise ValueError(f"labels must be ({len(images)},), not empty, got {tuple(labels.shape)}")
        return float((self.predict(images) == labels.cpu()).double().mean())


def fit_recognizer(images: Tensor, labels: Tensor) -> Recognizer:
    """Fit a support vector classifier (RBF kernel) on the leading 50 principal components of real training images.

    Deterministic. Measure it on held-out real images and state that accuracy beside any other number, since no
    generator can be judged above it. On 4,500 handwritten digits it recognises 97 % of 500 held-out ones. The time
    grows with the square of the number of images: a few thousand are enough.

    Args:
        images: Real training images, in ``[-1, 1]`` (rounded to 8 bits first) or uint8.
        labels: Their classes, at least two.

    Shape:
        - images: ``(N, C, H, W)``.
        - labels: ``(N,)``, integers.

    Raises:
        ValueError: Images are not ``(N, C, H, W)``, or labels do not match them.
        NotMeasurableError: Fewer than two classes.

    Example:
        >>> images = torch.tensor([-1.0, -0.9, 0.9, 1.0]).view(4, 1, 1, 1)
        >>> recognizer = fit_recognizer(images, torch.tensor([3, 3, 8, 8]))
        >>> recognizer.predict(torch.full((1, 1, 1, 1), 0.8)).tolist()
        [8]
    """
    if images.ndim != 4 or tuple(labels.shape) != tuple(images.shape[:1]):
        shapes = f"{tuple(images.shape)} and {tuple(labels.shape)}"
        raise ValueError(f"images and labels must be (N, C, H, W) and (N,), got {shapes}")
    if len(labels.unique()) < 2:
        raise NotMeasurableError(f"labels must hold at least 2 classes, got {len(labels.unique())}")
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import SVC

    pixels = _flat_pixels(images)
    components = min(_COMPONENTS, *pixels.shape)
    model = make_pipeline(PCA(components, random_state=0), SVC(C=_MARGIN_COST, gamma="scale"))
    model.fit(pixels, labels.cpu().numpy())
    channels, height, width = images.shape[1:]
    return Recognizer(model, (channels, height, width))


def _flat_pixels(images: Tensor) -> Any:
    return (to_uint8(images).flatten(1).float() / 255.0).cpu().numpy()
