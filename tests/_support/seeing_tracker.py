"""A tracker that takes pictures, in TensorBoard's place, which need not be installed."""

import numpy as np
from accelerate import tracking

from vistok.metrics import to_uint8


def pictures_shown(monkeypatch):
    """Put it there; give the list that fills with ``(step, pairs)``, those of each picture it is shown."""
    shown = []

    class Seeing(tracking.GeneralTracker):
        name, requires_logging_directory = "tensorboard", True

        def __init__(self, run_name, logging_dir):
            super().__init__(_blank=True)

        def log_images(self, values, step=None, dataformats="NCHW"):
            assert (list(values), dataformats) == (["reconstructions"], "NHWC")
            shown.append((step, values["reconstructions"]))

    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "tensorboard", Seeing)
    monkeypatch.setattr(tracking, "_available_trackers", [tracking.LoggerType.TENSORBOARD])
    return shown


def assert_training_images_beside_others(pairs, config):
    """Left are images of the data, and right is something else."""
    train = config.data.load().train
    known = {image.numpy().tobytes() for image in to_uint8(train.batch(range(len(train)))).permute(0, 2, 3, 1)}
    left, right = np.split(pairs, 2, axis=2)
    assert all(image.tobytes() in known for image in left)
    assert not any(image.tobytes() in known for image in right)
