"""One codebook: images to tokens and back."""

import pytest
import torch

from _support.mutants import catches
from _support.strategies import normal
from vistok.tokenizers import SingleCodebookTokenizer

SUBJECT = "vistok.tokenizers.single_codebook"


def small():
    torch.manual_seed(0)
    sizes = {"base_channels": 8, "multipliers": (1, 1, 2), "num_blocks": 1, "latent_channels": 16}
    return SingleCodebookTokenizer(24, 8, **sizes).eval()


def images(*shape):
    return normal(0, *(shape or (2, 3, 16, 24))).clamp(-1, 1)


@catches(SUBJECT, "len(multipliers) - 1", "len(multipliers)")
def test_shapes_and_ranges_are_the_documented_ones():
    model = small()
    assert model.stride == 4
    features, tokens = model.features(images()), model.encode(images())
    assert features.shape == (2, 8, 4, 6)
    assert (tokens.shape, tokens.dtype) == ((2, 4, 6), torch.int64)
    assert bool(((tokens >= 0) & (tokens < 24)).all())
    assert model.codes(tokens).shape == features.shape
    with torch.no_grad():
        model.decoder.conv_out.bias.fill_(3.0)
    decoded = model.decode(tokens)
    assert decoded.shape == images().shape
    assert decoded.max() == 1
    assert model(images()).max() > 1


@catches(SUBJECT, ".clamp(-1, 1)", "")
@catches(SUBJECT, "self.decode_codes(self.codes(tokens))", "self.decoder(self.codes(tokens).repeat(1, 2, 1, 1))")
def test_decoding_the_tokens_is_the_clamped_reconstruction():
    model = small()
    with torch.no_grad():
        model.decoder.conv_out.weight.mul_(20)
        torch.testing.assert_close(model.decode(model.encode(images())), model(images()).clamp(-1, 1))
        assert model(images()).abs().max() > 1


def test_features_are_what_the_tokens_are_nearest_to():
    model = small()
    with torch.no_grad():
        rows = model.features(images()).movedim(1, -1).reshape(-1, 8).double()
        codes = model.codes(torch.arange(24).reshape(1, 4, 6)).movedim(1, -1).reshape(24, 8).double()
    nearest = (torch.nn.functional.normalize(rows, dim=1) @ codes.mT).argmax(1)
    assert torch.equal(model.encode(images()).flatten(), nearest)


@catches(SUBJECT, "self.quantizer(self.features(images)).quantized", "self.quantizer(self.features(images)).codes")
def test_the_reconstruction_trains_all_of_the_network_but_its_codes():
    model, given = small(), images().requires_grad_()
    model(given).square().mean().backward()
    still = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert still == {"quantizer.weight"}
    assert given.grad.any()


@catches(SUBJECT, "    @torch.no_grad()\n    def decode(", "    def decode(")
def test_encoding_and_decoding_take_no_gradient():
    model = small()
    assert not model.decode(model.encode(images().requires_grad_())).requires_grad
    assert model.decode_codes(model.codes(model.encode(images()))).requires_grad


@catches(SUBJECT, "        check_images(images, self.stride)\n", "")
@pytest.mark.parametrize("shape", [(1, 1, 32, 32), (1, 3, 30, 32), (3, 32, 32)])
def test_images_that_do_not_fit_are_refused(shape):
    with pytest.raises(ValueError, match=r"images: expected \(B, 3, H, W\) with sides divisible by 4, got"):
        small().encode(torch.zeros(shape))


@catches(SUBJECT, "        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]\n", "")
def test_weights_lie_with_their_channels_last():
    assert small().encoder.middle[0].conv1.weight.is_contiguous(memory_format=torch.channels_last)
