"""Where stage I's sampler goes, and how often it calls the decoder."""

from torch import Tensor

from semtok.config import SamplerConfig
from vistok.generators import IntervalGuidance, jump_times, power_times


def sampler_times(settings: SamplerConfig) -> Tensor:
    """The times from noise to image; with ``jump_at`` fewer steps than ``num_steps``."""
    times = power_times(settings.num_steps, power=settings.power)
    return times if settings.jump_at is None else jump_times(times, settings.jump_at)


def sampler_guidance(settings: SamplerConfig) -> IntervalGuidance:
    """The scale of guidance by time."""
    return IntervalGuidance(settings.guidance, settings.guidance_low, settings.guidance_high)


def decoder_calls(settings: SamplerConfig) -> int:
    """How often the decoder is called for an image: once a step, and once more where the step is guided.

    Example:
        >>> decoder_calls(SamplerConfig(num_steps=4, power=1, guidance_low=0.4, guidance_high=0.6))
        5
    """
    scales = map(sampler_guidance(settings).at, sampler_times(settings)[:-1].tolist())
    return sum(1 if scale == 1 else 2 for scale in scales)
