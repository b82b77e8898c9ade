"""Any tokenizer is asked in the same way: on its device, in evaluation mode, with draws that do not leak."""

from types import SimpleNamespace
from typing import NamedTuple

import pytest
import torch
from torch import nn

from _support.mutants import catches
from vistok.metrics.harness.reconstructor import reconstruct
from vistok.metrics.pixels import from_uint8

SUBJECT = "vistok.metrics.harness.reconstructor"
IMAGES = torch.randint(0, 256, (3, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


class Tokens(NamedTuple):
    coarse: torch.Tensor
    fine: torch.Tensor


class TwoBooks:
    """Each pixel's high and low four bits."""

    def encode(self, images):
        pixels = ((images + 1) * 127.5).round().long()
        return Tokens(pixels // 16, (pixels % 16).int())

    def decode(self, tokens):
        return (tokens.coarse * 16 + tokens.fine) / 127.5 - 1


@catches(SUBJECT, "part.long().cpu()", "part.cpu()")
@catches(SUBJECT, "_given(tokenizer, networks, from_uint8(images))", "_given(tokenizer, networks, images / 255.0)")
def test_images_come_back_through_the_tokens_and_all_tokens_are_told():
    made = reconstruct(TwoBooks(), IMAGES)
    assert torch.equal(made.images, IMAGES)
    assert [token.dtype for token in made.tokens] == [torch.int64] * 2
    assert torch.equal(made.tokens[0] * 16 + made.tokens[1], IMAGES.long())


class Diffusers:
    """The shape of diffusers' autoencoders: wrapped outputs on both ways."""

    def __init__(self, wrap):
        self.wrap = wrap

    def encode(self, images):
        return self.wrap(images / 2)

    def decode(self, latents):
        return SimpleNamespace(sample=latents * 2)


def distribution(latents):
    return SimpleNamespace(latent_dist=SimpleNamespace(mode=lambda: latents, sample=lambda: latents + 1))


@catches(SUBJECT, "encoded.latent_dist.mode()", "encoded.latent_dist.sample()")
@catches(SUBJECT, 'getattr(decoded, "sample", decoded)', "decoded")
def test_what_diffusers_wraps_is_unwrapped():
    for wrap in (distribution, lambda latents: SimpleNamespace(latents=latents)):
        made = reconstruct(Diffusers(wrap), IMAGES)
        assert torch.equal(made.images, IMAGES)
        assert made.tokens == ()


class Wrapped:
    """Gives its tokens in an object of its own."""

    def __init__(self, wrap):
        self.wrap = wrap

    def encode(self, images):
        return self.wrap((images > 0).long())

    def decode(self, tokens):
        return torch.zeros(IMAGES.shape)


@catches(SUBJECT, "_is_integer(part) for part in parts", "True for part in parts")
@catches(SUBJECT, "part.is_floating_point() for part in parts", "not _is_integer(part) for part in parts")
def test_tokens_that_are_not_found_have_a_reason_and_a_continuous_code_needs_none():
    for wrap, kinds in (
        (lambda tokens: {"tokens": tokens}, "dict"),
        (lambda tokens: SimpleNamespace(indices=tokens), "SimpleNamespace"),
        (lambda tokens: (tokens / 2, tokens), "torch.float32, torch.int64"),
        (lambda tokens: tokens > 0, "torch.bool"),
    ):
        made = reconstruct(Wrapped(wrap), IMAGES)
        expected = "a tensor of integers, or a tuple or list of such, to be counted"
        assert (made.tokens, made.uncounted) == ((), f"encode: expected {expected}, got {kinds}")
    for wrap in (lambda tokens: tokens / 2, lambda tokens: [tokens / 2]):
        assert reconstruct(Wrapped(wrap), IMAGES)[1:] == ((), "")
    assert reconstruct(Drawing(), IMAGES)[1:] == ((), "")


@catches(SUBJECT, "fork_rng(gpus)", "fork_rng()")
def test_the_state_of_no_other_gpu_is_asked_for(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: pytest.fail(f"asked {device}"))
    reconstruct(TwoBooks(), IMAGES)


class Drawing(nn.Module):
    """Draws its images, and says in which mode it was asked."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.modes = []

    def reconstruct(self, images):
        self.modes.append(self.training)
        return torch.rand(images.shape) * 2 - 1 + self.weight


@catches(SUBJECT, "network.eval()", "pass")
@catches(SUBJECT, "module.training = training", "pass")
@catches(SUBJECT, "module.training = training", "module.training = True")
def test_a_network_is_asked_in_evaluation_mode_and_each_module_left_as_it_was():
    network = Drawing()
    network.frozen, network.trained = nn.Dropout().eval(), nn.Sequential(nn.Dropout(), nn.Dropout().eval())
    modes = [module.training for module in network.modules()]
    reconstruct(network, IMAGES)
    assert network.modes == [False]
    assert [module.training for module in network.modules()] == modes
    assert len(set(modes)) == 2
    network.eval().trained.train()
    reconstruct(network, IMAGES)
    assert (network.training, network.trained.training) == (False, True)


class Linear(nn.Module):
    """Takes images of its weights' dtype alone."""

    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.weight = nn.Parameter(torch.eye(4))

    def reconstruct(self, images):
        assert images.dtype == self.weight.dtype
        return images @ self.weight


@catches(SUBJECT, "if tensor.is_floating_point()), images.dtype)", "if False), images.dtype)")
def test_images_come_in_the_dtype_of_the_weights():
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        made = reconstruct(Linear().to(dtype), IMAGES).images
        assert made.dtype == torch.uint8
        assert (made.int() - IMAGES.int()).abs().max() <= 1


class Holding:
    """No network itself: it holds one with a batch norm, in the training mode that networks are made in."""

    def __init__(self):
        self.parts = [nn.BatchNorm2d(1), nn.Dropout().eval()]
        self.device = "nowhere"

    def reconstruct(self, images):
        return self.parts[1](self.parts[0](images.to(self.parts[0].weight.dtype, copy=True))).to(images.dtype)


@catches(SUBJECT, "networks = held_modules(tokenizer)", "networks = [tokenizer] * isinstance(tokenizer, nn.Module)")
def test_networks_that_an_object_holds_are_asked_in_evaluation_mode_and_left_as_they_were():
    tokenizer = Holding()
    made = reconstruct(tokenizer, IMAGES).images
    assert (made.int() - IMAGES.int()).abs().max() <= 1
    norm, dropout = tokenizer.parts
    assert (norm.training, dropout.training) == (True, False)
    assert (int(norm.num_batches_tracked), float(norm.running_mean)) == (0, 0.0)


@catches(SUBJECT, "for network in networks for tensor", "for network in networks[1:] for tensor")
@catches(SUBJECT, 'getattr(tokenizer, "device", "cpu")', '"cpu"')
def test_images_go_where_the_networks_of_an_object_are_and_else_where_it_says():
    asked = []

    def reconstruct_on(images):
        asked.append((images.device.type, images.dtype))
        return torch.zeros(images.shape)

    held = nn.Conv2d(1, 1, 1, device="meta", dtype=torch.bfloat16)
    for further in ({"nets": (held,), "device": "cpu"}, {"device": "meta"}, {}):
        reconstruct(SimpleNamespace(reconstruct=reconstruct_on, **further), IMAGES)
    assert asked == [("meta", torch.bfloat16), ("meta", torch.float32), ("cpu", torch.float32)]


@catches(SUBJECT, "torch.manual_seed(seed % _LARGEST_SEED)", "pass")
@catches(SUBJECT, "fork_rng(gpus)", "fork_rng(gpus, enabled=False)")
def test_a_seed_fixes_the_draws_and_leaves_no_trace():
    state = torch.get_rng_state()
    one, same, other = (reconstruct(Drawing().eval(), IMAGES, seed=seed).images for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)


def giving(result):
    return SimpleNamespace(reconstruct=lambda images: result)


@catches(SUBJECT, "if made.shape != given.shape", "if False")
@catches(SUBJECT, "if not bool(torch.isfinite(made).all())", "if False")
def test_what_is_no_reconstruction_is_refused_in_one_line():
    for tokenizer, kind, message in (
        (object(), TypeError, "must have encode and decode, or reconstruct; object has neither"),
        (giving("text"), TypeError, "SimpleNamespace must give a tensor of images, got str"),
        (giving(torch.zeros(3, 1, 4, 1)), ValueError, r"must give images of \(3, 1, 4, 4\), got \(3, 1, 4, 1\)"),
        (giving(torch.full((3, 1, 4, 4), torch.nan)), ValueError, "must give finite images, got NaN or infinity"),
        (giving(torch.full((3, 1, 4, 4), 255.0)), ValueError, r"\[-1, 1\]"),
    ):
        with pytest.raises(kind, match=message) as error:
            reconstruct(tokenizer, IMAGES)
        assert "\n" not in str(error.value)


@catches(SUBJECT, "except RuntimeError as error:", "except MemoryError as error:")
@catches(SUBJECT, '.partition("\\n")[0]', "")
def test_images_that_a_network_cannot_take_are_told_in_one_line():
    def full(images):
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB")

    network = nn.Conv2d(3, 3, 1)
    given = r"cannot take images \(3, 1, 4, 4\) torch.float32"
    for tokenizer, why in (
        (SimpleNamespace(reconstruct=network.forward), "Given groups=1, weight of size .* instead"),
        (SimpleNamespace(reconstruct=full), r"CUDA out of memory\."),
    ):
        with pytest.raises(ValueError, match=f"^SimpleNamespace {given}: {why}$"):
            reconstruct(tokenizer, IMAGES)


@catches(SUBJECT, "if images.shape[1] != _COLOURS:", "if True:")
@catches(SUBJECT, "if images.shape[1] != _COLOURS:", "if False:")
@catches(SUBJECT, "_made(tokenizer, images[:, :1])", "_made(tokenizer, images)")
@catches(SUBJECT, "_made(tokenizer, images[:, :1])", "pass")
@catches(SUBJECT, '"" if isinstance(error, torch.OutOfMemoryError) else _advice', "_advice")
@catches(SUBJECT, 'raise ValueError(f"{error}{advice}") from error', "raise")
def test_a_tokenizer_of_grey_images_that_refuses_colours_is_told_with_the_option_that_gives_one_channel():
    def of(channels, error):
        def told(images):
            if images.shape[1] != channels:
                raise error
            return images

        return SimpleNamespace(reconstruct=told)

    def refusal(tokenizer, count):
        with pytest.raises(ValueError, match=r"\A[^\n]+\Z") as error:
            reconstruct(tokenizer, torch.zeros(2, count, 4, 4, dtype=torch.uint8))
        return str(error.value)

    advice = "; it takes images of one channel, which --grey (in Python GreyImages) gives"
    assert refusal(of(1, ValueError("grey only")), 3) == f"grey only{advice}"
    network = nn.Conv2d(1, 1, 1)
    assert refusal(SimpleNamespace(reconstruct=network.forward), 3).endswith(f"got 3 channels instead{advice}")
    for tokenizer, count in (
        (of(4, ValueError("four only")), 3),
        (of(1, ValueError("grey only")), 4),
        (of(1, torch.OutOfMemoryError("CUDA out of memory.")), 3),
    ):
        assert "--grey" not in refusal(tokenizer, count)


def test_images_that_are_not_8_bit_are_refused():
    with pytest.raises(ValueError, match="images must be uint8"):
        reconstruct(TwoBooks(), from_uint8(IMAGES))
