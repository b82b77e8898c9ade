"""The tokenizer's contract: shapes, round trips, gradients, saving."""

import pytest
import torch

from _support.mutants import catches
from glotok.config import TokenizerConfig
from glotok.model import GloTok, Tokens

SETTINGS = TokenizerConfig(
    image_size=16,
    image_channels=3,
    base_channels=8,
    multipliers=(1, 2, 2),
    num_blocks=1,
    adapter_depth=1,
    adapter_heads=2,
    latent_channels=16,
    semantic_codebook_size=16,
    visual_codebook_size=24,
    residual_width=16,
    residual_heads=2,
)


@pytest.fixture(scope="module")
def tokenizer():
    torch.manual_seed(0)
    model = GloTok(SETTINGS)
    for recovery in (model.semantic_recovery, model.visual_recovery):
        torch.nn.init.normal_(recovery.project_out.weight, std=0.1)
    return model.eval()


@pytest.fixture
def images():
    return torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_encode_and_decode_have_the_documented_shapes(tokenizer, images):
    tokens = tokenizer.encode(images)
    assert [(t.shape, t.dtype) for t in tokens] == [(torch.Size([2, 4, 4]), torch.int64)] * 2
    decoded = tokenizer.decode(tokens)
    assert decoded.shape == images.shape
    assert decoded.abs().max() <= 1


def test_reconstruct_is_decode_of_encode_and_forward_agrees(tokenizer, images):
    expected = tokenizer.reconstruct(images)
    torch.testing.assert_close(tokenizer(images).reconstruction.clamp(-1, 1), expected)


def test_images_of_numpys_own_floats_give_the_same_tokens(tokenizer, images):
    for stream, expected in zip(tokenizer.encode(images.double()), tokenizer.encode(images), strict=True):
        assert torch.equal(stream, expected)


def test_saved_and_loaded_is_the_same_to_the_bit(tokenizer, images, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    loaded = GloTok.from_pretrained(tmp_path).eval()
    assert loaded.settings == SETTINGS
    assert torch.equal(loaded.reconstruct(images), tokenizer.reconstruct(images))


def test_latents_are_visual_then_semantic_codes_and_snap_back(tokenizer, images):
    tokens = tokenizer.encode(images)
    latents = tokenizer.latents(tokens)
    semantic, visual = tokenizer.codes(tokens)
    assert torch.equal(latents, torch.cat([visual, semantic], dim=1))
    snapped = tokenizer.snap(latents + 1e-4)
    assert all(torch.equal(a, b) for a, b in zip(snapped, tokens, strict=True))
    torch.testing.assert_close(tokenizer.decode_latents(latents), tokenizer.decode(tokens))


def test_the_residual_branch_of_the_loss_sees_a_detached_code(tokenizer, images):
    out = tokenizer(images)
    tokenizer.zero_grad()
    (out.semantic.residual.square().sum() + out.visual.residual.square().sum()).backward()
    moved = {name for name, p in tokenizer.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    assert moved
    assert all("recovery" in name for name in moved)


def test_the_reconstruction_trains_encoder_adapters_recovery_and_decoder_but_no_code(tokenizer, images):
    tokenizer.zero_grad()
    tokenizer(images).reconstruction.square().mean().backward()
    moved = {
        name.split(".")[0] for name, p in tokenizer.named_parameters() if p.grad is not None and p.grad.abs().max() > 0
    }
    assert moved == {
        "encoder",
        "decoder",
        "post_quantization",
        "semantic_adapter",
        "visual_adapter",
        "semantic_recovery",
        "visual_recovery",
    }


def test_each_recovery_runs_once_a_step_on_values_that_decoder_and_loss_share(tokenizer, images):
    passes = []
    hook = tokenizer.semantic_recovery.register_forward_hook(lambda module, given, out: passes.append((given, out)))
    torch.nn.init.normal_(tokenizer.semantic_recovery.project_out.weight, std=0.1)
    out = tokenizer(images)
    hook.remove()
    (((both,), recovered),) = passes
    to_decoder, to_loss = both.chunk(2)
    assert torch.equal(recovered.chunk(2)[1], out.semantic.residual)
    torch.testing.assert_close(to_decoder, to_loss, rtol=0, atol=1e-6)  # z + (code - z) rounds
    torch.testing.assert_close(out.reconstruction, tokenizer.decode_codes(out.semantic.codes, out.visual.codes))


def test_without_residual_there_is_no_recovery(images):
    plain = GloTok(SETTINGS.model_copy(update={"residual": False}))
    out = plain(images)
    assert out.semantic.residual is out.visual.residual is None
    assert plain.semantic_recovery is None


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 1, 16, 16), r"expected \(B, 3, H, W\), got \(2, 1, 16, 16\)"),
        ((1, 3, 18, 16), "divisible by 4, got 18x16; 16x16 would fit"),
    ],
)
def test_images_that_do_not_fit_are_refused(tokenizer, shape, message):
    with pytest.raises(ValueError, match=message):
        tokenizer.encode(torch.zeros(shape))


def test_another_resolution_needs_no_retraining(tokenizer):
    images = torch.rand(1, 3, 24, 32, generator=torch.Generator().manual_seed(2)) * 2 - 1
    assert tokenizer.encode(images).visual.shape == (1, 6, 8)
    assert tokenizer.reconstruct(images).shape == images.shape


def test_tokens_are_named():
    assert Tokens._fields == ("semantic", "visual")


@catches("glotok.model", "        check_values(images)\n", "")
def test_8_bit_values_as_floats_are_refused():
    model = GloTok(SETTINGS).eval()
    for refused in (model.encode, model.reconstruct):
        with pytest.raises(ValueError, match=r"^images: expected values in \[-1, 1\], got up to 255$"):
            refused(torch.full((1, 3, 16, 16), 255.0))
