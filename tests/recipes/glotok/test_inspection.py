"""What the inspector shows of a run is what the run's own decoder and generators give."""

from itertools import pairwise

import pytest
import torch

from _support.glotok_runs import tiny
from _support.mutants import catches
from glotok.generator import build_generator, generate
from glotok.inspection import PARTS, book_codes, decode_known, generation_states, open_editor, retention_strip
from glotok.model import GloTok, Tokens
from glotok.reconstruct import RETENTION, decode_retained
from vistok.metrics import to_uint8
from vistok.workbench.data import load_images
from vistok.workbench.pipelines.pipeline import Pipeline
from vistok.workbench.tokens.latent_scale import LatentScale

SUBJECT = "glotok.inspection"
LABELS = torch.tensor([1, 2])


def tokenizer():
    """One whose residual recovery says something, of zeros, too."""
    torch.manual_seed(0)
    made = GloTok(tiny().tokenizer).eval()
    for name, parameter in made.named_parameters():
        if "recovery" in name:
            parameter.data += 0.1 * torch.randn_like(parameter)
    return made


def images(count=3):
    return load_images("digits", image_size=16).validation.batch(range(count))


@catches(
    SUBJECT, "decode_retained(tokenizer, tokens, PARTS, seed)", "decode_retained(tokenizer, tokens, PARTS[::-1], seed)"
)
@catches("glotok.reconstruct", "for part in parts]", "for part in RETENTION]")
def test_the_strip_of_parts_ends_at_the_decoded_image_and_meets_the_reports_study():
    made = tokenizer()
    tokens = made.encode(images())
    strip = retention_strip(made, tokens, seed=7)
    assert strip.images.shape == (3, 2, 9, 1, 16, 16)
    torch.testing.assert_close(strip.images[:, 1, -1].int(), to_uint8(made.decode(tokens)).int(), atol=1, rtol=0)
    shared = [PARTS.index(part) for part in RETENTION]
    study = to_uint8(decode_retained(made, tokens, RETENTION, 7))
    assert torch.equal(strip.images[:, :, shared], study)


@catches(
    SUBJECT,
    "zip(Tokens._fields, (tokenizer.quantizer.semantic, tokenizer",
    "zip(Tokens._fields[::-1], (tokenizer.quantizer.semantic, tokenizer",
)
def test_a_code_of_a_book_is_the_one_that_is_decoded():
    made = tokenizer()
    tokens, books = made.encode(images()), book_codes(made)
    for name, codes in zip(Tokens._fields, made.codes(tokens), strict=True):
        torch.testing.assert_close(books[name][getattr(tokens, name)].permute(0, 3, 1, 2), codes)


def check_generation(kind, change):
    """It begins with nothing, and its last state is the sample of the same draws."""
    made = tokenizer()
    scale = LatentScale(torch.full((16, 1, 1), 0.1), torch.full((16, 1, 1), 0.5))
    config = tiny(
        f"generators.{kind}.samples.default.{change}", f"generators.{kind}.samples.default.mixed_precision=no"
    )
    torch.manual_seed(1)
    model = build_generator(config, kind, 10).eval()
    settings = config.generators[kind].samples["default"]
    pipeline = Pipeline(made, model, settings, tuple("0123456789"), lambda labels, draws: labels)
    states = generation_states(pipeline, scale, LABELS, torch.Generator().manual_seed(3))
    known = [state[1] for state in states]
    assert not known[0].any()
    assert known[-1].all()
    assert all(bool((after | ~before).all()) for before, after in pairwise(known))
    sample = generate(model, made, scale, LABELS, settings, torch.Generator().manual_seed(3))
    torch.testing.assert_close(decode_known(made, *states[-1]), sample, atol=1e-5, rtol=0)
    none = torch.zeros(2, 8, *known[0].shape[2:])
    nothing = made.decode_recovered(none, none).clamp(-1, 1)
    torch.testing.assert_close(decode_known(made, *states[0]), nothing)


@catches(SUBJECT, "F.normalize(half, dim=1) for half", "half for half")
def test_a_generation_of_xar_ends_at_its_sample():
    check_generation("xar", "snap=false")
    check_generation("xar", "snap=true")


@catches(
    SUBJECT,
    "recovered(semantic * keep_semantic, visual * keep_visual)",
    "recovered(visual * keep_visual, semantic * keep_semantic)",
)
@catches(SUBJECT, "features[0] * keep_semantic, features[1] * keep_visual", "features[0], features[1]")
def test_a_generation_of_far_ends_at_its_sample():
    check_generation("far", "guidance=1.5")


@catches(SUBJECT, "~hidden.mT.unflatten", "hidden.mT.unflatten")
@catches(SUBJECT, "for tokens, hidden in (start, *seen)", "for tokens, hidden in seen")
@catches("glotok.generator", 'options["observe"] = observe', 'options["observe"] = None')
def test_a_generation_of_masked_ar_ends_at_its_sample():
    check_generation("masked", "guidance=1.5")


def test_an_editor_decodes_what_it_encoded():
    made = tokenizer()
    editor = open_editor(made, "tiny", to_uint8(images()))
    tokens = editor.tokens(editor.examples[1])
    alone = to_uint8(made.reconstruct(images()[1:2]))[0]
    torch.testing.assert_close(editor.image(tokens).int(), alone.int(), atol=1, rtol=0)
    assert [book.size for book in editor.books] == [16, 24]
    with pytest.raises(ValueError, match="0 to 23"):
        editor.replaced(tokens, 1, 0, 24)
