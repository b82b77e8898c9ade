"""What the inspector shows of a run is what the run's own quantizer, decoder and generators give."""

import torch

from _support.mutants import catches
from _support.vqgan_runs import QUANTIZERS, tiny, with_quantizer
from vistok.metrics import to_uint8
from vistok.workbench.data import load_images
from vistok.workbench.pipelines.pipeline import Pipeline
from vistok.workbench.tokens.latent_scale import LatentScale
from vqgan.generator import build_generator, generate
from vqgan.inspection import generation_states, open_editor, stream_codes
from vqgan.model import VQGAN

SUBJECT = "vqgan.inspection"


def tokenizer(kind):
    torch.manual_seed(0)
    return VQGAN(tiny(with_quantizer(kind)).tokenizer).eval()


def images(count=2):
    return load_images("digits", image_size=16).validation.batch(range(count))


@catches(SUBJECT, "[0, stream * part : (stream + 1) * part]", "[0, :part]")
@catches(SUBJECT, "learned_codebooks(tokenizer.quantizer)]", "learned_codebooks(tokenizer.quantizer)[:1] * 2]")
def test_the_codes_of_every_kind_point_where_the_decoder_is_given_them():
    for kind in QUANTIZERS:
        made = tokenizer(kind)
        tokens = made.encode(images())
        parts = [codes[each].movedim(-1, 1) for codes, each in zip(stream_codes(made).values(), tokens, strict=True)]
        joined = sum(parts) if kind == "residual" else torch.cat(parts, dim=1)
        cosine = torch.nn.functional.cosine_similarity(joined, made.codes(tokens), dim=1)
        assert ((cosine > 1 - 1e-5) | (joined.abs().sum(1) == 0)).all(), kind
        assert [len(codes) for codes in stream_codes(made).values()] == list(made.codebook_sizes)


def check_generation(kind, change):
    """It begins with nothing, and its last state is the sample of the same draws."""
    made, labels = tokenizer("gradient"), torch.tensor([1, 2])
    scale = LatentScale(torch.full((4, 1, 1), 0.1), torch.full((4, 1, 1), 0.5))
    drawing = f"generators.{kind}.samples.default"
    config = tiny(with_quantizer("gradient"), f"{drawing}.{change}", f"{drawing}.mixed_precision=no")
    torch.manual_seed(1)
    model = build_generator(config, kind, 10).eval()
    settings = config.generators[kind].samples["default"]
    pipeline = Pipeline(made, model, settings, tuple("0123456789"), lambda labels, draws: labels)
    states = generation_states(pipeline, scale, labels, torch.Generator().manual_seed(3))
    assert not states[0][1].any()
    assert states[-1][1].all()
    decoded = made.decode_codes(states[-1][0]).clamp(-1, 1)
    sample = generate(model, made, scale, labels, settings, torch.Generator().manual_seed(3))
    torch.testing.assert_close(decoded, sample, atol=1e-5, rtol=0)


@catches(SUBJECT, "into_code_space(tokenizer.quantizer, latents) if", "latents if")
def test_a_generation_of_xar_ends_at_its_sample():
    check_generation("xar", "snap=false")
    check_generation("xar", "snap=true")


def test_a_generation_of_far_ends_at_its_sample():
    check_generation("far", "guidance=1.5")


@catches(SUBJECT, "~hidden.any(dim=-1)", "hidden.any(dim=-1)")
@catches(SUBJECT, "for units, hidden in (start, *seen)", "for units, hidden in seen")
def test_a_generation_of_masked_ar_ends_at_its_sample():
    check_generation("masked", "guidance=1.5")


def test_an_editor_decodes_what_it_encoded():
    made = tokenizer("residual")
    editor = open_editor(made, "tiny", to_uint8(images()))
    tokens = editor.tokens(editor.examples[1])
    alone = to_uint8(made.reconstruct(images()[1:2]))[0]
    torch.testing.assert_close(editor.image(tokens).int(), alone.int(), atol=1, rtol=0)
    assert [book.name for book in editor.books] == ["stream 1", "stream 2"]
