"""The classifier of real training images that says which class other images show."""

from vistok.metrics import Recognizer, fit_recognizer
from vistok.workbench.data.drawing import some_images
from vistok.workbench.data.image_set import Images

#: Images that it is fitted on, and measured on, at most: its time grows with the square.
MOST = 5000
#: Bytes in float32 of those that it is fitted on, at most: fitting holds about three such copies. 5,000 images of 133
#: pixels a side are below it, of 256 pixels 1,365.
BYTES = 1 << 30


def recognizer_of(train: Images, seed: int) -> Recognizer:
    """Fit it; of a large set, or of large images, to some drawn by the seed.

    Raises:
        NotMeasurableError: Fewer than two classes.
    """
    most = max(2, BYTES // (4 * train.channels * train.image_size**2))
    fitted = some_images(train, min(MOST, most), seed)
    return fit_recognizer(train.pixels(fitted), train.labels[fitted])
