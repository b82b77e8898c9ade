"""The training step: each quantizer's terms, exact accumulation, codes that start well and stay alive."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from accelerate import Accelerator

import vqgan.train_tokenizer as stage
from _support.mutants import catches
from _support.recipe_processes import assert_same_training, launched
from _support.seeing_tracker import assert_training_images_beside_others, pictures_shown
from _support.vqgan_runs import QUANTIZERS, tiny, with_quantizer
from vistok.losses import PatchGANDiscriminator, chroma_loss
from vistok.workbench.config import ConfigError
from vistok.workbench.data import load_images
from vistok.workbench.run.tracking import read_metrics
from vistok.workbench.training.finite import FiniteLosses
from vistok.workbench.training.update import Learner
from vistok.workbench.training.weight_average import weight_average
from vqgan.cli import COMMANDS
from vqgan.model import VQGAN

SUBJECT = "vqgan.train_tokenizer"
IMAGES = load_images("digits", image_size=16)


def parts(*changes):
    config = tiny("losses.perceptual_weight=0", *changes)
    torch.manual_seed(0)
    return config, VQGAN(config.tokenizer), stage.LossTerms(config.losses, config.tokenizer.quantizer)


def terms_of(model, terms, images, logits=None):
    return terms(images, model(images), model.quantizer, logits)


def updated(config, model, terms, micro_batches, folder, adversary=None):
    """The network after one step of plain gradient descent, the terms and the features."""
    model = copy.deepcopy(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    learner = Learner(model, optimizer, Accelerator(cpu=True), config.train, FiniteLosses(folder))
    log, _, features = stage.generator_step(learner, terms, adversary, micro_batches, 0)
    return model, log, features


@pytest.mark.parametrize("name", sorted(set(QUANTIZERS) - {"lfq", "bsq", "ibq"}))  # an entropy is no mean over tokens
def test_accumulated_micro_batches_equal_the_whole_batch(name, tmp_path):
    config, model, terms = parts(with_quantizer(name))
    images = IMAGES.train.batch(torch.arange(8))
    whole, halves = (updated(config, model, terms, list(images.chunk(n)), tmp_path) for n in (1, 2))
    for (key, p), q in zip(whole[0].state_dict().items(), halves[0].state_dict().values(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-3, atol=1e-5, msg=lambda text, key=key: f"{key}: {text}")
    for key in whole[1]:
        torch.testing.assert_close(whole[1][key], halves[1][key], rtol=1e-4, atol=1e-6)


@catches(SUBJECT, "if not isinstance(self.kind, FiniteScalarConfig):", "if isinstance(self.kind, BitsConfig):")
@catches(SUBJECT, "if self.config.entropy_weight:", "if self.config.entropy_weight is not None:")
def test_each_quantizer_has_the_terms_that_it_needs():
    expected = {name: {"reconstruction", "quantization"} for name in QUANTIZERS} | {"fsq": {"reconstruction"}}
    expected |= {name: {"reconstruction", "quantization", "entropy"} for name in ("lfq", "bsq", "ibq")}
    for name, wanted in expected.items():
        config = tiny(with_quantizer(name), "losses.perceptual_weight=0")
        model, terms = VQGAN(config.tokenizer), stage.LossTerms(config.losses, config.tokenizer.quantizer)
        assert set(terms_of(model, terms, IMAGES.train.batch([0, 1]))) == wanted, name


def bit_entropies(logits):
    """Sample and codebook entropy of groups of bits by enumeration of all codes, ``(tokens, groups, bits)``."""
    count = logits.shape[-1]
    codes = torch.tensor([[code >> bit & 1 for bit in range(count)] for code in range(2**count)]).double() * 2 - 1
    p = F.softmax(torch.einsum("tgb,cb->tgc", logits, codes) / 2, dim=-1)
    entropy = lambda x: -(x * x.clamp_min(1e-300).log()).sum(-1)  # noqa: E731
    return entropy(p).sum(1).mean(), entropy(p.mean(0)).sum()


@catches(SUBJECT, "binary_spherical_entropy_loss if spherical", "lookup_free_entropy_loss if spherical")
@catches(SUBJECT, "group_bits=kind.bits // kind.num_groups", "group_bits=kind.num_groups")
@catches(SUBJECT, '"codebook_weight": config.entropy_codebook_weight', '"codebook_weight": config.entropy_temperature')
def test_the_entropy_of_bits_is_that_of_the_paper_group_by_group():
    for name, groups, scale in (("lfq", 2, 1.0), ("bsq", 1, 6**-0.5)):
        _, model, terms = parts(
            with_quantizer(name), "losses.entropy_temperature=0.5", "losses.entropy_codebook_weight=3"
        )
        images = IMAGES.train.batch([0, 1])
        out = model(images)
        rows = out.features.detach().double().movedim(1, -1).reshape(-1, groups, 6 // groups)
        sample, codebook = bit_entropies(4 * scale * rows / 0.5)
        found = terms(images, out, model.quantizer, None)["entropy"]
        torch.testing.assert_close(found.double(), sample - 3 * codebook, rtol=1e-3, atol=1e-4)


@catches(SUBJECT, "quantizer.indices_to_codes(every[None])[0].T", "quantizer.codebook.detach()")
def test_the_entropy_of_vectors_compares_with_the_codes_as_they_are_used_and_trains_them():
    config, model, terms = parts(with_quantizer("gradient"), "losses.entropy_weight=1")
    images = IMAGES.train.batch([0, 1])
    with torch.no_grad():
        model.quantizer.weight.mul_(7)  # their direction is what counts
    found = terms_of(model, terms, images)["entropy"]
    rows = model(images).features.detach().double().movedim(1, -1).reshape(-1, 4)
    codes = F.normalize(model.quantizer.weight.detach().double(), dim=1)
    p = F.softmax(-(torch.cdist(rows, codes) ** 2) / config.losses.entropy_temperature, dim=1)
    entropies = [-torch.special.xlogy(x, x).sum(-1).mean() for x in (p, p.mean(0))]
    torch.testing.assert_close(found.double(), entropies[0] - entropies[1], rtol=1e-3, atol=1e-4)
    found.backward()
    assert model.quantizer.weight.grad.any()


@catches(SUBJECT, "quantizer.entropy if config.entropy_weight is None else", "quantizer.entropy or")
@catches(SUBJECT, "return weighted_sum(terms, self.config)", "return sum(terms.values())")
def test_the_total_weighs_each_term_the_entropy_as_the_kind_needs_it_unless_told():
    values = {"reconstruction": torch.tensor(1.0), "quantization": torch.tensor(10.0), "entropy": torch.tensor(100.0)}
    for changes, weight in (([], 0.02), (["losses.entropy_weight=0.3"], 0.3), (["losses.entropy_weight=0"], 0.0)):
        config = tiny(with_quantizer("bsq"), "losses.perceptual_weight=0", "losses.quantization_weight=2", *changes)
        total = stage.LossTerms(config.losses, config.tokenizer.quantizer).total(values)
        assert total.item() == pytest.approx(1 + 20 + 100 * weight)


def test_a_chroma_term_counts_wrong_colours_once_more():
    config, model, _ = parts("tokenizer.image_channels=3", "losses.chroma_weight=3")
    terms = stage.LossTerms(config.losses, config.tokenizer.quantizer)
    images = torch.rand(2, 3, 16, 16) * 2 - 1
    values = terms_of(model, terms, images)
    torch.testing.assert_close(values["chroma"], chroma_loss(model(images).reconstruction, images))


@catches(SUBJECT, "    with frozen(adversary):", "    if True:")
def test_the_generators_step_leaves_no_trace_in_the_discriminator(tmp_path):
    config, model, terms = parts()
    discriminator = PatchGANDiscriminator(1, 8, 1, norm="group")
    _, log, features = updated(config, model, terms, [IMAGES.train.batch(torch.arange(4))], tmp_path, discriminator)
    assert "adversarial" in log
    assert features.shape == (4, 8, 8, 8)
    assert all(p.grad is None and p.requires_grad for p in discriminator.parameters())


def test_the_discriminator_learns_only_from_its_start_step(tiny_run):
    options, paths = tiny_run
    COMMANDS["train-tokenizer"](options)
    lines = read_metrics(paths.metrics)
    assert [("discriminator" in line, "adversarial" in line) for line in lines] == [(False, False)] * 3 + [
        (True, True)
    ] * 3
    assert [("revived" in line) for line in lines] == [False, True, False, True, False, False]


@catches(SUBJECT, "= reals[-1], fakes[-1]", "= fakes[-1], reals[-1]")
def test_trackers_see_training_images_beside_their_reconstructions(tiny_run, monkeypatch):
    _, paths = tiny_run
    shown = pictures_shown(monkeypatch)
    config = tiny("train.steps=2", "train.track=[tensorboard]", "losses.perceptual_weight=0")
    stage.train_tokenizer(config, paths, resume=False)
    ((step, pairs),) = shown
    assert (step, pairs.shape) == (2, (8, 16, 32, 1))
    assert_training_images_beside_others(pairs, config)


@catches(SUBJECT, "model.quantizer.initialize(torch.cat(features)", "model.quantizer.initialize(features[0]")
def test_codes_start_as_the_centres_of_features_of_many_images():
    config, model, _ = parts("tokenizer.quantizer={kind: vector, codebook_size: 300}")
    seen = []
    model.quantizer.initialize = lambda z, **_: seen.append(z.shape)
    stage.initialize_codebook(model, IMAGES.train, config, Accelerator(cpu=True))
    assert seen == [(75, 8, 8, 8)]  # 16 features a code, 64 an image


def test_codes_that_the_images_cannot_feed_are_told_in_one_line():
    config, model, _ = parts("tokenizer.quantizer={kind: vector, codebook_size: 10000}")
    few = IMAGES.train.__class__.__len__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(IMAGES.train), "__len__", lambda self: 20)
        with pytest.raises(ConfigError, match=r"k_means of 10,000 codes .* 20 images have 1,280; set it to random"):
            stage.initialize_codebook(model, IMAGES.train, config, Accelerator(cpu=True))
    assert few(IMAGES.train) > 20


@catches(SUBJECT, "follow_replaced_rows(quantizer.codebook, averaged.codebook, rows, optimizer)", "pass")
@catches(SUBJECT, "averaged.codebook, rows, optimizer)", "quantizer.codebook, rows, optimizer)")
def test_revived_codes_reach_the_average_and_have_no_moments():
    for name in ("gradient", "ema"):
        config, model, terms = parts(with_quantizer(name), "train.revive_every=1")
        average = weight_average(model, 0.9)
        optimizer = torch.optim.Adam(model.parameters())
        model.train()
        loss = terms.total(terms_of(model, terms, IMAGES.train.batch([0, 1])))
        loss.backward()
        optimizer.step()
        model.quantizer.steps_unused.fill_(0)
        model.quantizer.steps_unused[[3, 5]] = 4
        features = torch.randn(2, 4, 8, 8)
        revived = stage.revive_codebook(model, average, optimizer, features, config, 0)
        assert revived.item() == 2
        book = model.quantizer.codebook
        assert torch.equal(average.module.quantizer.codebook[[3, 5]], book[[3, 5]])
        rows = model.quantizer.to_code_space(features).movedim(1, -1).reshape(-1, 4)
        assert all((rows - book[row]).abs().amax(1).min() < 1e-6 for row in (3, 5))
        state = optimizer.state.get(book, {})
        assert bool(state) == (name == "gradient")
        for moment in state.values():
            if moment.shape == book.shape:
                assert not moment[[3, 5]].any()
                assert moment.any()


@pytest.mark.parametrize("name", QUANTIZERS)
def test_a_short_training_lowers_the_error_with_every_quantizer(name, tiny_run):
    options, paths = tiny_run
    COMMANDS["train-tokenizer"](
        replace(options, set=(with_quantizer(name), "train.steps=12", "train.learning_rate=3e-3"))
    )
    errors = [line["reconstruction"] for line in read_metrics(paths.metrics)]
    assert errors[-1] < 0.8 * errors[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gradient", "ema", "projected", "ibq", "residual", "fsq", "lfq", "bsq"])
def test_two_processes_that_share_all_weights_follow_one(name, tiny_run, tmp_path):
    """Every quantizer stays whole on both, and learns as it does on one."""
    options, paths = tiny_run
    one = replace(options, set=("train.learning_rate=1e-4", "train.ema_decay=0.5", with_quantizer(name)))
    settings = [word for value in (*one.set, "train.sharding=full") for word in ("--set", value)]
    COMMANDS["train-tokenizer"](one)
    arguments = ("--config", one.config, "--runs", tmp_path / "two", *settings)
    done = launched(2, "-m", "vqgan", "train-tokenizer", *arguments, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    assert_same_training(paths.folder, tmp_path / "two" / "tiny", "tokenizer", "tokenizer/model.safetensors", steps=6)
