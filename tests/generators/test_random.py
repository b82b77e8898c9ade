"""Draws: their distributions, and that they come from the generator."""

import math

import torch

from _support.mutants import catches
from _support.strategies import seeded
from vistok.generators._random import gumbel, normal, uniform

SUBJECT = "vistok.generators._random"
CPU = torch.device("cpu")


@catches(SUBJECT, "device=source, generator=generator, dtype=torch.float32", "device=source, dtype=torch.float32")
@catches(SUBJECT, "generator=generator, dtype=dtype", "dtype=dtype")
@catches(SUBJECT, "exponential_(generator=generator)", "exponential_()")
def test_one_generator_gives_one_draw():
    for draw in (uniform, normal, gumbel):
        assert torch.equal(draw((3, 2), CPU, seeded(1)), draw((3, 2), CPU, seeded(1)))
        assert not torch.equal(draw((3, 2), CPU, seeded(1)), draw((3, 2), CPU, seeded(2)))


@catches(SUBJECT, "generator=generator, dtype=dtype", "generator=generator")
def test_draws_have_the_shape_and_the_type_that_are_asked_for():
    assert uniform([2, 3], CPU, None).shape == normal([2, 3], CPU, None).shape == gumbel([2, 3], CPU, None).shape
    assert normal((2,), CPU, seeded(0), torch.float64).dtype == torch.float64
    assert uniform((2,), CPU, None).dtype == gumbel((2,), CPU, None).dtype == torch.float32


@catches(SUBJECT, "device if generator is None else generator.device", "device")
def test_a_generator_draws_where_it_lives_and_the_result_is_moved():
    for draw in (uniform, normal, gumbel):
        assert draw((2,), torch.device("meta"), seeded(0)).is_meta


@catches(SUBJECT, "return -exponential", "return exponential")
@catches(SUBJECT, ".clamp_min(1e-30)", ".clamp_min(1e-1)")
def test_the_mass_of_each_draw_is_where_its_distribution_has_it():
    """At three quantiles of U[0, 1), N(0, 1) and the Gumbel distribution ``exp(-exp(-x))``."""
    count = 100_000
    for quantile in (0.05, 0.5, 0.95):
        ends = {
            uniform: quantile,
            normal: torch.special.ndtri(torch.tensor(quantile)).item(),
            gumbel: -math.log(-math.log(quantile)),
        }
        for draw, end in ends.items():
            below = (draw((count,), CPU, seeded(3)) < end).double().mean().item()
            assert abs(below - quantile) < 4 * math.sqrt(quantile * (1 - quantile) / count)
    assert gumbel((count,), CPU, seeded(3)).max() > 5


@catches(SUBJECT, "generator=generator, dtype=torch.float32", "generator=generator")
@catches(SUBJECT, "device=source, dtype=torch.float32", "device=source")
def test_draws_are_float32_whatever_torchs_default_dtype_is():
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        found = [draw((2,), CPU, seeded(0)).dtype for draw in (uniform, normal, gumbel)]
    finally:
        torch.set_default_dtype(default)
    assert found == [torch.float32] * 3
