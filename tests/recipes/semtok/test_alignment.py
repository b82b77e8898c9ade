"""What the encoder is aligned to: computed once or at every step, the same; flipped like the image; never stale."""

import json
from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from _support.image_files import photographs, png
from _support.mutants import catches
from _support.semtok_runs import TINY, generator, pictures, tiny, tiny_tokenizer
from semtok import alignment, train_tokenizer
from semtok.alignment import AlignmentHeads, Targets, TargetSource, alignment_loss
from semtok.cli import COMMANDS, Options
from semtok.draws import draw
from semtok.model import SemTok
from semtok.paths import RunPaths
from vistok.metrics import FeatureBackbone
from vistok.workbench.data import ImageSet, load_images
from vistok.workbench.recipe_config import DataConfig
from vistok.workbench.run.tensor_files import load_tensors, tensor_metadata
from vistok.workbench.training.loop import TrainConfig
from vistok.workbench.training.micro_batches import MicroBatch, training_batches

SUBJECT = "semtok.alignment"


@pytest.fixture(scope="module")
def few():
    """Twelve digits."""
    digits = load_images("digits", image_size=16).train
    return ImageSet(digits.images[:12], digits.labels[:12], digits.class_names, "twelve")


def sources(few, folder, *overrides):
    """Targets from the cache and from the backbone."""
    return [
        TargetSource(tiny(f"alignment.cache={cache}", *overrides), RunPaths(folder), few, Accelerator(cpu=True))
        for cache in ("true", "false")
    ]


def test_cached_targets_are_those_of_the_backbone_for_flipped_images_too(few, tmp_path):
    cached, live = sources(few, tmp_path, "data.horizontal_flip=true", "alignment.image_size=64")
    settings, one = TrainConfig(steps=3, batch_size=6), Accelerator(cpu=True)
    for (batch,) in training_batches(few, settings, DataConfig(horizontal_flip=True), one, start=0, seed=0):
        assert batch.flips.any()
        for ours, theirs in zip(cached(batch), live(batch), strict=True):
            assert ours.shape == theirs.shape
            assert ours.dtype == torch.float32
            torch.testing.assert_close(ours, theirs, rtol=2e-3, atol=2e-3)
    other = batch._replace(flips=~batch.flips)
    assert (cached(other).patches - live(batch).patches).abs().max() > 0.05


def test_the_cache_is_in_half_precision_and_has_a_record(few, tmp_path):
    source, _ = sources(few, tmp_path)
    stored = load_file(RunPaths(tmp_path).alignment)
    assert {name: (value.dtype, tuple(value.shape)) for name, value in stored.items()} == {
        "patches": (torch.float16, (1, 12, 1, 1, source.dim)),
        "pooled": (torch.float16, (1, 12, source.dim)),
    }
    record = json.loads(tensor_metadata(RunPaths(tmp_path).alignment)["made_from"])
    assert (record["images"], record["backbone"], record["weights"]) == (12, "lite0", source.backbone.fingerprint())


def test_the_cache_is_made_once(few, tmp_path, monkeypatch):
    first, _ = sources(few, tmp_path)
    monkeypatch.setattr(alignment, "backbone_features", lambda *_: pytest.fail("computed again"))
    again, _ = sources(few, tmp_path)
    assert all(torch.equal(first.cache[name], again.cache[name]) for name in first.cache)


def test_a_damaged_cache_is_made_again(few, tmp_path):
    first, _ = sources(few, tmp_path)
    before = {name: tensor.clone() for name, tensor in first.cache.items()}  # the file itself lies under them
    path = RunPaths(tmp_path).alignment
    data = bytearray(path.read_bytes())
    data[-9] ^= 4
    path.write_bytes(data)
    again, _ = sources(few, tmp_path)
    assert all(torch.equal(before[name], again.cache[name]) for name in before)


@catches(SUBJECT, "== made_from", "is not None")
@catches(SUBJECT, '        "image_size": config.alignment.image_size,\n', "")
@catches(SUBJECT, '        "images": len(train),\n', "")
def test_a_cache_of_other_images_or_sizes_is_made_again(few, tmp_path, caplog):
    caplog.set_level("INFO")
    fewer = ImageSet(few.images[:10], few.labels[:10], few.class_names, "ten")
    for stale, images, size in ((False, few, 32), (True, few, 64), (True, fewer, 64)):
        caplog.clear()
        cached, live = sources(images, tmp_path, f"alignment.image_size={size}")
        assert ("alignment.safetensors: not known to be of these images and this backbone" in caplog.text) == stale
        everything = torch.arange(len(images))
        batch = MicroBatch(images.batch(everything), everything, torch.zeros(len(images), dtype=torch.bool))
        torch.testing.assert_close(cached(batch).patches, live(batch).patches, rtol=2e-3, atol=2e-3)


@catches(SUBJECT, "config.data.load().checksum or config.data.source}", "config.data.source}")
@catches(SUBJECT, "{**config.data.recorded(), ", "{")
def test_a_cache_keeps_to_its_images_wherever_they_lie(tmp_path, monkeypatch):
    """Not to those that lie there now, be they as many; nor to another part of them."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "tables"))

    def pooled(folder, *overrides):
        config = tiny(f"data.source={folder}", *overrides)
        return TargetSource(config, RunPaths(tmp_path), config.data.load().train, Accelerator(cpu=True)).cache["pooled"]

    folder, moved = tmp_path / "images", tmp_path / "elsewhere"
    for split in ("train", "validation"):
        photographs(folder / split)
    before = pooled(folder)
    folder.rename(moved)
    with monkeypatch.context() as patch:
        patch.setattr(alignment, "backbone_features", lambda *_: pytest.fail("computed again"))
        assert torch.equal(pooled(moved), before)
    larger = pooled(moved, "data.image_size=32", "tokenizer.image_size=32")
    assert not torch.equal(larger, before)
    assert torch.equal(pooled(moved), before)
    for path in sorted(moved.glob("train/*/*.png")):
        path.with_name(f"grey-{path.name}").write_bytes(png((9, 9, 9)))
        path.unlink()
    grey = pooled(moved)
    assert grey.shape == before.shape
    assert grey.unique(dim=1).shape[1] == 1


def test_a_training_that_is_begun_again_may_align_to_other_features(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "tables"))
    options = Options(config=TINY, runs=tmp_path, data=str(photographs(tmp_path / "images")), fresh=True)
    colour = ("tokenizer.image_channels=3", "tokenizer.patch_size=2")
    for size, grid in ((32, (1, 1)), (64, (2, 2))):
        COMMANDS["train-tokenizer"](replace(options, set=(*colour, f"alignment.image_size={size}")))
        assert load_tensors(RunPaths(tmp_path / "tiny").alignment)["patches"].shape[2:4] == grid


def test_no_backbone_is_built_for_what_has_no_weight(tiny_run, monkeypatch):
    built = []
    construct = FeatureBackbone.__init__

    def counted(self, name="lite0", **options):
        built.append(name)
        construct(self, name, **options)

    monkeypatch.setattr(FeatureBackbone, "__init__", counted)
    _, paths = tiny_run
    plain = ("losses.alignment_weight=0", "train.steps=2")
    train_tokenizer.train_tokenizer(tiny(*plain, "losses.perceptual_weight=0"), paths, resume=False)
    assert built == []
    train_tokenizer.train_tokenizer(tiny(*plain), paths, resume=False)
    assert built == ["lite0"]
    assert '"alignment"' not in paths.metrics.read_text()


@pytest.mark.parametrize("grid", [(1, 1), (2, 2), (4, 4), (7, 3)])
def test_the_heads_answer_on_any_grid(grid):
    heads = AlignmentHeads(16, 4, 6, 8, 20)
    patches = torch.randn(2, 4, 4, 16)
    out = heads(patches, torch.randn(2, 4, 6), grid)
    assert out.patches.shape == (2, *grid, 20)
    assert out.pooled.shape == (2, 20)
    if grid == (4, 4):
        torch.testing.assert_close(out.patches, heads.patch_head(patches))


def test_a_uniform_stream_stays_uniform_on_another_grid():
    heads = AlignmentHeads(16, 4, 6, 8, 20)
    row = torch.randn(1, 1, 1, 16)
    out = heads(row.expand(1, 4, 4, 16), torch.randn(1, 4, 6), (2, 3))
    torch.testing.assert_close(out.patches, heads.patch_head(row).expand(1, 2, 3, 20))


@pytest.mark.parametrize("queries", ["features", "codes"])
def test_alignment_reaches_the_encoder_and_both_heads_but_not_the_decoder(queries):
    config = tiny(f"alignment.queries={queries}")
    torch.manual_seed(0)
    model = train_tokenizer.StageOne(config, tiny_tokenizer(), 5)
    targets = Targets(torch.randn(3, 2, 2, 5), torch.randn(3, 5))
    out, predicted = model(pictures(), draw(torch.arange(3), 0, 0, config.tokenizer, config.losses), targets)
    alignment_loss(predicted, targets).backward()
    moved = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    assert {name.split(".")[0] for name in moved} == {"tokenizer", "heads"}
    assert not any(name.startswith("tokenizer.decoder") for name in moved)
    assert {"tokenizer.encoder.queries", "tokenizer.encoder.to_bits.weight", "tokenizer.encoder.embed.weight"} <= moved
    assert {"heads.patch_head.0.weight", "heads.query_head.0.weight"} <= moved
    given = out.quantized if queries == "codes" else torch.nn.functional.normalize(out.features, dim=-1)
    torch.testing.assert_close(predicted.pooled, model.heads.query_head(given.flatten(1)))


def test_the_flow_term_trains_the_encoder_through_the_bits():
    config = tiny("losses.perceptual_weight=0")
    tokenizer = tiny_tokenizer()
    draws = draw(torch.arange(3), 0, 0, config.tokenizer, config.losses)._replace(
        hidden=torch.zeros(3, 4, dtype=torch.bool)
    )
    terms = train_tokenizer.LossTerms(config.losses, tokenizer)
    terms(pictures(), draws, tokenizer(pictures(), draws))["flow"].backward()
    for parameter in (tokenizer.encoder.queries, tokenizer.encoder.to_bits.weight, tokenizer.decoder.out.weight):
        assert parameter.grad.abs().max() > 0
    hidden = SemTok.zero_grad(tokenizer) or draws._replace(hidden=torch.ones(3, 4, dtype=torch.bool))
    terms(pictures(), hidden, tokenizer(pictures(), hidden))["flow"].backward()
    assert tokenizer.encoder.to_bits.weight.grad is None or tokenizer.encoder.to_bits.weight.grad.abs().max() == 0
    assert tokenizer.decoder.unseen.grad.abs().max() > 0


@catches(SUBJECT, "getattr(targets, f), channel_dim", "getattr(targets, f).flip(-1), channel_dim")
def test_the_loss_is_the_sum_of_two_mean_cosine_distances():
    a, b = (torch.randn(3, 2, 2, 5, generator=generator(seed)) for seed in (4, 5))
    c, d = (torch.randn(3, 5, generator=generator(seed)) for seed in (6, 7))
    value = alignment_loss(Targets(a, c), Targets(b, d))

    def cosine(one, other):
        one, other = one.double(), other.double()
        return (one * other).sum(-1) / (one.square().sum(-1) * other.square().sum(-1)).sqrt()

    expected = (1 - cosine(a, b)).mean() + (1 - cosine(c, d)).mean()
    torch.testing.assert_close(value.double(), expected, rtol=1e-4, atol=1e-5)


@catches(SUBJECT, "batch.flips.long()", "torch.zeros_like(batch.indices)")
@catches(SUBJECT, "batch.flips.long()", "1 - batch.flips.long()")
def test_targets_are_picked_by_image_and_flip():
    """Image 2 as it is, image 0 flipped."""
    source = TargetSource.__new__(TargetSource)
    patches, pooled = torch.arange(6.0).view(2, 3, 1, 1, 1), torch.arange(6.0).view(2, 3, 1) + 10
    source.cache, source.device = {"patches": patches.half(), "pooled": pooled.half()}, torch.device("cpu")
    targets = source(MicroBatch(pictures(2), torch.tensor([2, 0]), torch.tensor([False, True])))
    assert targets.patches.flatten().tolist() == [2.0, 3.0]
    assert targets.pooled.flatten().tolist() == [12.0, 13.0]


@catches(SUBJECT, '"queries": ("pooled",)', '"queries": ("patches",)')
@catches(SUBJECT, "torch.stack(terms).sum()", "torch.stack(terms).mean()")
def test_one_of_both_streams_can_be_aligned_alone():
    torch.manual_seed(0)
    targets, predicted = (Targets(torch.randn(2, 3, 3, 5), torch.randn(2, 5)) for _ in range(2))
    patches, queries, both = (alignment_loss(predicted, targets, kind) for kind in ("patches", "queries", "both"))
    wanted = 1 - torch.nn.functional.cosine_similarity(predicted.pooled.double(), targets.pooled.double()).mean()
    torch.testing.assert_close(queries.double(), wanted)
    torch.testing.assert_close(patches + queries, both)
    assert not torch.isclose(patches, queries)
