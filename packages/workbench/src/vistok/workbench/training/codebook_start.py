"""Which images a learned codebook starts from: k-means of the untrained encoder's features of them."""

from accelerate import Accelerator
from torch import Tensor

from vistok.workbench.config import ConfigError
from vistok.workbench.data.drawing import drawn_images
from vistok.workbench.data.image_set import Images

_MOST_FEATURES = 2**17  # that k-means sees, where these are at least two a code


def start_images(train: Images, size: int, features: int, seed: int, accelerator: Accelerator) -> Tensor:
    """The images whose features this process gives: 16 features a code in all while codes are few, at least two.

    Args:
        train: The training images.
        size: Codes of the codebook; of several, the largest.
        features: How many an image has.
        seed: Draws the images, the same on all processes.
        accelerator: The run's.

    Returns:
        Indices of this process's share.

    Raises:
        ConfigError: The images have fewer features than there are codes, or there are fewer images than processes.
    """
    wanted = max(2 * size, min(16 * size, _MOST_FEATURES))
    count = min(len(train), max(accelerator.num_processes, -(-wanted // features)))
    if count < accelerator.num_processes or count * features < size:
        raise ConfigError(
            f"train.codebook_start: k_means of {size:,} codes needs as many features and an image a process, and "
            f"{count:,} images have {count * features:,}; set it to random, or take fewer codes"
        )
    shares = drawn_images(train, count, seed).tensor_split(accelerator.num_processes)
    own: Tensor = shares[accelerator.process_index]
    return own
