"""Latents are brought to the generators' scale, and back, by channel."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from vistok.workbench.run.tensor_files import save_tensors
from vistok.workbench.tokens.latent_scale import LatentScale

SUBJECT = "vistok.workbench.tokens.latent_scale"


@catches(SUBJECT, "(latents - self.mean) / self.std", "latents / self.std - self.mean")
@catches(SUBJECT, "latents * self.std + self.mean", "(latents + self.mean) * self.std")
@given(st.integers(1, 4), st.integers(0, 99))
def test_each_channel_has_its_own_scale_and_comes_back(channels, seed):
    draws = torch.Generator().manual_seed(seed)
    mean, std = torch.randn(channels, generator=draws), torch.rand(channels, generator=draws) + 0.1
    latents = torch.randn(2, channels, 3, 3, generator=draws)
    scale = LatentScale(mean[:, None, None], std[:, None, None])
    for channel in range(channels):
        wanted = (latents[:, channel].double() - mean[channel].double()) / std[channel].double()
        torch.testing.assert_close(scale.scale(latents)[:, channel].double(), wanted, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(scale.unscale(scale.scale(latents)), latents, atol=1e-5, rtol=1e-5)


@catches(SUBJECT, 'cls(stored["mean"], stored["std"])', 'cls(stored["std"], stored["mean"])')
def test_it_is_read_from_among_other_tensors(tmp_path):
    path = tmp_path / "codes.safetensors"
    save_tensors(path, {"mean": torch.full((2, 1, 1), 3.0), "std": torch.ones(2, 1, 1), "codes": torch.zeros(4)})
    scale = LatentScale.load(path)
    assert scale.mean.flatten().tolist() == [3.0, 3.0]
    assert scale.std.flatten().tolist() == [1.0, 1.0]
