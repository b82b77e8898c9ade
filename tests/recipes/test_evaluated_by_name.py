"""All tokenizers are evaluated like anybody's: loaded by the names that the recipes announce."""

import tomllib
from pathlib import Path

import pytest
import torch

import glotok.config
import semtok.config
import semtok.tokenizer_config
import vqgan.config
from _support.mutants import catches
from _support.stand_in_network import StandIn, pictures
from glotok.model import GloTok
from semtok.model import SemTok
from vistok.metrics import CodeUsage, Measurement, evaluate_tokenizer, from_uint8, load_tokenizer, psnr
from vistok.metrics.harness.loaders import GROUP
from vqgan.model import VQGAN

IMAGES = pictures(5)
ANNOUNCED = tomllib.loads((Path(__file__).parents[2] / "recipes" / "pyproject.toml").read_text())["project"]


def evaluated(name, tokenizer, folder):
    tokenizer.save_pretrained(folder)
    loaded = load_tokenizer(ANNOUNCED["entry-points"][GROUP][name], folder).eval()
    found = evaluate_tokenizer(loaded, IMAGES, Measurement(StandIn()), batch_size=5)
    torch.manual_seed(0)  # as the first batch of an evaluation with that seed draws
    tokens = loaded.encode(from_uint8(IMAGES))
    expected = psnr(loaded.decode(tokens), IMAGES).mean().item()
    assert found.measures["reconstruction"]["psnr"] == pytest.approx(expected, rel=1e-4)
    return found.measures["codes"], tokens


def usage(tokens, size):
    counted = CodeUsage(size)
    counted.update(tokens)
    return counted.compute().usage.item()


@catches(
    "glotok.model",
    "return self.settings.semantic_codebook_size, self.settings.visual_codebook_size",
    "return self.settings.visual_codebook_size, self.settings.semantic_codebook_size",
)
def test_glotok_by_its_name(tmp_path):
    settings = glotok.config.TokenizerConfig(
        image_size=16,
        base_channels=8,
        multipliers=(1, 2),
        latent_channels=16,
        adapter_depth=0,
        residual_width=16,
        semantic_codebook_size=16,
        visual_codebook_size=64,
    )
    codes, tokens = evaluated("glotok", GloTok(settings), tmp_path)
    assert codes["tokens_per_image"] == 2 * 64
    assert codes["bits_per_image"] == 64 * (4 + 6)
    for number, (part, size) in enumerate(zip(tokens, (16, 64), strict=True)):
        assert codes[f"codebook_{number}_usage"] == usage(part, size)
    assert "mutual_information" in codes


@catches("semtok.model", "return (self.settings.codebook_size,)", "return (self.settings.bits,)")
def test_semtok_by_its_name(tmp_path):
    settings = semtok.tokenizer_config.TokenizerConfig(
        image_size=16,
        patch_size=2,
        num_tokens=8,
        bits=12,
        encoder_width=32,
        encoder_depth=1,
        encoder_heads=2,
        decoder_width=32,
        decoder_depth=1,
        decoder_heads=2,
    )
    codes, tokens = evaluated("semtok", SemTok(settings, refiner="constant"), tmp_path)
    assert (codes["tokens_per_image"], codes["bits_per_image"]) == (8, 96)
    assert codes["codebook_0_usage"] == usage(tokens, 4096)


@catches("vqgan.model", "return self.settings.quantizer.codebook_sizes", "return (16, 32)")
def test_vqgan_by_its_name_stage_by_stage(tmp_path):
    book = {"kind": "residual", "codebook_size": 16, "num_stages": 2}
    sizes = {"image_size": 16, "base_channels": 8, "multipliers": (1, 2), "latent_channels": 16}
    codes, tokens = evaluated("vqgan", VQGAN(vqgan.config.TokenizerConfig(**sizes, quantizer=book)), tmp_path)
    assert (codes["tokens_per_image"], codes["bits_per_image"]) == (2 * 64, 64 * 8)
    for number, part in enumerate(tokens):
        assert codes[f"codebook_{number}_usage"] == usage(part, 16)
