"""The latents of an autoencoder by configuration: scaled as it says, checked before anything trains, in every stage."""

import json
import re
import shlex

import pytest
import torch
import torch.nn.functional as F
import tyro
from torch import nn

from _support.few_images import few_images
from _support.image_files import photographs
from _support.mutants import catches
from _support.semtok_runs import TINY, pictures, tiny
from semtok.cli import COMMANDS, Options, resolve
from semtok.inspection import load_editor
from semtok.networks import check_networks
from semtok.pipeline import load_pipeline
from semtok.space import AutoencoderSpace, ShapesOnly, check_space, open_space, shapes_of
from surface.documents import blocks
from surface.repository import ROOT
from vistok.metrics.networks._torchvision_schemas import declare_missing_operators
from vistok.workbench.config import ConfigError
from vistok.workbench.graph_command import GraphOptions
from vistok.workbench.inspect_command import InspectOptions

SUBJECT = "semtok.space"
KEYS = ("tokenizer.space_channels=4", "tokenizer.space_stride=2", "tokenizer.patch_size=2")
ABOUT = {
    "_class_name": "AutoencoderKL",
    "in_channels": 1,
    "latent_channels": 4,
    "block_out_channels": [8, 8],
    "scaling_factor": 0.5,
    "shift_factor": 0.25,
}


class Blocks(nn.Module):
    """Blocks of pixels as channels."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def encode(self, images):
        return F.pixel_unshuffle(images, 2) * self.weight

    def decode(self, latents):
        return F.pixel_shuffle(latents, 2) / self.weight


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with an autoencoder's configuration, on a machine with diffusers."""
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / "config.json").write_text(json.dumps(ABOUT))
    monkeypatch.setattr("semtok.space.find_spec", lambda name: name)
    return tmp_path / "vae"


def with_space(folder, *overrides):
    return tiny(f"space=autoencoder:{folder}", *KEYS, *overrides)


@catches(SUBJECT, "(latents - self.shift) * self.scale", "latents * self.scale - self.shift")
@catches(SUBJECT, "decode(latents / self.scale + self.shift)", "decode((latents + self.shift) / self.scale)")
@catches(SUBJECT, "autoencoder.eval().requires_grad_(False)", "autoencoder.eval()")
def test_latents_are_shifted_and_scaled_and_turn_back():
    space = AutoencoderSpace(Blocks(), 0.5, 0.25)
    latents = space.encode(pictures())
    torch.testing.assert_close(latents, (F.pixel_unshuffle(pictures(), 2) - 0.25) * 0.5)
    assert not latents.requires_grad
    torch.testing.assert_close(space.decode(latents), pictures())
    some = torch.zeros(1, 4, 8, 8, requires_grad=True)
    space.decode(some).sum().backward()
    torch.testing.assert_close(some.grad, torch.full_like(some, 2.0))


@catches(SUBJECT, ', about.get("shift_factor") or 0.0', "")
@catches(SUBJECT, 'about.get("scaling_factor", _SCALE)', "_SCALE")
@catches(SUBJECT, 'about.get("scaling_factor", _SCALE)', 'about.get("scaling_factor", 1.0)')
def test_scale_and_shift_are_those_of_the_folder_or_of_diffusers(folder, monkeypatch):
    monkeypatch.setattr("semtok.space.load_diffusers_autoencoder", lambda path: {folder: Blocks()}[path])
    space = open_space(with_space(folder))
    assert (space.scale, space.shift) == (0.5, 0.25)
    older = {key: value for key, value in ABOUT.items() if key not in ("scaling_factor", "shift_factor")}
    (folder / "config.json").write_text(json.dumps(older))
    space = open_space(with_space(folder))
    assert (space.scale, space.shift) == (0.18215, 0.0)
    assert open_space(tiny()) is None


@catches(SUBJECT, "2 ** (len(about", "2 * (len(about")
@catches(SUBJECT, 'sizes.space_channels, about["latent_channels"]', 'sizes.space_channels, about["in_channels"]')
@catches(SUBJECT, "if ours != theirs", "if False")
def test_channels_and_stride_are_checked_against_the_folder(folder):
    assert check_space(with_space(folder)) == ABOUT
    assert check_space(tiny()) is None
    for changed, value, message in (
        ("latent_channels", 16, "tokenizer.space_channels: expected 16, which .* has, got 4"),
        ("block_out_channels", [8, 8, 8], "tokenizer.space_stride: expected 4, which .* has, got 2"),
        ("in_channels", 3, "tokenizer.image_channels: expected 3, which .* has, got 1"),
        ("_class_name", "VQModel", "space: .*: expected an AutoencoderKL, got VQModel"),
    ):
        (folder / "config.json").write_text(json.dumps(ABOUT | {changed: value}))
        with pytest.raises(ConfigError, match=rf"\A{message}\Z"):
            check_space(with_space(folder))


def test_the_command_of_the_page_fits_an_autoencoder_of_images_in_colour(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    photographs(folder.parent / "path" / "to" / "images")
    sizes = {"in_channels": 3, "block_out_channels": [128, 256, 512, 512]}
    vae = folder.parent / "path" / "to" / "vae"
    vae.mkdir()
    (vae / "config.json").write_text(json.dumps(ABOUT | sizes))
    page = "\n".join(block.text for block in blocks(ROOT / "recipes" / "semtok" / "README.md"))
    (command,) = re.findall(r"^semtok demo (.*space=autoencoder.*)$", page.replace("\\\n", " "), re.MULTILINE)
    options = tyro.cli(Options, args=shlex.split(command), config=(tyro.conf.OmitArgPrefixes,))
    check_networks(resolve(options))


@catches(SUBJECT, 'if find_spec("diffusers") is None', "if False")
def test_what_is_missing_is_told_in_one_line(folder, monkeypatch):
    (folder / "config.json").unlink()
    with pytest.raises(ConfigError, match=r"\Aspace: [^\n]*: expected the folder of an AutoencoderKL [^\n]*\Z"):
        check_space(with_space(folder))
    for value in ("latents", "autoencoder:", "autoencoder", ""):
        with pytest.raises(ConfigError, match=r"space: .*expected pixels or autoencoder:FOLDER, got"):
            tiny(f"space='{value}'")
    monkeypatch.setattr("semtok.space.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"\Aspace: [^\n]*pip install 'vistok-recipes\[diffusers\]'\Z"):
        check_space(with_space(folder))


def test_networks_are_checked_without_the_autoencoder(folder):
    check_networks(with_space(folder))
    with pytest.raises(ConfigError, match=r"\Atokenizer.space_channels: expected 4, which .* has, got None"):
        check_networks(tiny(f"space=autoencoder:{folder}"))


@catches(SUBJECT, "::stride, ::stride]", ":, :]")
def test_what_stands_for_a_space_has_its_shapes(folder):
    config = with_space(folder)
    space = shapes_of(config)
    assert isinstance(space, ShapesOnly)
    assert space.encode(pictures()).shape == (3, 4, 8, 8)
    assert space.decode(space.encode(pictures())).shape == (3, 1, 16, 16)
    assert shapes_of(tiny()) is None


@pytest.mark.slow
def test_every_stage_works_in_the_latents_of_diffusers_autoencoder(tmp_path, monkeypatch):
    reason = "diffusers, the extra of vistok-recipes, is not installed"
    diffusers = pytest.importorskip("diffusers", reason=reason)
    declare_missing_operators()  # diffusers imports torchvision
    few_images(monkeypatch)
    torch.manual_seed(0)
    sizes = {"in_channels": 1, "out_channels": 1, "latent_channels": 4, "norm_num_groups": 4, "scaling_factor": 0.7}
    sizes["block_out_channels"] = (8, 8)
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    autoencoder = diffusers.AutoencoderKL(**sizes, **blocks).eval()
    autoencoder.save_pretrained(tmp_path / "vae")
    keys = (f"space=autoencoder:{tmp_path / 'vae'}", *KEYS)
    space = open_space(tiny(*keys))
    expected = autoencoder.encode(pictures()).latent_dist.mode() * 0.7
    torch.testing.assert_close(space.encode(pictures()), expected)
    torch.testing.assert_close(space.decode(expected), autoencoder.decode(expected / 0.7).sample)

    options = Options(config=TINY, runs=tmp_path, set=keys)
    COMMANDS["demo"](options)
    run = tmp_path / "tiny"
    assert (run / "report.html").is_file()
    COMMANDS["inspect"](InspectOptions(config=TINY, runs=tmp_path, set=keys))
    graphs = GraphOptions(config=TINY, runs=tmp_path, set=keys, folder=tmp_path / "graphs", format="torch")
    with pytest.raises(ConfigError, match="space: expected pixels, as a graph of diffusers' decoder takes no batch"):
        COMMANDS["export-tokenizer"](graphs)
    pipeline = load_pipeline(run)
    assert pipeline.tensors(["7"]).shape == (1, 1, 16, 16)
    assert pipeline.tokenizer.encode(pictures()).shape == (3, 4)
    assert load_editor(run).books[0].size == 64
