"""Under DDP the calls of tokenizers need what their documentation says, and their codes learn where they are returned.

Each function of a rank answers with what ended its steps, or with the parameters that have no gradient after them.
"""

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from _support.gloo import run_on_two_ranks
from _support.mutants import catches
from _support.strategies import normal
from vistok.quantizers import LookupFreeQuantizer, VectorQuantizer
from vistok.tokenizers import DualCodebookTokenizer, FlowTokenizer, StackSize, TiTok, TransformerSize, VQGANPlus

CONVOLUTIONS = {"base_channels": 8, "multipliers": (1, 1), "num_blocks": 1}
DUAL = {"quantizer.semantic.weight", "quantizer.visual.weight"}


def dual():
    return DualCodebookTokenizer((16, 24), latent_channels=8, adapter_depth=1, grid_size=4, **CONVOLUTIONS)


def vqgan_plus(quantizer=None):
    return VQGANPlus(quantizer or VectorQuantizer(16, 4), 4, **CONVOLUTIONS)


def titok(learning="gradient"):
    size, quantizer = TransformerSize(64, 1), VectorQuantizer(16, 4, learning=learning, channel_dim=-1)
    return TiTok(quantizer, 5, size, size, grid_size=4, patch_size=2, pixels=None)


def flow():
    size = StackSize(32, 2, 1)
    return FlowTokenizer(5, 6, num_groups=2, image_size=8, encoder=size, decoder=size)


def without_codes(kind):
    return vqgan_plus(LookupFreeQuantizer(4)) if kind == "vqgan_plus" else titok("ema")


class WithCodes(nn.Module):
    """Images through their codes, and the codes."""

    def __init__(self, tokenizer):
        super().__init__()
        self.tokenizer = tokenizer

    def forward(self, images):
        features = self.tokenizer.features(images)
        if isinstance(features, tuple):
            quantized = self.tokenizer.quantizer(*features)
            return self.tokenizer.decode_codes(*(part.quantized for part in quantized)), [q.codes for q in quantized]
        quantized = self.tokenizer.quantizer(features)
        return self.tokenizer.decode_codes(quantized.quantized), [quantized.codes]


def two_steps(network, arguments, loss, **options):
    try:
        wrapped = DistributedDataParallel(network, **options)
        for _ in range(2):
            loss(wrapped(*arguments)).backward()
    except RuntimeError as error:
        return str(error).partition(" before")[0]
    return {name for name, parameter in network.named_parameters() if parameter.grad is None}


def steps_of_the_call(rank, name, unused):
    torch.manual_seed(0)
    images = normal(rank, 2, 3, 8, 8).clamp(-1, 1)
    arguments = (images, normal(7, 2, 3, 8, 8), torch.tensor([0.2, 0.7])) if name == "flow" else (images,)
    return two_steps(globals()[name](), arguments, lambda out: out.square().mean(), find_unused_parameters=unused)


def steps_without_codes(rank, kind):
    torch.manual_seed(0)
    images = normal(rank, 2, 3, 8, 8).clamp(-1, 1)
    return two_steps(without_codes(kind), (images,), lambda out: out.square().mean())


def steps_that_return_the_codes(rank, name):
    torch.manual_seed(0)
    images = normal(rank, 2, 3, 8, 8).clamp(-1, 1)
    network = globals()[name]()

    def loss(out):
        return out[0].square().mean() + sum(codes.square().mean() for codes in out[1])

    missing = two_steps(WithCodes(network), (images,), loss)
    learned = [parameter.grad for parameter in network.quantizer.parameters()]
    return missing, all(gradient.any() for gradient in learned)


def needs_to_look_for_what_is_unused(name, unread):
    failed = run_on_two_ranks(steps_of_the_call, name, False)
    assert failed == ["Expected to have finished reduction in the prior iteration"] * 2
    assert run_on_two_ranks(steps_of_the_call, name, True) == [unread] * 2


EVERYTHING = "+ 0 * sum(parameter.sum() for parameter in self.parameters())"


@catches("vistok.tokenizers.flow_tokenizer", ".quantized, t)", f".quantized, t) {EVERYTHING}")
def test_the_call_of_flow_tokenizers_leaves_weights_of_the_last_blocks_without_a_gradient():
    layers = {f"{layer}.{part}" for layer in ("proj", "up", "down") for part in ("weight", "bias")}
    unread = {f"{side}.blocks.1.second.{layer}" for side in ("encoder", "decoder") for layer in layers}
    needs_to_look_for_what_is_unused("flow", unread)
    assert list(flow().quantizer.parameters()) == []


@catches(
    "vistok.tokenizers.dual_codebook",
    "return self.decode_codes(semantic.quantized, visual.quantized)",
    f"return self.decode_codes(semantic.quantized, visual.quantized) {EVERYTHING}",
)
def test_the_call_of_dual_codebooks_leaves_their_codes_without_a_gradient():
    needs_to_look_for_what_is_unused("dual", DUAL)


@catches(
    "vistok.tokenizers.vqgan_plus",
    "return self.decode_codes(self.quantizer(self.features(images)).quantized)",
    f"return self.decode_codes(self.quantizer(self.features(images)).quantized) {EVERYTHING}",
)
@catches(
    "vistok.tokenizers.vqgan_plus",
    "return self.decode_codes(self.quantizer(self.features(images)).quantized)",
    "return self.decode_codes(self.quantizer(self.features(images)).codes)",
)
def test_the_call_of_vqgan_plus_leaves_its_codes_without_a_gradient():
    needs_to_look_for_what_is_unused("vqgan_plus", {"quantizer.weight"})
    assert run_on_two_ranks(steps_without_codes, "vqgan_plus") == [set()] * 2


@catches(
    "vistok.tokenizers.one_dimensional",
    "return self.decode_codes(self.quantizer(self.features(images)).quantized)",
    f"return self.decode_codes(self.quantizer(self.features(images)).quantized) {EVERYTHING}",
)
def test_the_call_of_titok_leaves_its_codes_without_a_gradient():
    needs_to_look_for_what_is_unused("titok", {"quantizer.weight"})
    assert run_on_two_ranks(steps_without_codes, "titok") == [set()] * 2


@catches("vistok.tokenizers.vqgan_plus", "return self.decoder(codes.to", "return self.decoder(0 * codes.detach().to")
@catches("vistok.tokenizers.dual_codebook", "torch.cat([visual, semantic], dim=1)", "torch.cat([visual] * 2, dim=1)")
def test_codes_that_are_returned_too_learn_and_ddp_needs_nothing_more():
    for name in ("dual", "vqgan_plus", "titok"):
        assert run_on_two_ranks(steps_that_return_the_codes, name) == [(set(), True)] * 2
