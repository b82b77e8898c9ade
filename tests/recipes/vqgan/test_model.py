"""The tokenizer's contract with every quantizer: shapes, round trips, gradients, saving."""

import pytest
import torch

from _support.mutants import catches
from _support.vqgan_runs import QUANTIZERS, tiny, with_quantizer
from vistok.quantizers import rotation_trick
from vqgan.model import VQGAN
from vqgan.quantizer import BinarySphericalConfig

MODEL, KINDS = "vqgan.model", "vqgan.quantizer"


def tokenizer(name, **changes):
    torch.manual_seed(0)
    settings = tiny(with_quantizer(name)).tokenizer.model_copy(update=changes)
    model = VQGAN(settings).eval()
    with torch.no_grad():  # features apart enough that tokens differ
        model.head.to_code.weight.mul_(20)
        if name in ("projected", "ibq", "residual"):
            for book in model.quantizer.parameters():
                book.add_(0.5 * torch.randn_like(book))
    return model


def images(*shape, seed=1):
    return torch.rand(shape or (2, 1, 16, 16), generator=torch.Generator().manual_seed(seed)) * 2 - 1


@catches(KINDS, "indices.unbind(-1)", "indices.unbind(1)")
def test_tokens_are_a_grid_of_integers_for_each_stream():
    for name in QUANTIZERS:
        model = tokenizer(name)
        tokens = model.encode(images())
        assert len(tokens) == len(model.codebook_sizes) == (2 if name in ("residual", "lfq") else 1)
        for stream, size in zip(tokens, model.codebook_sizes, strict=True):
            assert (stream.shape, stream.dtype) == (torch.Size([2, 8, 8]), torch.int64)
            assert 0 <= stream.min() <= stream.max() < size
        assert sum(len(stream.unique()) for stream in tokens) > len(tokens)
        decoded = model.decode(tokens)
        assert decoded.shape == images().shape
        assert decoded.abs().max() <= 1


@catches(
    MODEL,
    "self.decode_codes(self.codes(tokens)).float()",
    "self.decoder(self.codes(tokens).repeat(1, 4, 1, 1)[:, :16])",
)
def test_decoding_the_tokens_is_the_reconstruction_of_training():
    for name in QUANTIZERS:
        model = tokenizer(name)
        torch.testing.assert_close(model(images()).reconstruction.clamp(-1, 1), model.reconstruct(images()))


def test_images_of_numpys_own_floats_give_the_same_tokens():
    model = tokenizer("projected")
    for stream, expected in zip(model.encode(images().double()), model.encode(images()), strict=True):
        assert torch.equal(stream, expected)


@pytest.mark.parametrize("name", QUANTIZERS)
def test_saved_and_loaded_is_the_same_to_the_bit(name, tmp_path):
    model = tokenizer(name)
    model.save_pretrained(tmp_path)
    loaded = VQGAN.from_pretrained(tmp_path).eval()
    assert loaded.settings == model.settings
    assert torch.equal(loaded.reconstruct(images()), model.reconstruct(images()))


@catches(KINDS, "return quantizer(latents).indices", "return quantizer(latents).indices.flip(-1)")
@catches(KINDS, "found: Tensor = quantizer.codes_to_indices(latents)", "found: Tensor = quantizer(latents).indices")
def test_latents_are_the_codes_and_what_lies_near_snaps_back_to_them():
    for name in QUANTIZERS:
        model = tokenizer(name)
        latents = model.latents(model.encode(images()))
        snapped = model.snap(latents + 1e-4)
        if name == "residual":  # stages code a sum in their own way
            wanted = model.quantizer(latents + 1e-4).indices.unbind(-1)
            assert all(torch.equal(a, b) for a, b in zip(snapped, wanted, strict=True))
            continue
        torch.testing.assert_close(model.codes(snapped), latents)
        torch.testing.assert_close(model.decode_latents(latents), model.decode(snapped))


@catches(KINDS, "return latents.clamp(-1, 1)", "return quantizer.to_code_space(latents)")
@catches(KINDS, "space: Tensor = quantizer.to_code_space(latents)", "space: Tensor = latents")
def test_latents_that_are_not_snapped_are_brought_to_where_codes_lie():
    for name, expected in (
        ("gradient", lambda x: torch.nn.functional.normalize(x, dim=1)),
        ("fsq", lambda x: x.clamp(-1, 1)),
    ):
        model = tokenizer(name)
        given = 3 * images(2, model.settings.quantizer.code_dim, 8, 8)
        wanted = model.decode_codes(expected(given)).float().clamp(-1, 1)
        torch.testing.assert_close(model.decode_latents(given), wanted)


@pytest.mark.parametrize("name", QUANTIZERS)
def test_the_reconstruction_trains_all_but_codes_and_ibq_these_too(name):
    model = tokenizer(name)
    model.train()(images()).reconstruction.square().mean().backward()
    still = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    trained = {"ibq", "ema", "fsq", "lfq", "bsq"}  # the book of the first is trained, the others have none to train
    assert all(name.startswith("quantizer.") for name in still)
    assert (not still) == (name in trained)


@catches(MODEL, "and kind.rotation", "and not kind.rotation")
@catches(MODEL, "rotation_trick(features, codes)", "rotation_trick(z, codes)")
def test_with_the_rotation_trick_the_decoders_gradient_is_turned():
    model, plain = tokenizer("rotation"), tokenizer("gradient")
    torch.testing.assert_close(model(images()).reconstruction, plain(images()).reconstruction)
    grads = []
    for each in (model, plain):
        each.quantizer.to_code_space = (lambda given: lambda z: given(z))(each.quantizer.to_code_space)
        each(images()).reconstruction.square().sum().backward()
        grads.append(each.head.to_code.weight.grad)
    assert not torch.allclose(*grads)
    z = model.features(images()).detach().requires_grad_()
    turned = rotation_trick(model.quantizer.to_code_space(z), model.quantizer(z).codes)
    model.decode_codes(turned).square().sum().backward()
    torch.testing.assert_close(z.grad.sum((0, 2, 3)), model.head.to_code.bias.grad, rtol=1e-3, atol=1e-3)


def test_the_codes_of_stages_are_summed():
    model = tokenizer("residual")
    tokens = model.encode(images())
    books = [book[0] for book in model.quantizer.codebooks]
    expected = sum(book[stream] for book, stream in zip(books, tokens, strict=True)).movedim(-1, 1)
    torch.testing.assert_close(model.codes(tokens), expected)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 3, 16, 16), r"expected \(B, 1, H, W\), got \(2, 3, 16, 16\)"),
        ((1, 1, 17, 16), "divisible by 2, got 17x16; 16x16 would fit"),
    ],
)
def test_images_that_do_not_fit_are_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        tokenizer("gradient").encode(torch.zeros(shape))


def test_another_resolution_needs_no_retraining():
    model, other = tokenizer("bsq"), images(1, 1, 24, 32)
    assert model.encode(other)[0].shape == (1, 12, 16)
    assert model.reconstruct(other).shape == other.shape
    assert isinstance(model.settings.quantizer, BinarySphericalConfig)


@catches(MODEL, "        check_values(images)\n", "")
def test_8_bit_values_as_floats_are_refused():
    model = tokenizer(next(iter(QUANTIZERS)))
    for refused in (model.encode, model.reconstruct):
        with pytest.raises(ValueError, match=r"^images: expected values in \[-1, 1\], got up to 255$"):
            refused(torch.full((1, 1, 16, 16), 255.0))
