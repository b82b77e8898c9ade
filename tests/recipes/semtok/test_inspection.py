"""What the inspector shows of a run is what the run's own decoder and generators give."""

import torch

from _support.mutants import catches
from _support.semtok_runs import lively, pictures, tiny, tiny_tokenizer
from semtok import inspection
from semtok.generator import build_generator, generate
from semtok.inspection import decode_alike, generation, length_strip, open_editor
from semtok.paths import RunPaths
from vistok.metrics import to_uint8
from vistok.workbench.pipelines.pipeline import Pipeline
from vistok.workbench.recipe_config import Choice

SUBJECT = "semtok.inspection"


def tokenizer(refiner="noise"):
    return lively(tiny_tokenizer(refiner)).eval()


@catches(
    SUBJECT, "noise.expand(len(tokens), -1, -1, -1)", "torch.randn(len(tokens), *noise.shape[1:], generator=draws)"
)
@catches(SUBJECT, "refine_from(tokens, start, hidden=hidden)", "refine_from(tokens, start)")
def test_every_image_is_decoded_from_the_same_noise_as_alone():
    for refiner in ("noise", "sample"):
        made = tokenizer(refiner)
        tokens = made.encode(pictures(3))
        together = decode_alike(made, tokens, 5)
        for index in range(3):
            alone = made.refine(tokens[index : index + 1], generator=torch.Generator().manual_seed(5))
            torch.testing.assert_close(together[index : index + 1], alone, atol=1e-5, rtol=0)
        first = made.sample(tokens[:1], generator=torch.Generator().manual_seed(5))
        torch.testing.assert_close(decode_alike(made, tokens[:1], 5, refined=False), first, atol=1e-5, rtol=0)
        hidden = torch.arange(tokens.shape[1]).expand_as(tokens) >= 2
        part = made.refine(tokens[:1], hidden=hidden[:1], generator=torch.Generator().manual_seed(5))
        torch.testing.assert_close(decode_alike(made, tokens[:1], 5, hidden=hidden[:1]), part, atol=1e-5, rtol=0)


@catches(SUBJECT, "torch.arange(length) >= firsts[:, None]", "torch.arange(length) > firsts[:, None]")
@catches(SUBJECT, "torch.stack(rows, 1)", "torch.stack(rows[::-1], 1)")
def test_the_strip_of_lengths_ends_at_the_decoded_image_and_begins_without_tokens():
    made = tokenizer()
    tokens = made.encode(pictures(3))
    strip = length_strip(made, tokens, 5)
    count = strip.images.shape[2]
    assert strip.images.shape == (3, 2, count, 1, 16, 16)
    assert torch.equal(strip.images[:, 1, -1], to_uint8(decode_alike(made, tokens, 5)))
    assert torch.equal(strip.images[:, 0, -1], to_uint8(decode_alike(made, tokens, 5, refined=False)))
    assert torch.equal(strip.images[0, :, 0], strip.images[1, :, 0])
    for value, first in ((0, 0), (2, int(strip.values[2].split()[2]))):
        hidden = torch.arange(tokens.shape[1]).expand_as(tokens) >= first
        assert torch.equal(strip.images[:, 1, value], to_uint8(decode_alike(made, tokens, 5, hidden=hidden)))


@catches(SUBJECT, "[(seen[0][0], torch.ones_like(seen[0][1])), *seen]", "seen")
@catches(
    SUBJECT,
    "torch.arange(length) >= torch.arange(length + 1)[:, None]",
    "torch.arange(length) < torch.arange(length + 1)[:, None]",
)
@catches(SUBJECT, "shares = [1 - hidden", "shares = [hidden")
def test_a_generation_begins_without_tokens_and_ends_at_the_sample(monkeypatch, tmp_path):
    made, config = tokenizer(), tiny()
    for kind in ("masked", "far"):
        torch.manual_seed(1)
        model = build_generator(config, kind, 10).eval()
        settings = config.generators[kind].samples["default"].model_copy(update={"mixed_precision": "no"})
        pipeline = Pipeline(made, model, settings, tuple("0123456789"), lambda labels, draws: labels)
        drawn = []

        def watched(*given, made_of=generate, kept=drawn, **named):
            kept.append(made_of(*given, **named))
            return kept[-1]

        with monkeypatch.context() as patch:
            patch.setitem(_globals(), "generate", watched)
            patch.setitem(_globals(), "open_pipeline", lambda *given, opened=pipeline: opened)
            strip = generation(config, RunPaths(tmp_path), Choice(kind, "default", "default"))
        assert (strip.values[0], strip.values[-1]) == ("0% of the tokens", "100% of the tokens")
        final = to_uint8(decode_alike(made, drawn[0], config.seed))
        assert torch.equal(strip.images[0, :, -1], final)
        assert torch.equal(strip.images[0, 0, 0], strip.images[0, 1, 0])


def _globals():
    return vars(inspection)


def test_an_editor_decodes_what_it_encoded():
    made = tokenizer()
    editor = open_editor(made, "tiny", to_uint8(pictures(2)))
    tokens = editor.tokens(editor.examples[1])
    assert torch.equal(editor.image(tokens), to_uint8(decode_alike(made, tokens[0][None], 0))[0])
    assert editor.books[0].size == 2**made.settings.bits
