"""What is kept of images that are decoded from a part of their features, in numbers."""

import pytest
import torch

from _support.glotok_runs import tiny
from _support.mutants import catches
from glotok.config import EvaluateConfig
from glotok.model import GloTok
from glotok.retention import decode_parts
from vistok.metrics import frequency_bands, psnr, to_uint8
from vistok.workbench.data import load_images

SUBJECT = "glotok.retention"


@pytest.fixture(scope="module")
def studied():
    torch.manual_seed(0)
    tokenizer = GloTok(tiny().tokenizer).eval()
    return tokenizer, load_images("digits", image_size=16).validation


@catches(
    SUBJECT,
    "tokenizer.decode_recovered(semantic, torch.zeros_like(visual))",
    "tokenizer.decode_recovered(torch.zeros_like(semantic), visual)",
)
@catches(SUBJECT, "study[:, 0, -1], study[:, 1, -1]", "study[:, 1, -1], study[:, 0, -1]")
def test_each_side_is_decoded_with_the_others_features_set_to_zero(studied):
    tokenizer, validation = studied
    parts = decode_parts(tokenizer, validation, EvaluateConfig(retention_images=60, frequency_cut=0.5), seed=0)
    images = validation.batch(torch.linspace(0, len(validation) - 1, 60).long())
    semantic, visual = tokenizer.recovered(*tokenizer.codes(tokenizer.encode(images)))
    with torch.no_grad():
        decoded = {
            "semantic_only": tokenizer.decode_recovered(semantic, 0 * visual),
            "visual_only": tokenizer.decode_recovered(0 * semantic, visual),
            "both": tokenizer.reconstruct(images),
        }
    retention, frequencies = parts.retention_measures(), parts.frequency_measures()
    assert retention["images"] == 60
    assert set(retention) == {"images"} | {
        f"{book}_{part}" for book in ("visual_only", "with_semantic") for part in (25, 50, 75, 100)
    }
    for book, side in (("visual_only", "visual_only"), ("with_semantic", "both")):
        expected = psnr(decoded[side], images).mean().item()
        assert retention[f"{book}_100"] == pytest.approx(expected, abs=0.01)
    for side, pixels in decoded.items():
        found = frequency_bands(to_uint8(pixels), to_uint8(images), edges=(0.5,))
        for name in ("energy", "explained", "correlation"):
            measured = [frequencies[f"{side}_{band}_{name}"] for band in ("low", "high")]
            assert measured == pytest.approx(getattr(found, name).tolist(), abs=2e-3)
    assert frequencies["low_share"] + frequencies["high_share"] == pytest.approx(1)
    assert frequencies["cut"] == 0.5


@catches(SUBJECT, "edge - width / 2", "edge")
@catches(SUBJECT, ".correlation[:-1]", ".correlation[1:]")
def test_the_spectrum_has_bands_of_equal_width_up_to_nyquists_frequency(studied):
    tokenizer, validation = studied
    parts = decode_parts(tokenizer, validation, EvaluateConfig(retention_images=10, frequency_cut=0.25), seed=0)
    spectrum = parts.spectrum_measures()
    assert spectrum["radius"] == [0.125, 0.375, 0.625, 0.875]
    assert spectrum["both"][0] == pytest.approx(parts.frequency_measures()["both_low_correlation"])
    assert all(len(values) == 4 for values in spectrum.values())
