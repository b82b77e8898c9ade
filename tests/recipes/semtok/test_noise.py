"""The noise of decoding: on images with known noise, on samples that are calibrated and on ones that are not."""

import pytest
import torch

from _support.mutants import catches
from _support.semtok_runs import generator, pictures, tiny, tiny_tokenizer
from semtok.model import SemTok
from semtok.noise import (
    background,
    calibration,
    decoders,
    flat_pixels,
    noise_by_step_section,
    noise_of,
    velocity_errors,
)
from vistok.metrics import NotMeasurableError

SUBJECT = "semtok.noise"
TOKENS = torch.randint(64, (6, 4), generator=generator(1))


@catches(SUBJECT, "(largest == smallest).all(dim=1)", "(largest == smallest).any(dim=1)")
@catches(SUBJECT, "_FLAT, 1, _FLAT // 2)", "3, 1, 1)")
def test_a_pixel_is_flat_where_all_channels_are_constant_two_pixels_around():
    image = torch.full((1, 3, 9, 9), 40, dtype=torch.uint8)
    image[0, 1, 4, 0] = 41
    expected = torch.ones(9, 9, dtype=torch.bool)
    expected[2:7, :3] = False
    assert torch.equal(flat_pixels(image)[0], expected)


@catches(SUBJECT, "mean.square()) * 9 / 8)", "mean.square()) * 9)")
@catches(SUBJECT, "variance[flat].mean().sqrt()", "variance.mean().sqrt()")
@catches(SUBJECT, "error[flat].mean().sqrt()", "error[flat].mean()")
def test_background_noise_is_the_deviation_of_white_noise_and_knows_no_offset():
    """Left of a stripe the image is constant; what is made there is 7 darker, with noise of deviation 5."""
    original = torch.full((8, 1, 32, 32), 120.0)
    original[..., 16:] = torch.rand(8, 1, 32, 16, generator=generator(2)).mul(255).round()
    made = original - 7 + 5 * torch.randn(original.shape, generator=generator(3))
    made[..., 16:] = 0
    found = background(made.round().to(torch.uint8), original.to(torch.uint8))
    # the two columns beside the stripe are not flat, and no 3 x 3 window of the others reaches it
    assert found["background_noise"] == pytest.approx(5, rel=0.03)
    assert found["background_error"] == pytest.approx((49 + 25) ** 0.5, rel=0.03)
    with pytest.raises(NotMeasurableError, match="constant in the originals"):
        background(*[torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)] * 2)


@catches(SUBJECT, "between - to_original}", "to_original - between}")
def test_calibrated_samples_have_no_gap_and_blurred_ones_have_one():
    """Original and samples drawn alike; then samples of half the deviation: 10 log10((1 + 1/4) / (1/2)) dB."""
    centre = torch.full((40, 1, 16, 16), 128.0)
    draw = lambda seed, deviation: (  # noqa: E731
        (centre + deviation * torch.randn(centre.shape, generator=generator(seed))).round().to(torch.uint8)
    )
    original = draw(0, 20)
    assert calibration(draw(1, 20), draw(2, 20), original)["calibration_gap"] == pytest.approx(0, abs=0.1)
    assert calibration(draw(1, 10), draw(2, 10), original)["calibration_gap"] == pytest.approx(3.98, abs=0.1)


@catches(SUBJECT, "for part in (0, 1))", "for part in (0, 0))")
@catches(SUBJECT, "return background(one, wanted) | found", "return background(one, wanted)")
def test_stages_are_compared_between_two_noises_unless_they_have_none():
    originals = pictures(6)
    originals[..., :8] = -1
    tokenizer = tiny_tokenizer("constant", model=SemTok)
    stages = decoders(tokenizer, tiny())
    assert list(stages) == ["stage I, 1 step", "stage I, 3 steps", "refined"]
    found = {name: noise_of(decode, TOKENS, originals, 0) for name, decode in stages.items()}
    assert found["stage I, 1 step"] != found["stage I, 3 steps"]
    assert set(found["stage I, 1 step"]) == {
        *("background_noise", "background_error", "psnr_between", "psnr_to_original", "calibration_gap")
    }
    assert set(found["refined"]) == {"background_noise", "background_error"}
    assert list(decoders(tiny_tokenizer(), tiny())) == ["stage I, 1 step", "stage I, 3 steps"]


@catches(SUBJECT, "codes, t) - path.velocity)", "codes, t) + path.velocity)")
@catches(SUBJECT, "error.mean(dim=1)[flat]", "error.mean(dim=1)[~flat]")
def test_a_decoder_that_always_says_a_half_errs_by_the_velocity_less_a_half():
    """The velocity is noise less the image: on black noise plus one, whose root mean square error is sqrt(1 + 1/4)."""
    tokenizer = SemTok(tiny().tokenizer).eval()
    torch.nn.init.constant_(tokenizer.decoder.out.bias, 0.5)
    originals = pictures(6)
    originals[..., :8] = -1
    found = velocity_errors(tokenizer, TOKENS, originals, 0)
    everywhere = (1 + (originals + 0.5).square().mean().item()) ** 0.5
    for time in ("0.02", "0.95"):
        assert found[f"background_at_{time}"] == pytest.approx(1.25**0.5, rel=0.1)
        assert found[f"velocity_at_{time}"] == pytest.approx(everywhere, rel=0.05)
    names = ["stage I, 1 step"]
    section = noise_by_step_section({names[0]: {"background_noise": 4.5}, "error by time": found}, names, 6)
    assert section.heading == "Noise by step"
