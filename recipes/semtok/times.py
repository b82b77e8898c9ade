"""How the times of training change while it goes on."""

from semtok.config import LossConfig


def annealed(losses: LossConfig, step: int, steps: int) -> LossConfig:
    """Stage I's settings at a step: the shift of its times on the way from ``time_shift`` to ``time_shift_final``.

    A shift multiplies the odds ``t / (1 - t)``, so it goes from one to the other in equal factors a step. It depends on
    the number of the step alone: a resumed training goes on as it would have.
    """
    if losses.time_shift_final is None:
        return losses
    done = step / max(steps - 1, 1)
    shift = losses.time_shift ** (1 - done) * losses.time_shift_final**done
    return losses.model_copy(update={"time_shift": shift})
