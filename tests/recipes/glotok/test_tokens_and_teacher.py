"""Cached tokens scale and flip exactly; the teacher's token set comes from features or from a checkpoint's key."""

import argparse
import logging
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from _support.glotok_runs import TINY
from glotok.cli import Options, resolve
from glotok.config import LossConfig
from glotok.encode import TokenCache, code_moments, encode_images
from glotok.model import GloTok
from glotok.paths import RunPaths
from glotok.reconstruct import RETENTION, retention_study
from glotok.teacher import load_teacher, make_teacher, read_token_set
from vistok.losses import relation_histogram
from vistok.workbench.backbones.weights import WeightsError
from vistok.workbench.config import ConfigError
from vistok.workbench.data import load_images


def cache(seed, flips=1, count=5, grid=3, sizes=(7, 11)):
    generator = torch.Generator().manual_seed(seed)
    semantic_codes, visual_codes = (torch.randn(size, 8, generator=generator) for size in sizes)
    semantic, visual = (torch.randint(size, (flips, count, grid, grid), generator=generator) for size in sizes)
    moments = [code_moments(visual_codes, visual), code_moments(semantic_codes, semantic)]
    mean, std = (torch.cat([pair[i] for pair in moments])[:, None, None] for i in (0, 1))
    return TokenCache(semantic.int(), visual.int(), torch.zeros(count).long(), semantic_codes, visual_codes, mean, std)


@given(st.integers(0, 10_000))
def test_latents_have_mean_zero_and_deviation_one_over_the_cached_set(seed):
    tokens = cache(seed)
    latents = tokens.latents(tokens.tokens(torch.arange(5))).double()
    torch.testing.assert_close(latents.mean((0, 2, 3)), torch.zeros(16, dtype=torch.float64), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        latents.std((0, 2, 3), correction=0), torch.ones(16, dtype=torch.float64), atol=1e-4, rtol=0
    )


@given(st.integers(0, 10_000))
def test_unscaling_gives_the_codes_back_visual_first(seed):
    tokens = cache(seed)
    picked = tokens.tokens(torch.tensor([2, 0]))
    codes = torch.cat([tokens.visual_codes[picked.visual], tokens.semantic_codes[picked.semantic]], -1).permute(
        0, 3, 1, 2
    )
    torch.testing.assert_close(tokens.unscale(tokens.latents(picked)), codes, atol=1e-5, rtol=1e-4)


def test_flips_pick_the_flipped_variant_where_it_is_cached():
    tokens = cache(0, flips=2)
    picked = tokens.tokens(torch.tensor([1, 1]), torch.tensor([False, True]))
    assert torch.equal(picked.semantic[0], tokens.semantic[0, 1].long())
    assert torch.equal(picked.visual[1], tokens.visual[1, 1].long())
    alone = cache(0)
    assert torch.equal(alone.tokens(torch.tensor([1]), torch.tensor([True])).visual[0], alone.visual[0, 1].long())


def test_a_data_set_is_encoded_in_order_whatever_the_batch_size():
    config = resolve(Options(config=TINY))
    tokenizer = GloTok(config.tokenizer).eval()
    images = load_images("digits", image_size=16).validation
    small, large = (encode_images(tokenizer, images, batch_size=size) for size in (70, 250))
    assert all(torch.equal(a, b) for a, b in zip(small, large, strict=True))


def test_the_retention_study_keeps_nested_parts_and_ends_at_the_reconstruction():
    config = resolve(Options(config=TINY))
    torch.manual_seed(0)
    tokenizer = GloTok(config.tokenizer).eval()
    images = load_images("digits", image_size=16).validation.batch(range(3))
    study = retention_study(tokenizer, images, seed=0)
    assert study.shape == (3, 2, len(RETENTION), 1, 16, 16)
    torch.testing.assert_close(study[:, 1, -1].clamp(-1, 1), tokenizer.reconstruct(images))
    semantic, visual = tokenizer.recovered(*tokenizer.codes(tokenizer.encode(images)))
    torch.testing.assert_close(study[:, 0, -1], tokenizer.decode_recovered(torch.zeros_like(semantic), visual))


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_pretrained_codebook_serves_as_teacher(tmp_path, suffix):
    codebook = torch.randn(32, 12, generator=torch.Generator().manual_seed(0))
    path = tmp_path / f"codebook{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(
        {"quantize.embedding": codebook, "bias": torch.zeros(3)}, path
    )
    assert torch.equal(read_token_set(path, "quantize.embedding"), codebook)
    with pytest.raises(WeightsError, match=r"codebook\.\w+: no 'embedding'; it has quantize\.embedding"):
        read_token_set(path, "embedding")
    with pytest.raises(WeightsError, match=r"codebook\.\w+: expected bias to be a 2-D tensor"):
        read_token_set(path, "bias")
    settings = (f"teacher.checkpoint={path}", "teacher.source=checkpoint", "teacher.key=quantize.embedding")
    config = resolve(Options(set=settings))
    make_teacher(config, RunPaths(tmp_path))
    expected = relation_histogram(codebook, bins=40, alpha=190.0)
    torch.testing.assert_close(load_teacher(RunPaths(tmp_path), config.losses), expected)
    finer = load_teacher(RunPaths(tmp_path), LossConfig(histogram_bins=20))
    torch.testing.assert_close(finer, relation_histogram(codebook, bins=20, alpha=190.0))


def test_a_missing_checkpoint_is_named(tmp_path):
    missing = tmp_path / "nowhere.pt"
    settings = (f"teacher.checkpoint={missing}", "teacher.source=checkpoint", "teacher.key=x")
    with pytest.raises(ConfigError, match=r"teacher\.checkpoint and teacher\.key: .*nowhere\.pt: no such file"):
        make_teacher(resolve(Options(set=settings)), RunPaths(tmp_path))


def test_the_file_of_a_training_script_serves_as_teacher_as_it_is(tmp_path):
    """LlamaGen's and FQGAN's files: weights one level down, beside the script's arguments and the optimizer's state."""
    codebook = torch.randn(32, 12, generator=torch.Generator().manual_seed(0))
    state = {"quantize_sem.embedding.weight": codebook}
    args = argparse.Namespace(lr=1e-4, image_size=256, betas=[0.9, 0.95])
    torch.save({"model": state, "optimizer": {"state": {}}, "steps": 3, "args": args}, tmp_path / "theirs.pt")
    for key in ("model.quantize_sem.embedding.weight", "quantize_sem.embedding.weight"):
        assert torch.equal(read_token_set(tmp_path / "theirs.pt", key), codebook)


def test_an_unreachable_teacher_is_warned_about(tmp_path, caplog):
    """Orthogonal vectors have rms cosine 0, below what 256 codes in 8 dimensions can have."""
    save_file({"codes": torch.eye(64)}, tmp_path / "eye.safetensors")
    settings = (f"teacher.checkpoint={tmp_path / 'eye.safetensors'}", "teacher.source=checkpoint", "teacher.key=codes")
    with caplog.at_level(logging.INFO):
        make_teacher(resolve(Options(set=settings)), RunPaths(tmp_path))
    bound = math.sqrt((256 / 8 - 1) / 255)
    assert f"rms cosine 0.000 is below {bound:.3f}" in caplog.text
