"""Images of any float dtype meet weights of any other."""

import torch

from _support.mutants import catches
from _support.strategies import normal
from vistok.quantizers import LookupFreeQuantizer, VectorQuantizer
from vistok.tokenizers import (
    DualCodebookTokenizer,
    Encoder,
    FlowTokenizer,
    LookupFreeTokenizer,
    QueryEncoder,
    StackSize,
    TiTok,
    TransformerSize,
    VQGANPlus,
)
from vistok.tokenizers._dtypes import like_weights

SUBJECT = "vistok.tokenizers._dtypes"


def encoders():
    """What takes images, small, and how features come of them."""
    sizes = {"base_channels": 8, "multipliers": (1, 1), "num_blocks": 1}
    dual = DualCodebookTokenizer((16, 24), adapter_depth=1, grid_size=4, latent_channels=8, **sizes)
    size, stack = TransformerSize(width=64, depth=1), StackSize(32, 1, 1)
    quantizer = VectorQuantizer(16, 4, channel_dim=-1)
    titok = TiTok(quantizer, 5, size, size, grid_size=4, patch_size=2, pixels=None)
    vqgan = VQGANPlus(LookupFreeQuantizer(4, lowest_bit_first=True), 4, **sizes)
    flow = FlowTokenizer(5, 6, num_groups=2, image_size=8, encoder=stack, decoder=stack)
    queries = QueryEncoder(3, 4, 2, num_tokens=5, code_dim=12, width=16, depth=1, num_heads=2)
    tokenizers = [dual, titok, vqgan, flow, LookupFreeTokenizer(6, **sizes)]
    return {model: model.features for model in tokenizers} | {
        queries: lambda images: queries(images).features,
        (encoder := Encoder(3, 8, (1, 1), 1)): encoder,
    }


@catches("vistok.tokenizers.autoencoder", "like_weights(images, self.conv_in.weight)", "images")
@catches("vistok.tokenizers.query_encoder", "like_weights(images, self.embed.weight)", "images")
@catches("vistok.tokenizers.one_dimensional", "like_weights(images, self.embed.weight)", "images")
@catches("vistok.tokenizers.vqgan_plus", "images = like_weights(images, self.encoder.conv_in.weight)", "pass")
@catches("vistok.tokenizers.lookup_free_tokenizer", "like_weights(images, self.encoder.conv_in.weight)", "images")
@catches("vistok.tokenizers.flow_tokenizer", "like_weights(images, self.encoder.embed.weight)", "images")
def test_images_are_brought_to_the_dtype_of_the_weights_before_anything_is_done_with_them():
    images = normal(0, 2, 3, 8, 8).clamp(-1, 1)
    with torch.no_grad():
        for model, features in encoders().items():
            for weights, given in ((torch.float32, images.double()), (torch.bfloat16, images)):
                model.to(weights)
                found, expected = features(given), features(given.to(weights))
                torch.testing.assert_close(found, expected, rtol=0, atol=0)


@catches(SUBJECT, "images.dtype != torch.float64 and ", "")
@catches(SUBJECT, "torch.is_autocast_enabled(images.device.type)", "False")
@catches(SUBJECT, "not images.is_meta and ", "")
def test_autocast_casts_all_but_float64_itself_and_there_is_none_on_the_meta_device():
    weights, images = torch.zeros(1), torch.zeros(2)
    assert like_weights(images, weights) is images
    assert like_weights(images.half(), weights).dtype == torch.float32
    assert like_weights(images.half().to("meta"), weights).dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        half = images.half()
        assert like_weights(half, weights) is half
        assert like_weights(images.double(), weights).dtype == torch.float32
