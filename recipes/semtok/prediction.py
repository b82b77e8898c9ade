"""What the decoder's output is (velocity, image or noise), what it says of the other two, and the loss between them."""

import torch.nn.functional as F
from torch import Tensor

from semtok.tokenizer_config import Prediction
from vistok.generators import data_to_velocity, noise_to_velocity, velocity_to_data

#: In place of distances to an end of the path that are smaller, where something is divided by them; JiT's (2511.13720).
NEAREST = 0.05


def to_velocity(output: Tensor, x_t: Tensor, t: Tensor, prediction: Prediction, *, nearest: float = 0.0) -> Tensor:
    r"""The velocity that an output at ``x_t (B, C, H, W)`` and ``t``, broadcastable to it, says.

    From an image :math:`(x_t - \hat x)/t`: samplers ask at ``t > 0`` only, where a step to 0 ends at that image;
    who asks anywhere gives a ``nearest`` time that is divided by at least. From noise
    :math:`(\hat\epsilon - x_t)/(1 - t)`:
    at ``t = 1``, where that says nothing of the image, :data:`NEAREST` is divided by.
    """
    if prediction == "velocity":
        return output
    if prediction == "image":
        return data_to_velocity(output, x_t, t.clamp(min=nearest) if nearest else t)
    return noise_to_velocity(output, x_t, t.clamp(max=1 - NEAREST))


def to_image(output: Tensor, x_t: Tensor, t: Tensor, prediction: Prediction) -> Tensor:
    """The image where a single step of that velocity ends: the output itself, where that is an image."""
    return output if prediction == "image" else velocity_to_data(to_velocity(output, x_t, t, prediction), x_t, t)


def flow_loss(
    output: Tensor, image: Tensor, noise: Tensor, t: Tensor, prediction: Prediction, space: Prediction
) -> Tensor:
    r"""The mean squared error of an output, as an error of the velocity, of the image or of the noise.

    Of one output the three errors are proportional: :math:`e_v = e_x / t = e_\epsilon / (1 - t)`, so that a space is a
    weight by ``t`` (:math:`1`, :math:`t^2` and :math:`(1 - t)^2` of a predicted velocity's error). :data:`NEAREST` is
    divided by at least. JiT predicts the image and takes the loss of the velocity.
    """
    wanted = {"velocity": noise - image, "image": image, "noise": noise}[prediction]
    if space == prediction:
        return F.mse_loss(output, wanted)
    divisors = {"velocity": t.new_ones(()), "image": t.clamp(min=NEAREST), "noise": (1 - t).clamp(min=NEAREST)}
    return ((output - wanted) * (divisors[space] / divisors[prediction])).square().mean()
