"""Two codebooks on shared features: images to tokens and back."""

import pytest
import torch

from _support.mutants import catches
from _support.strategies import normal
from vistok.tokenizers import DualCodebookTokenizer, DualTokens

SUBJECT = "vistok.tokenizers.dual_codebook"


def small(**changes):
    torch.manual_seed(0)
    sizes = {"base_channels": 8, "multipliers": (1, 1, 2), "num_blocks": 1, "latent_channels": 16}
    sizes |= {"adapter_depth": 1, "grid_size": 4}
    return DualCodebookTokenizer((24, 40), 8, **{**sizes, **changes}).eval()


def images():
    return normal(0, 2, 3, 16, 24).clamp(-1, 1)


@catches(SUBJECT, "len(multipliers) - 1", "len(multipliers)")
@catches(SUBJECT, "semantic_size, visual_size = codebook_sizes", "visual_size, semantic_size = codebook_sizes")
def test_shapes_and_ranges_are_the_documented_ones():
    model = small()
    assert model.stride == 4
    tokens = model.encode(images())
    assert DualTokens._fields == ("semantic", "visual")
    assert (model.quantizer.semantic.codebook_size, model.quantizer.visual.codebook_size) == (24, 40)
    for size, indices in zip((24, 40), tokens, strict=True):
        assert (indices.shape, indices.dtype) == ((2, 4, 6), torch.int64)
        assert bool(((indices >= 0) & (indices < size)).all())
    assert {part.shape for part in (*model.features(images()), *model.codes(tokens))} == {(2, 8, 4, 6)}
    with torch.no_grad():
        model.decoder.conv_out.bias.fill_(3.0)
    decoded = model.decode(tokens)
    assert decoded.shape == images().shape
    assert decoded.max() == 1
    assert model(images()).max() > 1


@catches(SUBJECT, "DualTokens(semantic.indices, visual.indices)", "DualTokens(visual.indices, semantic.indices)")
@catches(SUBJECT, ".clamp(-1, 1)", "")
def test_decoding_the_tokens_is_the_clamped_reconstruction():
    model = small()
    with torch.no_grad():
        model.decoder.conv_out.weight.mul_(20)
        torch.testing.assert_close(model.decode(model.encode(images())), model(images()).clamp(-1, 1))
        assert model(images()).abs().max() > 1


@catches(SUBJECT, "torch.cat([visual, semantic], dim=1)", "torch.cat([semantic, visual], dim=1)")
def test_the_decoder_sees_the_visual_codes_first():
    model = small()
    with torch.no_grad():
        semantic, visual = model.codes(model.encode(images()))
        joined = torch.cat([visual, semantic], dim=1)
        expected = model.decoder(model.post_quantization(joined))
        torch.testing.assert_close(model.decode_codes(semantic, visual), expected)


@catches(SUBJECT, "self.semantic_adapter(shared), self.visual_adapter(shared)", "(self.visual_adapter(shared),) * 2")
def test_each_branch_has_an_adapter_of_its_own_on_the_same_features():
    model = small()
    with torch.no_grad():
        shared = model.encoder(images())
        semantic, visual = model.features(images())
        torch.testing.assert_close(semantic, model.semantic_adapter(shared))
        torch.testing.assert_close(visual, model.visual_adapter(shared))
    assert not torch.allclose(semantic, visual)


@catches(SUBJECT, "semantic.quantized, visual.quantized", "semantic.quantized, visual.codes")
def test_the_reconstruction_trains_all_of_the_network_but_its_codes():
    model, given = small(), images().requires_grad_()
    model(given).square().mean().backward()
    still = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert still == {"quantizer.semantic.weight", "quantizer.visual.weight"}
    assert given.grad.any()


@catches(SUBJECT, "    @torch.no_grad()\n    def decode(", "    def decode(")
def test_encoding_and_decoding_take_no_gradient():
    model = small()
    assert not model.decode(model.encode(images().requires_grad_())).requires_grad
    assert model.decode_codes(*model.codes(model.encode(images()))).requires_grad


@catches(SUBJECT, '        check_shape(tokens.semantic, ("B", "h", "w"), "tokens.semantic")\n', "")
@catches(SUBJECT, '        check_shape(tokens.visual, tokens.semantic.shape, "tokens.visual")\n', "")
def test_tokens_of_another_shape_are_refused():
    flat, grid = (torch.zeros(shape, dtype=torch.int64) for shape in ((2, 6), (2, 2, 3)))
    with pytest.raises(ValueError, match=r"^tokens.semantic: expected \(B, h, w\), got \(2, 6\)$"):
        small().decode(DualTokens(flat, flat))
    with pytest.raises(ValueError, match=r"^tokens.visual: expected \(2, 2, 3\), got \(2, 6\)$"):
        small().decode(DualTokens(grid, flat))


@catches(SUBJECT, "        check_images(images, self.stride)\n", "")
def test_images_that_do_not_fit_are_refused():
    for shape in ((1, 1, 32, 32), (1, 3, 30, 32), (3, 32, 32)):
        with pytest.raises(ValueError, match=r"images: expected \(B, 3, H, W\) with sides divisible by 4, got"):
            small().encode(torch.zeros(shape))


@catches("vistok.tokenizers._normalisation", "<= x.shape[1:].numel() <=", "<= x[0].numel() <=")
def test_no_images_give_no_tokens_and_no_images_also_in_bfloat16_on_a_cpu():
    model, none = small().to(torch.bfloat16), torch.zeros(0, 3, 8, 12, dtype=torch.bfloat16)
    tokens = model.encode(none)
    assert tokens.semantic.shape == tokens.visual.shape == (0, 2, 3)
    assert model.decode(tokens).shape == model(none).shape == none.shape


@catches(SUBJECT, "_HEADS = 8", "_HEADS = 4")
def test_the_adapters_have_eight_heads_which_divide_the_last_width():
    assert [block.num_heads for block in small().visual_adapter.blocks] == [8]
    with pytest.raises(ValueError, match="num_heads must divide width, got 8 and 12"):
        small(base_channels=12, multipliers=(1,))


@catches(SUBJECT, "        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]\n", "")
def test_weights_lie_with_their_channels_last():
    assert small().encoder.middle[0].conv1.weight.is_contiguous(memory_format=torch.channels_last)
