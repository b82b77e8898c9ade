"""A tokenizer as a point of rate and distortion."""

import pytest
import torch

from _support.mutants import catches
from _support.strategies import seeded, uniform
from vistok.metrics import NotMeasurableError, RateDistortion, psnr, rate_distortion_point, ssim, token_rate

SUBJECT = "vistok.metrics.rate.rate_distortion"


@catches(SUBJECT, "len(images) * images.shape[-2] * images.shape[-1]", "images.numel()")
@catches(SUBJECT, "count * rate.written, coded + count * rate.coded", "rate.written, coded + rate.coded")
def test_by_hand():
    """Two images of 16 x 16 in colour; 4 tokens of 2 bits, one code half of the time, and 2 tokens of 3 bits."""
    images = uniform(0, 2, 3, 16, 16)
    first, second = torch.tensor([[0, 0], [1, 3]]), torch.tensor([5, 5])
    point = rate_distortion_point(images * 0.9, images, [first, second], [4, 8])
    assert point.bits_per_pixel == pytest.approx((4 * 2 + 2 * 3) / 512, abs=1e-15)
    assert point.coded_bits_per_pixel == pytest.approx((4 * 1.5 + 0) / 512, abs=1e-15)
    assert point.psnr == pytest.approx(psnr(images * 0.9, images).mean().item(), abs=1e-12)
    assert point.ssim == pytest.approx(ssim(images * 0.9, images).mean().item(), abs=1e-12)


@catches(SUBJECT, "bincount(minlength=size)", "unique(return_counts=True)[1]")
def test_codebooks_are_counted_by_themselves_over_all_batches():
    images, others = uniform(0, 6, 1, 12, 12), uniform(1, 6, 1, 12, 12)
    tokens = [torch.randint(5, (6, 3, 3), generator=seeded(0)), torch.randint(9, (6, 4), generator=seeded(1))]
    metric = RateDistortion([5, 9])
    for part in torch.arange(6).split(4):
        metric.update(images[part], others[part], *(one[part] for one in tokens))
    rates = [token_rate(one.flatten().bincount(minlength=size)) for one, size in zip(tokens, (5, 9), strict=True)]
    coded = (54 * rates[0].coded + 24 * rates[1].coded) / (6 * 144)
    assert metric.compute().coded_bits_per_pixel == pytest.approx(coded, abs=1e-12)


@catches(SUBJECT, "if lengths != [len(images)] * len(self.codebook_sizes):", "if False:")
def test_bad_input_is_named():
    images = uniform(0, 2, 1, 12, 12)
    tokens = torch.zeros(2, 3, dtype=torch.int64)
    metric = RateDistortion([4, 4])
    for wrong in ([tokens], [tokens, tokens[:1]], [tokens] * 3):
        with pytest.raises(ValueError, match="tokens must be 2 tensors of 2 images, got"):
            metric.update(images, images, *wrong)
    with pytest.raises(ValueError, match="tokens must be 0 to 3, got 4 to 4"):
        metric.update(images, images, tokens + 4, tokens)
    with pytest.raises(NotMeasurableError, match="at least 1 image"):
        metric.compute()
    for sizes in ([], [4, 0]):
        with pytest.raises(ValueError, match="codebook_sizes must be at least 1"):
            RateDistortion(sizes)
