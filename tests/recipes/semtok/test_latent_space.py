"""The same networks in the latents of any encode/decode pair; here one that loses nothing."""

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from _support.mutants import catches
from _support.semtok_runs import TINY, generator, pictures, tiny, tiny_tokenizer
from semtok.cli import Options
from semtok.config import SamplerConfig
from semtok.draws import Draws
from semtok.encode import encode_data_set, load_tokens
from semtok.model import SemTok
from semtok.paths import RunPaths
from semtok.reconstruct import load_reconstructions, reconstruct_validation
from semtok.train_refiner import train_refiner
from semtok.train_tokenizer import train_tokenizer
from vistok.workbench.run.tracking import read_metrics


class Unshuffled:
    """Blocks of 2x2 pixels as channels, scaled."""

    def encode(self, images):
        return F.pixel_unshuffle(images, 2) * 1.5

    def decode(self, latents):
        return F.pixel_shuffle(latents / 1.5, 2)


SETTINGS = {"space_channels": 4, "space_stride": 2, "patch_size": 2}
CHANGES = tuple(f"tokenizer.{name}={value}" for name, value in SETTINGS.items())


@pytest.mark.parametrize("refiner", ["constant", "noise", "sample"])
def test_images_go_in_and_come_out(refiner):
    model = tiny_tokenizer(refiner, Unshuffled(), **SETTINGS)
    images = pictures()
    tokens = model.encode(images)
    assert tokens.shape == (3, 4)
    assert model.decode(tokens).shape == model.sample(tokens, SamplerConfig(num_steps=2)).shape == images.shape
    torch.testing.assert_close(model.from_space(model.to_space(images)), images)
    large = pictures(2, size=24)
    assert model.reconstruct(large).shape == large.shape


def test_training_sees_latents():
    model = tiny_tokenizer(space=Unshuffled(), **SETTINGS)
    noise = torch.randn(3, 4, 8, 8, generator=generator())
    out = model(pictures(), Draws(torch.full((3,), 0.5), noise, torch.zeros(3, 4, dtype=torch.bool)))
    torch.testing.assert_close(out.target, F.pixel_unshuffle(pictures(), 2) * 1.5)
    torch.testing.assert_close(out.velocity, noise - out.target)


def test_gradients_pass_through_the_way_back_and_not_through_the_way_in():
    model = tiny_tokenizer(space=Unshuffled(), **SETTINGS)
    latents = torch.zeros(1, 4, 8, 8, requires_grad=True)
    model.from_space(latents).sum().backward()
    torch.testing.assert_close(latents.grad, torch.full_like(latents, 1 / 1.5))
    assert not model.to_space(pictures().requires_grad_()).requires_grad


class Mixed(Unshuffled, torch.nn.Module):
    """What autocast would compute in half precision; it loses nothing."""

    def __init__(self):
        super().__init__()
        self.there, self.back = torch.nn.Conv2d(4, 4, 1, bias=False), torch.nn.Conv2d(4, 4, 1, bias=False)
        with torch.no_grad():
            matrix = torch.randn(4, 4, generator=generator(5))
            self.there.weight.copy_(matrix[..., None, None])
            self.back.weight.copy_(matrix.inverse()[..., None, None])

    def encode(self, images):
        return self.there(super().encode(images))

    def decode(self, latents):
        return super().decode(self.back(latents))


@catches("semtok.model", "values.device.type, enabled=False", "values.device.type, enabled=True")
@catches("semtok.model", "_in_float32(space.encode, images)", "space.encode(images)")
@catches("semtok.model", "_in_float32(space.decode, values)", "space.decode(values)")
def test_latents_are_the_same_to_the_bit_under_mixed_precision():
    """On the way in and on the way back, where gradients are float32 too."""
    model = tiny_tokenizer(space=Mixed(), model=SemTok, **SETTINGS)
    latents = model.to_space(pictures())
    images = model.from_space(latents)
    with torch.autocast("cpu", torch.bfloat16):
        same = model.to_space(pictures())
        back = model.from_space(latents.bfloat16().requires_grad_())
        assert torch.equal(model.from_space(latents), images)
    assert torch.equal(same, latents)
    assert back.dtype == torch.float32
    assert back.requires_grad


def test_a_missing_or_unasked_space_is_refused(tmp_path):
    model = tiny_tokenizer("constant", Unshuffled(), **SETTINGS)
    model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="space: expected one of 4 channels for these settings, got none"):
        SemTok.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="space: expected none for these settings, got one"):
        SemTok(tiny().tokenizer, space=Unshuffled())
    loaded = SemTok.from_pretrained(tmp_path, space=Unshuffled()).eval()
    assert torch.equal(loaded.reconstruct(pictures()), model.reconstruct(pictures()))


def test_a_spaces_own_weights_are_neither_saved_nor_trained(tmp_path):
    class Scaled(Unshuffled, torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

    model = tiny_tokenizer(space=Scaled(), **SETTINGS)
    assert not any("space" in name for name, _ in model.named_parameters())
    assert model.state_dict().keys() == tiny_tokenizer(space=Unshuffled(), **SETTINGS).state_dict().keys()


def test_both_stages_train_in_latents(tmp_path):
    config = tiny(
        *CHANGES,
        "train.steps=2",
        "train_refiner.steps=2",
        "refiner.discriminator_start=0",
        "losses.alignment_weight=0",
        "train.ema_decay=0.5",
    )
    paths = RunPaths(Options(config=TINY, runs=tmp_path).runs / "latents")
    train_tokenizer(config, paths, resume=False, space=Unshuffled())
    train_refiner(config, paths, resume=False, space=Unshuffled())
    encode_data_set(config, paths, Unshuffled())
    tokens = load_tokens(paths)
    assert (len(tokens), tokens.variants) == (4500, ("unflipped",))
    assert tokens.pick("tokens", torch.arange(3)).shape == (3, 4)
    reconstruct_validation(config, paths, Unshuffled())
    assert load_reconstructions(paths)["refined"].shape == (12, 1, 16, 16)
    last = {line["stage"]: line for line in read_metrics(paths.metrics)}
    assert {"flow", "entropy", "perceptual"} <= set(last["tokenizer"])
    assert {"reconstruction", "perceptual", "adversarial", "discriminator"} <= set(last["refiner"])

    changes = {"steps": 1, "learning_rate": 1e-12, "ema_decay": 0.0, "init_from": str(paths.tokenizer)}
    again = RunPaths(tmp_path / "again")
    changed = config.model_copy(update={"train": config.train.model_copy(update=changes)})
    train_tokenizer(changed, again, resume=False, space=Unshuffled())
    first = load_file(paths.tokenizer / "model.safetensors")
    for name, value in load_file(again.tokenizer / "model.safetensors").items():
        torch.testing.assert_close(value, first[name], rtol=0, atol=1e-6)
