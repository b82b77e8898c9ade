"""Nested dropout: which tokens the second decoding of a step sees, what it costs, and that it is off by default."""

import math
import shutil

import pytest
import torch
from accelerate import Accelerator

import semtok.train_refiner as second
import semtok.train_tokenizer as first
from _support.mutants import catches
from _support.recipe_processes import of_stage
from _support.semtok_runs import generator, pictures, tiny, tiny_tokenizer
from semtok.draws import draw
from semtok.nested import from_all_and_some, nested_hidden, nested_length
from vistok.workbench.config import ConfigError
from vistok.workbench.training.finite import FiniteLosses
from vistok.workbench.training.micro_batches import MicroBatch
from vistok.workbench.training.update import Learner

SUBJECT = "semtok.nested"
PLACES = torch.arange(6)


def losses(**changes):
    return tiny().losses.model_copy(update={"nested_weight": 1.0, **changes})


@catches(SUBJECT, "num_tokens**place if", "1 + num_tokens**place if")
@catches(SUBJECT, "1 + place * (num_tokens - 1)", "place * num_tokens")
def test_lengths_are_uniform_or_uniform_in_the_logarithm():
    """The whole sequence has the other half of the step, and no token at all is what hides them all."""
    places = [(i + 0.5) / 20_000 for i in range(20_000)]
    for kind, share in (
        ("log_uniform", lambda k: math.log((k + 1) / k) / math.log(9)),
        ("uniform", lambda k: 1 / 8),
    ):
        found = [nested_length(9, kind, place) for place in places]
        for k in range(1, 9):
            assert found.count(k) / len(found) == pytest.approx(share(k), abs=1e-3)
        assert set(found) == set(range(1, 9))
        assert nested_length(9, kind, 1.0) == 8


@catches(SUBJECT, "rank >= length", "rank > length")
@catches(SUBJECT, '== "both" and coin', '!= "both" and coin')
@catches(SUBJECT, "coin < _BOTH", "place < _BOTH")
@catches(SUBJECT, "torch.arange(num_tokens) if prefix", "torch.arange(num_tokens).flip(0) if prefix")
def test_what_is_kept_is_a_prefix_or_scattered_or_each_half_of_the_time():
    shares = {}
    for kind in ("prefix", "scattered", "both"):
        source, settings = generator(5), losses(nested_sets=kind)
        hidden = torch.stack([nested_hidden(9, settings, source) for _ in range(600)])
        assert not hidden.all(dim=1).any()
        assert hidden.any(dim=1).all()
        seen = (~hidden).sum(dim=1)
        assert set(seen.tolist()) == set(range(1, 9))
        prefix = (hidden == (torch.arange(9) >= seen[:, None])).all(dim=1)
        few = seen < 4
        shares[kind] = prefix[few].double().mean().item()
        assert (~hidden[:, -1]).double().mean() > 0.1 or kind == "prefix"
    assert shares["prefix"] == 1
    assert shares["scattered"] < 0.2
    assert 0.45 < shares["both"] < 0.65


@catches("semtok.draws", "if losses.nested_weight:", "if True:")
def test_times_noise_and_hidden_tokens_are_those_of_training_without_it():
    plain, more = (draw(PLACES, 3, 1, tiny().tokenizer, losses(nested_weight=weight)) for weight in (0.0, 1.0))
    assert plain.nested is None
    assert more.nested.shape == (6, 4)
    assert all(torch.equal(getattr(plain, name), getattr(more, name)) for name in ("t", "noise", "hidden"))


@catches(SUBJECT, "torch.cat([hidden, nested])", "torch.cat([nested, hidden])")
@catches(SUBJECT, "torch.cat([batch, batch])", "batch.repeat_interleave(2, dim=0)")
def test_one_batch_holds_both_decodings():
    tokenizer, x = tiny_tokenizer(), torch.randn(3, 1, 16, 16, generator=generator())
    codes, t = torch.randn(3, 4, 6, generator=generator(1)), torch.tensor([0.1, 0.5, 0.9])
    hidden, nested = torch.arange(4) >= torch.tensor([[4], [2], [0]]), torch.arange(4) >= torch.tensor([[1], [1], [3]])
    with torch.no_grad():
        whole, some = from_all_and_some(tokenizer.decoder, x, codes, t, hidden, nested)
        torch.testing.assert_close(whole, tokenizer.decoder(x, codes, t, hidden), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(some, tokenizer.decoder(x, codes, t, nested), rtol=1e-4, atol=1e-5)
        alone, none = from_all_and_some(tokenizer.decoder, x, codes, t, hidden, None)
    assert torch.equal(alone, tokenizer.decoder(x, codes, t, hidden))
    assert none is None


@catches("semtok.train_tokenizer", "_replace(predicted=out.predicted_from_some)", "_replace()")
def test_stage_ones_term_is_flow_and_perceptual_of_what_some_tokens_give():
    tokenizer, images = tiny_tokenizer(), pictures(6)
    settings = losses(flow_weight=0.7, perceptual_weight=0.3)
    draws = draw(PLACES, 0, 0, tiny().tokenizer, settings)
    out = tokenizer(images, draws)
    terms = first.LossTerms(settings, tokenizer)
    values = terms(images, draws, out)
    assert list(values) == ["flow", "entropy", "perceptual", "nested"]
    with torch.no_grad():
        predicted = tokenizer.decoder(out.x_t, out.quantized, draws.t, draws.nested)
    again = terms(images, draws, out._replace(predicted=predicted, predicted_from_some=None))
    expected = 0.7 * again["flow"] + 0.3 * again["perceptual"]
    torch.testing.assert_close(values["nested"], expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(values["flow"], ((out.predicted - out.velocity) ** 2).mean())


@pytest.mark.parametrize("kind", ["constant", "noise", "sample"])
def test_stage_two_is_given_the_batch_twice_never_without_a_token(kind):
    tokenizer, images = tiny_tokenizer(kind), pictures(6)
    plain, more = (
        second.inputs(tokenizer, images, PLACES, 2, tiny(f"refiner.input={kind}", f"refiner.nested_weight={weight}"))
        for weight in (0, 1)
    )
    for before, after in zip(plain, more, strict=True):
        torch.testing.assert_close(after[:6], before, rtol=1e-4, atol=1e-5)
    start, codes, hidden = more
    assert torch.equal(codes[:6], codes[6:])
    assert not hidden.all(dim=1).any()
    assert hidden[6:].any(dim=1).all()
    if kind == "sample":
        noise = draw(PLACES, 2, 0, tiny().tokenizer, tiny().losses).noise
        torch.testing.assert_close(
            start[6:], tokenizer.solve(codes[6:], noise, hidden=hidden[6:]), rtol=1e-4, atol=1e-5
        )


@catches("semtok.train_refiner", "terms(batch.images, nested, None)", "terms(batch.images, reconstruction, None)")
@catches("semtok.train_refiner", "shown.split(len(batch.images))", "reversed(shown.split(len(batch.images)))")
def test_stage_two_adds_the_terms_of_some_tokens_and_gives_whole_sequences_to_the_discriminator(tmp_path):
    changes = ("refiner.perceptual_weight=0", "refiner.nested_weight=0.5", "refiner.reconstruction_weight=0.7")
    config, images, tokenizer = tiny(*changes), pictures(8), tiny_tokenizer("constant")
    optimizer = torch.optim.SGD(tokenizer.refiner.parameters(), lr=0.0)
    settings, finite = config.train_refiner, FiniteLosses(tmp_path)
    learner = Learner(tokenizer.refiner, optimizer, Accelerator(cpu=True), settings, finite)
    batch = MicroBatch(images, torch.arange(8), torch.zeros(8, dtype=torch.bool))
    terms = second.LossTerms(config.refiner)
    log, fakes = second.refiner_step(learner, tokenizer, terms, None, [batch], config, 0)
    with torch.no_grad():
        made = tokenizer.refiner(*second.inputs(tokenizer, images, torch.arange(8), 0, config)).clamp(-1, 1)
    torch.testing.assert_close(fakes[0], made[:8])
    torch.testing.assert_close(log["reconstruction"], (made[:8] - images).abs().mean())
    torch.testing.assert_close(log["nested"], 0.7 * (made[8:] - images).abs().mean(), rtol=1e-5, atol=1e-6)


def test_it_needs_two_tokens():
    for key in ("losses", "refiner"):
        with pytest.raises(
            ConfigError, match=rf" {key}\.nested_weight: expected 0 for images of a single token, got 1"
        ):
            tiny("tokenizer.num_tokens=1", f"{key}.nested_weight=1")


@pytest.mark.parametrize("stage", ["tokenizer", "refiner"])
def test_it_resumes_to_the_same_bits(trained_run, stage):
    _, paths = trained_run
    config = tiny("losses.nested_weight=1", "losses.nested_sets=both", "refiner.nested_weight=1", "train.steps=4")
    config = config.model_copy(update={"train_refiner": config.train})
    train, checkpoints, made = {
        "tokenizer": (first.train_tokenizer, paths.tokenizer_checkpoints, paths.tokenizer),
        "refiner": (second.train_refiner, paths.refiner_checkpoints, paths.refined),
    }[stage]
    shutil.rmtree(checkpoints, ignore_errors=True)
    train(config, paths, resume=False)
    whole, lines = (made / "model.safetensors").read_bytes(), of_stage(paths.folder, stage)[-4:]
    assert all("nested" in line for line in lines)
    (checkpoints / "step-000000004.pt").unlink()
    train(config, paths, resume=True)
    assert (made / "model.safetensors").read_bytes() == whole
    assert of_stage(paths.folder, stage)[-2:] == lines[-2:]
