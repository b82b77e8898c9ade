"""Stage II: what it starts from, what it leaves alone, when the adversary joins."""

import copy

import pytest
import torch
from safetensors.torch import load_file

import semtok.train_refiner as stage
from _support.mutants import catches
from _support.precision import with_bfloat16
from _support.seeing_tracker import assert_training_images_beside_others, pictures_shown
from _support.semtok_runs import assert_gradients_agree, generator, gradients_of_every_step, pictures, tiny
from semtok.model import SemTok
from vistok.workbench.run.tracking import read_metrics

KINDS = ("constant", "noise", "sample")


@pytest.fixture(scope="module")
def trained(stage_one):
    return SemTok.from_pretrained(stage_one / "tokenizer").eval()


@pytest.mark.parametrize("kind", KINDS)
def test_it_starts_from_stage_one(trained, kind):
    model = stage.with_refiner(trained, tiny(f"refiner.input={kind}"), None).eval()
    tokens = torch.randint(64, (3, 4), generator=generator())
    codes, noise = trained.codes(tokens), torch.randn(3, 1, 16, 16, generator=generator(1))
    ones = torch.ones(3)
    with torch.no_grad():
        images = model.refine(tokens, generator=generator(1))
        if kind == "constant":
            expected = -trained.decoder(torch.zeros_like(noise), codes, ones)
        elif kind == "noise":
            expected = noise - trained.decoder(noise, codes, ones)
        else:
            expected = trained.solve(codes, noise)
            assert torch.equal(images, trained.sample(tokens, generator=generator(1)))
        torch.testing.assert_close(images, expected.clamp(-1, 1))


@pytest.mark.parametrize("kind", KINDS)
def test_encoder_quantizer_and_decoder_stay_as_they_are_to_the_bit(trained_run, kind):
    _, paths = trained_run
    stage.train_refiner(tiny(f"refiner.input={kind}"), paths, resume=False)
    before, after = (load_file(folder / "model.safetensors") for folder in (paths.tokenizer, paths.refined))
    assert all(torch.equal(after[name], value) for name, value in before.items())
    added = {name for name in after if name not in before}
    assert added
    assert all(name.startswith("refiner.") for name in added)
    moved = [n for n in added if n.startswith("refiner.network") and not torch.equal(after[n], after[_twin(n)])]
    assert "refiner.network.out.weight" in moved
    if kind == "constant":
        assert after["refiner.constant"].abs().max() > 0
    loaded = SemTok.from_pretrained(paths.refined).eval()
    assert loaded.refiner.kind == kind
    assert torch.equal(loaded.encode(pictures()), SemTok.from_pretrained(paths.tokenizer).eval().encode(pictures()))


def _twin(name):
    return name.replace("refiner.network", "decoder")


def test_the_adversary_joins_at_its_step_and_not_before(stage_two):
    lines = [line for line in read_metrics(stage_two / "metrics.jsonl") if line["stage"] == "refiner"]
    assert [("discriminator" in line, "adversarial" in line) for line in lines] == [(False, False)] * 3 + [
        (True, True)
    ] * 3
    assert all({"reconstruction", "perceptual"} <= set(line) for line in lines)


@catches("semtok.train_refiner", "= batches[-1].images, fakes[-1]", "= fakes[-1], batches[-1].images")
def test_trackers_see_training_images_beside_their_reconstructions(trained_run, monkeypatch):
    _, paths = trained_run
    shown = pictures_shown(monkeypatch)
    config = tiny("train_refiner.steps=2", "train_refiner.track=[tensorboard]", "refiner.perceptual_weight=0")
    stage.train_refiner(config, paths, resume=False)
    ((step, pairs),) = shown
    assert (step, pairs.shape) == (2, (8, 16, 32, 1))
    assert_training_images_beside_others(pairs, config)


def test_the_refiner_trains_on_the_tokens_that_every_other_stage_sees(trained_run, monkeypatch):
    """Encoded in float32 also under bf16: an encoder under autocast gives other bits here and there."""
    with_bfloat16(monkeypatch)
    _, paths = trained_run
    seen, given = [], stage.inputs

    def watched(tokenizer, images, *others):
        start, codes, hidden = given(tokenizer, images, *others)
        seen.append((images, codes))
        return start, codes, hidden

    monkeypatch.setattr(stage, "inputs", watched)
    stage.train_refiner(tiny("train_refiner.steps=2", "train_refiner.mixed_precision=bf16"), paths, resume=False)
    tokenizer = SemTok.from_pretrained(paths.tokenizer).eval()
    assert len(seen) == 2
    for images, codes in seen:
        assert torch.equal(codes, tokenizer.codes(tokenizer.encode(images)))


def test_micro_batches_add_up_to_the_whole_batch_with_the_discriminator(trained_run, monkeypatch):
    _, paths = trained_run
    seen, logs = gradients_of_every_step(monkeypatch), []
    for accumulation in (1, 4):
        changes = (
            "refiner.discriminator_start=0",
            "train_refiner.steps=1",
            f"train_refiner.accumulation={accumulation}",
        )
        stage.train_refiner(tiny(*changes), paths, resume=False)
        logs.append(read_metrics(paths.metrics)[-1])
    whole, whole_of_discriminator, parts, parts_of_discriminator = seen
    assert_gradients_agree(whole, parts)
    assert_gradients_agree(whole_of_discriminator, parts_of_discriminator)
    one, four = logs
    for name in ("reconstruction", "perceptual", "adversarial", "discriminator"):
        assert four[name] == pytest.approx(one[name], rel=1e-3, abs=1e-6)


def test_the_refiners_step_leaves_no_trace_in_the_discriminator(trained_run, monkeypatch):
    """When the discriminator's own step begins it is as it was left, without a gradient."""
    _, paths = trained_run
    seen = []
    own_step = stage.discriminator_step

    def watched(learner, *given):
        discriminator = learner.model
        seen.append([(p.detach().clone(), p.grad, p.requires_grad) for p in discriminator.parameters()])
        result = own_step(learner, *given)
        seen.append([(p.detach().clone(), None, True) for p in discriminator.parameters()])
        discriminator.zero_grad(set_to_none=True)
        return result

    monkeypatch.setattr(stage, "discriminator_step", watched)
    stage.train_refiner(tiny("refiner.discriminator_start=0", "train_refiner.steps=3"), paths, resume=False)
    assert len(seen) == 6
    assert all(grad is None and learns for before in seen[::2] for _, grad, learns in before)
    for left, found in ((seen[1], seen[2]), (seen[3], seen[4])):
        assert all(torch.equal(a, b) for (a, *_), (b, *_) in zip(left, found, strict=True))
    assert any(not torch.equal(a, b) for (a, *_), (b, *_) in zip(seen[0], seen[1], strict=True))


def test_its_inputs_do_not_depend_on_how_the_batch_is_divided(trained):
    config, images = tiny("refiner.input=sample"), pictures(6)
    places = torch.arange(6)
    whole = stage.inputs(trained, images, places, 2, config)
    parts = [stage.inputs(trained, images[i : i + 2], places[i : i + 2], 2, config) for i in (0, 2, 4)]
    for index, value in enumerate(whole):
        torch.testing.assert_close(torch.cat([part[index] for part in parts]).float(), value.float())


def test_it_is_given_noise_or_a_sample_of_stage_one(trained):
    images, places = pictures(4), torch.arange(4)
    noise, codes, hidden = stage.inputs(trained, images, places, 0, tiny("refiner.input=noise"))
    config = tiny("refiner.input=sample")
    sample, same, _ = stage.inputs(trained, images, places, 0, config)
    assert torch.equal(codes, same)
    with torch.no_grad():
        torch.testing.assert_close(sample, trained.solve(codes, noise, config.sampler, hidden))


def test_the_total_is_weighted_and_the_pixel_term_is_the_one_asked_for(trained):
    config = tiny("refiner.reconstruction=l2", "refiner.perceptual_weight=0.3", "refiner.adversarial_weight=0.2")
    terms = stage.LossTerms(config.refiner)
    one, two = pictures(seed=1), pictures(seed=2)
    adversary = copy.deepcopy(torch.nn.Conv2d(1, 1, 4, 4))
    values = terms(one, two, adversary(two))
    torch.testing.assert_close(values["reconstruction"], (one - two).square().mean())
    torch.testing.assert_close(values["adversarial"], -adversary(two).mean())
    expected = values["reconstruction"] + 0.3 * values["perceptual"] + 0.2 * values["adversarial"]
    torch.testing.assert_close(terms.total(values), expected)
    l1 = stage.LossTerms(tiny().refiner)(one, two, None)
    torch.testing.assert_close(l1["reconstruction"], (one - two).abs().mean())
    assert set(l1) == {"reconstruction", "perceptual"}


def test_half_precision_trains_and_keeps_float32_weights(trained_run, monkeypatch):
    with_bfloat16(monkeypatch)
    _, paths = trained_run
    changes = ("train_refiner.mixed_precision=bf16", "train_refiner.steps=2", "refiner.discriminator_start=0")
    stage.train_refiner(tiny(*changes), paths, resume=False)
    saved = load_file(paths.refined / "model.safetensors")
    assert all(value.dtype == torch.float32 and bool(value.isfinite().all()) for value in saved.values())


@catches("semtok.train_refiner", "images.clamp(-1, 1) - images", "images.clamp(-1, 1) * 0")
@catches("semtok.train_refiner", "(images.clamp(-1, 1) - images).detach()", "(images.clamp(-1, 1) - images)")
def test_images_as_shown_are_clamped_and_their_gradient_passes_straight_through():
    images = torch.tensor([-3.0, -1.0, 0.25, 1.5], requires_grad=True)
    shown, weights = stage.as_shown(images), torch.tensor([2.0, -1.0, 0.5, 4.0])
    torch.testing.assert_close(shown, torch.tensor([-1.0, -1.0, 0.25, 1.0]))
    (shown * weights).sum().backward()
    assert torch.equal(images.grad, weights)


@catches("semtok.train_refiner", "as_shown(tokenizer.from_space(refiner.model(*given)))", "refiner.model(*given)")
def test_losses_and_the_discriminator_see_images_as_they_are_shown(trained_run, monkeypatch):
    _, paths = trained_run
    seen, loss, own_step = [], stage.reconstruction_loss, stage.discriminator_step

    def watched(reconstruction, *others, **options):
        seen.append(reconstruction.detach())
        return loss(reconstruction, *others, **options)

    def watched_step(learner, reals, fakes, *others):
        seen.extend(fakes)
        return own_step(learner, reals, fakes, *others)

    monkeypatch.setattr(stage, "reconstruction_loss", watched)
    monkeypatch.setattr(stage, "discriminator_step", watched_step)
    monkeypatch.setattr(SemTok, "from_space", lambda self, values: 999 * values.float())
    stage.train_refiner(tiny("train_refiner.steps=1", "refiner.discriminator_start=0"), paths, resume=False)
    assert len(seen) == 2
    for images in seen:
        assert images.abs().max() <= 1 + 1e-5
        assert (images.abs() > 1 - 1e-5).any()
