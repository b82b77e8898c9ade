"""The discriminator's side of adversarial training."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

from torch import Tensor, nn

from vistok.workbench.training.update import Learner, micro_steps


def discriminator_step(
    discriminator: Learner,
    reals: Sequence[Tensor],
    fakes: Sequence[Tensor],
    loss: Callable[[Tensor, Tensor], Tensor],
    step: int,
) -> Tensor:
    """One update of the discriminator: real and reconstructed images of a micro-batch, each in a pass of its own.

    So a batch norm sees reconstructions alone here too, as it does when the generator is judged. In one pass the
    statistics of both together tell the discriminator which is which, and what it learns is of no use there.

    Args:
        discriminator: Any module that gives logits, image by image, and how it learns; its settings are those of the
            generator's step.
        reals: Real images, one tensor a micro-batch.
        fakes: Their reconstructions, detached.
        loss: From real and fake logits (float32) to a scalar.
        step: The step's number, for errors.

    Returns:
        The loss, the mean over the micro-batches, detached.

    Raises:
        NonFiniteLossError: A loss of the step before was not finite; the term here is named ``discriminator``.
    """
    log: dict[str, Tensor] = {}
    for micro, (real, fake) in micro_steps(discriminator, step, list(zip(reals, fakes, strict=True)), log):
        with discriminator.precision():
            real_logits, fake_logits = discriminator.model(real), discriminator.model(fake)
        term = loss(real_logits.float(), fake_logits.float())
        micro.backward({"discriminator": term}, term, {"images": real, "reconstruction": fake})
    return log["discriminator"]


@contextlib.contextmanager
def frozen(network: nn.Module | None) -> Iterator[None]:
    """Within the block a network takes part and does not learn: gradients pass through it, and none reaches it.

    What of it never learns, such as a backbone within, does not learn afterwards either.
    """
    learning = [] if network is None else [weight for weight in network.parameters() if weight.requires_grad]
    for weight in learning:
        weight.requires_grad_(False)
    yield
    for weight in learning:
        weight.requires_grad_(True)
