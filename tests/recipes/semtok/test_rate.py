"""The tokenizer's point among the curves of codecs."""

import math

import pytest
import torch

from _support.mutants import catches
from _support.semtok_runs import tiny, tiny_tokenizer
from _support.strategies import seeded
from semtok import rate
from semtok.length_curve import length_measures
from semtok.quantizer import FiniteScalarConfig
from semtok.rate import SECTION, first_tokens, rate_measures, rate_section
from vistok.metrics import NotMeasurableError, fit_principal_component_codec, psnr, ssim
from vistok.metrics.report.page import Table
from vistok.workbench.data import ImageSet

SUBJECT = "semtok.rate"


class Grey:
    """A tokenizer whose images are as bright as their first token."""

    settings, refiner = tiny().tokenizer, "constant"

    def decode(self, tokens, *, generator):
        return (tokens[:, :1, None, None] / 127.5 - 1).expand(-1, 1, 16, 16)


class Sides:
    """Noisy images of two splits."""

    def __init__(self):
        shades = torch.randint(256, (40, 1, 16, 16), generator=seeded(0)).to(torch.uint8)
        labels = torch.zeros(40, dtype=torch.int64)
        parts = (slice(28), slice(28, 40))
        self.train, self.validation = (ImageSet(shades[part], labels[part], ("all",), "noise") for part in parts)


@catches(SUBJECT, "budgets.index(bits)", "-1")
@catches(SUBJECT, "tokens[some]", "tokens[: len(some)]")
@catches(SUBJECT, "point.bits_per_pixel * pixels", "point.bits_per_pixel")
@catches(SUBJECT, "round(factor * bits)", "round(factor)")
@catches(SUBJECT, "codec_curves(images, fitted,", "codec_curves(images, images,")
@catches(SUBJECT, "tokenizer.settings.num_tokens * ", "")
def test_the_point_and_the_curves_are_of_the_same_images(monkeypatch):
    """4 tokens of 6 bits: components take 3, 6, 12, 24, 48 and 64 bits."""
    monkeypatch.setattr(rate, "IMAGES", 5)
    sides, tokens = Sides(), torch.arange(12)[:, None].expand(-1, 4) * 20
    found = rate_measures(sides, Grey(), tokens, tiny())
    some = torch.linspace(0, 11, 5).long()
    images = sides.validation.batch(some)
    made = (tokens[some, :1, None, None] / 127.5 - 1).expand(-1, 1, 16, 16)
    assert (found["images"], found["fitted to"], found["bits"]) == (5, 28, 24)
    assert found["psnr"] == pytest.approx(psnr(made, images).mean().item())
    assert found["ssim"] == pytest.approx(ssim(made, images).mean().item())
    assert set(found["curves"]) == {"PCA", "WebP", "JPEG"}
    linear = found["curves"]["PCA"]
    assert linear["bits"] == pytest.approx([3, 6, 12, 24, 48, 64])
    codec = fit_principal_component_codec(sides.train.images, bits_per_image=24)
    decoded = codec.decode(codec.encode(images))
    assert found["pca_psnr"] == linear["psnr"][3]
    assert linear["psnr"][3] == pytest.approx(psnr(decoded, sides.validation.pixels(some)).mean().item())


@catches("semtok.reconstruct", "if tokenizer.refiner is None:", "if False:")
@catches(SUBJECT, "quick.decode(part", "tokenizer.decode(part")
def test_without_stage_two_the_point_is_of_one_step_as_the_curve_of_the_first_tokens():
    sides, tokenizer = Sides(), tiny_tokenizer()
    tokens = tokenizer.encode(sides.validation.batch(torch.arange(12)))
    found = rate_measures(sides, tokenizer, tokens, tiny())
    one_step = tokenizer.sampler.model_copy(update={"num_steps": 1})
    made = tokenizer.sample(tokens, one_step, generator=seeded(0))
    assert found["psnr"] == pytest.approx(psnr(made, sides.validation.batch(torch.arange(12))).mean().item())
    curve = length_measures(tokenizer, tokens, sides.validation, tiny())["lengths"]
    assert curve["prefix_psnr"][-1] == pytest.approx(found["psnr"])
    assert tokenizer.sampler.num_steps == 3  # is left as it was


def test_bits_of_an_image_are_the_logarithm_of_its_codes():
    for quantizer, bits in ((tiny().tokenizer.quantizer, 24), (FiniteScalarConfig(kind="fsq", levels=(8, 4)), 20)):
        assert rate.image_bits(tiny_tokenizer(quantizer=quantizer)) == bits
    five = tiny().tokenizer.model_copy(update={"quantizer": FiniteScalarConfig(kind="fsq", levels=(5, 5))})
    assert five.token_bits == pytest.approx(2 * math.log2(5))


@catches(SUBJECT, "if train.channels * pixels > MOST_VALUES:", "if False:")
def test_large_images_are_no_task_for_plain_codes(monkeypatch):
    monkeypatch.setattr(rate, "MOST_VALUES", 255)
    with pytest.raises(NotMeasurableError, match="256 values are more than 255"):
        rate_measures(Sides(), Grey(), torch.zeros(12, 4), tiny())


MEASURES = {
    SECTION: {
        **{"images": 12, "fitted to": 28, "bits": 24, "psnr": 22.0, "ssim": 0.8},
        "curves": {"PCA": {"bits": [3, 6], "psnr": [10, 12], "ssim": [0.1, 0.2]}},
    },
    "parts of the tokens": {"prefix_75%": 21.0, "prefix_25%": 15.0, "scattered_25%": 14.0},
}


@catches(SUBJECT, 'share * whole["bits"]', "share")
@catches(SUBJECT, "length / num_tokens", "length")
@catches(SUBJECT, "if share < 1", "")
@catches(SUBJECT, 'if key.startswith("prefix_")', "")
@catches(SUBJECT, 'points["psnr"], points["ssim"], strict', 'points["ssim"], points["psnr"], strict')
def test_the_first_tokens_are_a_curve_that_ends_at_all_of_them():
    assert first_tokens(MEASURES, 4) == [(6, 15.0), (18, 21.0), (24, 22.0)]
    curve = {"tokens": [1, 2, 4], "prefix_psnr": [14.0, 18.0, 21.9]}  # the last one is of other images
    assert first_tokens(MEASURES | {"lengths": curve}, 4) == [(6, 14.0), (12, 18.0), (24, 22.0)]
    picture, table = rate_section(MEASURES, tiny()).blocks
    assert picture.png.startswith(b"\x89PNG")
    assert isinstance(table, Table)
    rows = [["4 tokens", 24, 22.0, 0.8], ["PCA", 3, 10, 0.1], ["PCA", 6, 12, 0.2]]
    assert table.rows == rows
    assert "decoded by stage I in one step, and codecs" in table.caption
    *_, table = rate_section(MEASURES | {"refined": {}}, tiny()).blocks
    assert "decoded by stage II, and codecs" in table.caption
