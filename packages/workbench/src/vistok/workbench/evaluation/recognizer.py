"""The classifier of real training images that says which class other images show."""

from vistok.metrics import Recognizer, fit_recognizer
from vistok.workbench.data.drawing import some_images
from vistok.workbench.data.image_set import Images

#: Images that it is fitted on, and measured on, at most: its time grows with the square.
MOST = 5000


def recognizer_of(train: Images, seed: int) -> Recognizer:
    """Fit it; of a large set to images drawn by the seed.

    Raises:
        NotMeasurableError: Fewer than two classes.
    """
    fitted = some_images(train, MOST, seed)
    return fit_recognizer(train.batch(fitted), train.labels[fitted])
