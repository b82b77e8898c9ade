"""Tokens as groups of bits, and what the generators make of them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.precision import with_bfloat16
from _support.semtok_runs import generator, tiny, tiny_tokenizer
from semtok import sample
from semtok.config import choose_generator
from semtok.evaluate import studies
from semtok.generator import TokenGroups, build_generator, generate, token_groups, with_steps_taken
from semtok.paths import RunPaths
from semtok.quantizer import group_sizes
from vistok.generators import BitTokens, MaskedSampling
from vistok.workbench.config import ConfigError
from vistok.workbench.pipelines.pipeline import Pipeline
from vistok.workbench.run.tensor_files import save_tensors

SUBJECT = "semtok.generator"
DRAWING = "generators.masked.samples.default"
KINDS = ("masked", "far")


def drawing(config, kind):
    return config.generators[kind].samples["default"]


def study_of(config, model, tokenizer):
    return sample.Study(model, tokenizer, token_groups(config, "masked"), drawing(config, "masked"), 10, config.seed)


@catches(SUBJECT, ".cumprod(dim=0).to", ".flip(0).cumprod(dim=0).to")
@catches(SUBJECT, "[1, *self.sizes[:-1]]", "[*self.sizes]")
@given(st.data())
def test_groups_are_those_of_the_signs_and_turn_back(data):
    bits_a_group, num_groups = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 3))
    bits = bits_a_group * num_groups
    if bits < 2:
        bits, num_groups = 2, 1
    cut = TokenGroups(group_sizes((2,) * bits, num_groups))
    tokens = torch.tensor(data.draw(st.lists(st.integers(0, 2**bits - 1), min_size=1, max_size=6))).view(1, -1)
    groups = cut.split(tokens)
    signs = ((tokens[..., None] >> torch.arange(bits)) & 1) * 2 - 1
    assert torch.equal(groups, BitTokens(bits, num_groups).to_groups(signs))
    assert torch.equal(cut.join(groups), tokens)


def test_the_bits_that_a_generator_sees_are_the_codes_that_the_decoder_sees():
    config, tokenizer = tiny(), tiny_tokenizer()
    tokens = torch.randint(64, (2, 4), generator=generator())
    bits = BitTokens(6, 2).to_bits(token_groups(config, "masked").split(tokens))
    torch.testing.assert_close(tokenizer.codes(tokens) * 6**0.5, bits)


@pytest.mark.parametrize("kind", ["masked", "far"])
def test_each_kind_generates_tokens_of_the_right_shape_from_a_seed(kind):
    config = tiny()
    torch.manual_seed(0)
    model = build_generator(config, kind, 10).eval()
    one, same, other = (
        generate(model, torch.arange(5), token_groups(config, kind), drawing(config, kind), generator(seed))
        for seed in (1, 1, 2)
    )
    assert one.shape == (5, 4)
    assert bool(((one >= 0) & (one < 64)).all())
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("order", ["raster", "random", "confidence"])
@pytest.mark.parametrize("steps", [1, 3, 100])
def test_masked_generation_in_any_order_and_number_of_steps(order, steps):
    config = tiny(f"{DRAWING}.order={order}", f"{DRAWING}.num_steps={steps}")
    torch.manual_seed(0)
    model = build_generator(config, "masked", 10).eval()
    seen = []
    tokens = generate(
        model,
        torch.arange(3),
        token_groups(config, "masked"),
        drawing(config, "masked"),
        generator(),
        observe=lambda groups, mask: seen.append(mask),
    )
    assert tokens.shape == (3, 4)
    assert len(seen) == min(steps, 8)
    assert not seen[-1].any()
    if order == "raster":
        assert all(torch.equal(mask.flatten(1), mask.flatten(1).long().cummax(1).values.bool()) for mask in seen)


@catches(SUBJECT, "refresh_every=settings.refresh_every", "refresh_every=1")
@catches(SUBJECT, "order=settings.order", 'order="confidence"')
@catches(SUBJECT, "temperature=settings.temperature", "temperature=1.0")
@catches(SUBJECT, "noise=settings.confidence_noise", "noise=4.5")
def test_a_sample_set_says_how_masked_ar_samples():
    options = {"order": "raster", "temperature": "0.5", "confidence_noise": "7.0", "refresh_every": "3"}
    config = tiny(*(f"{DRAWING}.{name}={value}" for name, value in options.items()))
    model, asked = build_generator(config, "masked", 10), []
    model.sample = lambda labels, **given: asked.append(given["settings"]) or torch.zeros(3, 4, 2, dtype=torch.int64)
    generate(model, torch.arange(3), token_groups(config, "masked"), drawing(config, "masked"), generator())
    assert asked == [MaskedSampling(order="raster", temperature=0.5, noise=7.0, refresh_every=3)]


@catches(SUBJECT, '"num_tokens": settings.num_tokens', '"num_tokens": None')
@catches(SUBJECT, "(settings.num_tokens or length) * num_groups", "length * num_groups")
def test_a_sample_set_of_the_first_tokens_stops_after_them():
    """Whatever the number of steps; the study shows a whole generation."""
    few = tiny(*(f"generators.{kind}.samples.default.num_tokens=3" for kind in KINDS), f"{DRAWING}.num_steps=100")
    tokenizer, labels = tiny_tokenizer("constant"), torch.arange(3)
    for kind in KINDS:
        torch.manual_seed(0)
        model, groups = build_generator(few, kind, 10).eval(), token_groups(few, kind)
        tokens = generate(model, labels, groups, drawing(few, kind), generator())
        assert tokens.shape == (3, 3)
        assert tokenizer.refine(tokens).shape == (3, 1, 16, 16)
        if kind == "far":
            assert torch.equal(tokens, generate(model, labels, groups, drawing(tiny(), kind), generator())[:, :3])
        else:
            study = study_of(few, model, tokenizer)
            assert sample.samples_by_steps(study)["by_steps"].shape[0] == 2
            assert sample.progress(study, "random").shape == (4, len(sample.PROGRESS), 1, 16, 16)


@catches(SUBJECT, "(settings.num_tokens or length) * num_groups", "(settings.num_tokens or length)")
@catches(SUBJECT, "dict.fromkeys(steps_taken(asked, settings, **sizes)", "list(steps_taken(asked, settings, **sizes)")
@catches("semtok.evaluate", "with_steps_taken(config, generator, drawing)", "drawing")
def test_steps_that_there_are_not_are_compared_once_under_the_number_that_is_taken(tmp_path):
    changes = {"num_steps": "9", "progress_steps": "[1,8,16,100]"}
    config = tiny(*(f"{DRAWING}.{name}={value}" for name, value in changes.items()))
    paths = RunPaths(tmp_path)
    save_tensors(paths.progress("masked", "default"), {"labels": torch.zeros(1)})
    ((_, found),) = studies(config, paths).values()
    assert (found.num_steps, found.progress_steps) == (8, (1, 8))
    first = drawing(config, "masked").model_copy(update={"num_tokens": 3})
    assert with_steps_taken(config, "masked", first).progress_steps == (1, 6)


@catches("semtok.sample", "groups, masked, num_classes", "groups, settings, num_classes")
@catches("semtok.sample", "if masked.num_steps < settings.num_steps:", "if True:")
def test_the_log_says_how_many_of_the_steps_of_a_sample_set_are_taken(caplog, tmp_path, monkeypatch):
    model, tokenizer, paths = (
        build_generator(tiny(), "masked", 10).eval(),
        tiny_tokenizer("constant"),
        RunPaths(tmp_path),
    )
    monkeypatch.setattr(sample, "pipeline_files", lambda *_: [])
    monkeypatch.setattr(sample, "write_samples", lambda *_, **__: None)
    for steps, said in ((8, []), (20, ["samples default: 8 of 20 steps are taken"])):
        config = tiny(f"{DRAWING}.num_steps={steps}", f"{DRAWING}.progress_steps=[1,8,9]")
        opened = Pipeline(tokenizer, model, drawing(config, "masked"), tuple("0123456789"), None)
        monkeypatch.setattr(sample, "open_pipeline", lambda *_, opened=opened: opened)
        with caplog.at_level("INFO", "semtok.sample"):
            sample.sample_images(config, paths, "masked", "default")
        assert [record.message for record in caplog.records if record.name == "semtok.sample"] == said
        assert len(sample.load_progress(paths, "masked")["by_steps"]) == 2


def test_xar_is_refused_and_the_reason_is_given():
    with pytest.raises(ConfigError, match=r"generator xar: expected one of masked, far; xAR generates cells of a grid"):
        choose_generator(tiny(), "xar")


def test_the_studies_of_generation_have_the_documented_shapes():
    config = tiny(f"{DRAWING}.progress_samples=6")
    torch.manual_seed(0)
    model, tokenizer = build_generator(config, "masked", 10).eval(), tiny_tokenizer("constant")
    study = sample.samples_by_steps(study_of(config, model, tokenizer))
    assert study["by_steps"].shape == (2, 6, 1, 16, 16)
    assert study["labels"].tolist() == [0, 1, 2, 3, 4, 5]
    for order in ("raster", "random"):
        pictures = sample.progress(study_of(config, model, tokenizer), order)
        assert pictures.shape == (4, len(sample.PROGRESS), 1, 16, 16)
        assert pictures.dtype == torch.uint8


def test_a_generation_in_progress_ends_at_the_sample_of_its_tokens():
    """The last picture of a row is what stage I makes of all tokens, from the noise that every picture starts from."""
    from vistok.metrics import to_uint8

    config = tiny()
    torch.manual_seed(0)
    model, tokenizer = build_generator(config, "masked", 10).eval(), tiny_tokenizer("constant")
    settings = drawing(config, "masked").model_copy(update={"order": "raster", "num_steps": 4})
    tokens = generate(model, torch.arange(4), token_groups(config, "masked"), settings, generator(config.seed))
    last = tokenizer.sample(tokens, generator=generator(config.seed))
    assert torch.equal(sample.progress(study_of(config, model, tokenizer), "raster")[:, -1], to_uint8(last))


@pytest.mark.parametrize("order", ["raster", "random"])
def test_a_picture_in_progress_hides_no_more_than_it_says(order, monkeypatch):
    """Of each picture at least the share of tokens that its column states is known, and the columns differ."""
    config = tiny("tokenizer.num_tokens=16")
    torch.manual_seed(0)
    model, tokenizer = build_generator(config, "masked", 10).eval(), tiny_tokenizer("constant", num_tokens=16)
    known = []
    draw = tokenizer.sample
    monkeypatch.setattr(
        tokenizer,
        "sample",
        lambda tokens, hidden, **rest: (
            known.append((~hidden).double().mean().item()),
            draw(tokens, hidden=hidden, **rest),
        )[1],
    )
    sample.progress(study_of(config, model, tokenizer), order)
    for share, found in zip(sample.PROGRESS, known, strict=True):
        assert share <= found <= min(1.0, share + 0.2)
    assert known == sorted(set(known))


@catches(SUBJECT, "with mixed_precision(labels.device, settings.mixed_precision):", "with torch.no_grad():")
def test_a_generator_draws_in_the_precision_of_its_sample_set(monkeypatch):
    with_bfloat16(monkeypatch)
    config, seen = tiny(), []

    class Watched:
        length, num_units = 4, 2

        def sample(self, labels, **_):
            seen.append(torch.is_autocast_enabled("cpu"))
            return torch.zeros(len(labels), 4, 2, dtype=torch.int64)

    for precision in ("bf16", "no"):
        settings = drawing(config, "masked").model_copy(update={"mixed_precision": precision})
        generate(Watched(), torch.arange(2), token_groups(config, "masked"), settings, generator())
    assert seen == [True, False]
