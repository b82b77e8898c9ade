"""A classifier of real images that judges whether generated ones show the class they were asked for."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from vistok.workbench.data.batch_order import batch_indices
from vistok.workbench.data.image_set import Images
from vistok.workbench.data.pixels import to_uint8
from vistok.workbench.metrics.not_measurable import NotMeasurableError

_COMPONENTS = 50
_MARGIN_COST = 5.0


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
        return torch.from_numpy(np.asarray(self._model.predict(_flat_pixels(images)), dtype=np.int64))

    def accuracy(self, images: Tensor, labels: Tensor) -> float:
        """Share of images recognised as their label."""
        if tuple(labels.shape) != tuple(images.shape[:1]) or not len(labels):
            raise ValueError(f"labels must be ({len(images)},), not empty, got {tuple(labels.shape)}")
        return float((self.predict(images) == labels.cpu()).double().mean())


def fit_recognizer(train_set: Images, *, max_images: int = 5000) -> Recognizer:
    """Fit a support vector classifier (RBF kernel) on the leading 50 principal components of real training images.

    Deterministic. Only ``train_set`` is seen; measure it on held-out real images and state that accuracy beside any
    other number, since no generator can be judged above it. On the embedded digits it recognises 97 % of the held-out
    ones.

    Args:
        train_set: Labelled images of at least two classes.
        max_images: At most this many, drawn at random, are used (the time grows with the square).

    Raises:
        ValueError: ``max_images`` is below 2.
        NotMeasurableError: Fewer than two classes.
    """
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import SVC

    if max_images < 2:
        raise ValueError(f"max_images must be at least 2, got {max_images}")
    indices = torch.arange(len(train_set))
    if len(indices) > max_images:
        indices = batch_indices(len(indices), max_images, step=0, seed=0)
    labels = train_set.labels[indices]
    if len(labels.unique()) < 2:
        raise NotMeasurableError(
            f"data set {train_set.name!r} must have at least 2 classes, got {len(labels.unique())}"
        )
    images = train_set.batch(indices)
    pixels = _flat_pixels(images)
    components = min(_COMPONENTS, *pixels.shape)
    model = make_pipeline(PCA(components, random_state=0), SVC(C=_MARGIN_COST, gamma="scale"))
    model.fit(pixels, labels.numpy())
    channels, height, width = images.shape[1:]
    return Recognizer(model, (channels, height, width))


def _flat_pixels(images: Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    pixels: np.ndarray[Any, np.dtype[np.float32]] = (to_uint8(images).flatten(1).float() / 255.0).cpu().numpy()
    return pixels
