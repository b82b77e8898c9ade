"""Autoencoders of diffusers as tokenizers: a codebook gives tokens, none gives latents."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn

from _support.mutants import catches
from vistok.metrics import evaluate_tokenizer, load_tokenizer
from vistok.metrics.harness.diffusers_autoencoders import DiffusersAutoencoder, load_diffusers_autoencoder
from vistok.metrics.networks import _torchvision_schemas

SUBJECT = "vistok.metrics.harness.diffusers_autoencoders"


class Codebook(nn.Module):
    """The calls of diffusers' quantizer, flat indices and all; three codes of two channels."""

    re_embed = 3

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(3, 2)
        self.embedding.weight.data = torch.tensor([[-1.0, -1.0], [0.0, 1.0], [1.0, 0.0]])

    def forward(self, z):
        rows = z.permute(0, 2, 3, 1)
        indices = torch.cdist(rows.reshape(-1, 2), self.embedding.weight).argmin(1)
        return self.embedding(indices).view(rows.shape).permute(0, 3, 1, 2), 0.0, (None, None, indices)

    def get_codebook_entry(self, indices, shape):
        return self.embedding(indices).view(shape).permute(0, 3, 1, 2)


class VQModel(nn.Module):
    """The calls of diffusers' VQModel; each pixel is a latent of two channels."""

    def __init__(self, lookup=False):
        super().__init__()
        self.quantize = Codebook()
        self.config = SimpleNamespace(vq_embed_dim=None, latent_channels=2, lookup_from_codebook=lookup)

    def encode(self, images):
        return SimpleNamespace(latents=images[:, :2])

    def decode(self, h, force_not_quantize=False, shape=None):
        if not force_not_quantize:
            h = self.quantize(h)[0]
        elif self.config.lookup_from_codebook:
            h = self.quantize.get_codebook_entry(h, shape)
        return SimpleNamespace(sample=torch.cat([h, h[:, :1]], dim=1))


@catches(SUBJECT, "indices.reshape(len(latents), *latents.shape[-2:])", "indices.reshape(*latents.shape[-2:], -1)")
@catches(SUBJECT, "self.model.decode(codes, force_not_quantize=True)", "self.model.decode(code.flatten())")
@catches(SUBJECT, "if self.model.config.lookup_from_codebook:", "if False:")
@catches(SUBJECT, "(int(quantize.re_embed),)", "(int(quantize.re_embed), 2)")
def test_a_model_with_a_codebook_gives_and_takes_tokens():
    images = torch.rand(2, 3, 2, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for lookup in (False, True):
        model = VQModel(lookup)
        tokenizer = DiffusersAutoencoder(model)
        assert tokenizer.codebook_sizes == (3,)
        tokens = tokenizer.encode(images)
        assert tokens.shape == (2, 2, 3)
        chosen = model.quantize.embedding(tokens).permute(0, 3, 1, 2)
        assert torch.equal(tokenizer.decode(tokens)[:, :2], chosen)
        assert torch.equal(chosen, model.quantize(images[:, :2])[0])


@catches(SUBJECT, "encoded.latent_dist.mode()", "encoded.latent_dist.sample()")
@catches(SUBJECT, 'hasattr(encoded, "latents")', "True")
def test_a_model_without_one_gives_latents_or_their_mode():
    images = torch.rand(1, 3, 2, 2)
    spread = SimpleNamespace(mode=lambda: images * 2, sample=lambda: images * 3)
    for encoded in (
        SimpleNamespace(latent_dist=spread),
        SimpleNamespace(latents=images * 2),
        SimpleNamespace(latent=images * 2),
    ):
        model = nn.Identity()
        model.encode, model.decode = lambda _, found=encoded: found, lambda h: SimpleNamespace(sample=h / 2)
        tokenizer = DiffusersAutoencoder(model)
        assert torch.equal(tokenizer.encode(images), images * 2)
        assert torch.equal(tokenizer.decode(images * 2), images)
        assert tokenizer.codebook_sizes == ()


def test_its_codes_are_counted():
    images = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    codes = evaluate_tokenizer(DiffusersAutoencoder(VQModel()), images, batch_size=2).measures["codes"]
    assert codes["tokens_per_image"] == 256
    assert codes["codebook_0_usage"] == 1.0


@catches(SUBJECT, "except ImportError as error:", "except KeyError as error:")
def test_without_diffusers_the_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ValueError, match=r"\Ait needs diffusers [^\n]*pip install 'vistok-metrics\[diffusers\]'\Z"):
        load_diffusers_autoencoder(tmp_path)


@catches(SUBJECT, "from_pretrained(str(path))).eval()", "from_pretrained(str(path)))")
@catches(SUBJECT, "except (OSError, ValueError, KeyError, TypeError, AttributeError)", "except OSError")
@catches(SUBJECT, "    declare_missing_operators()  # diffusers imports torchvision\n", "")
def test_a_folder_is_of_the_class_that_it_names(tmp_path, monkeypatch):
    class AutoencoderKL(nn.Module):
        @classmethod
        def from_pretrained(cls, path):
            model = cls()
            model.path = path
            return model

    diffusers, declared = ModuleType("diffusers"), []
    diffusers.AutoencoderKL = AutoencoderKL
    monkeypatch.setitem(sys.modules, "diffusers", diffusers)
    monkeypatch.setattr(_torchvision_schemas, "_compiled_libraries", lambda: declared.append(1) or ())
    monkeypatch.setattr(_torchvision_schemas, "_OPERATORS", ("no_such_operator",))
    (tmp_path / "config.json").write_text('{"_class_name": "AutoencoderKL"}')
    tokenizer = load_diffusers_autoencoder(tmp_path)
    assert (type(tokenizer.model), tokenizer.model.path) == (AutoencoderKL, str(tmp_path))
    assert not tokenizer.model.training
    assert declared
    for text in ("", "{}", "3", '{"_class_name": "NoSuchModel"}'):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(ValueError, match=r"\Aconfig\.json is not that of an autoencoder[^\n]*\Z"):
            load_diffusers_autoencoder(tmp_path)
    with pytest.raises(ValueError, match="No such file"):
        load_diffusers_autoencoder(tmp_path / "nowhere")


def test_real_autoencoders_are_measured_from_their_folders(tmp_path):
    _torchvision_schemas.declare_missing_operators()
    diffusers = pytest.importorskip("diffusers", reason="diffusers, the extra of vistok-metrics, is not installed")
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    sizes = {**blocks, "block_out_channels": (32, 32), "latent_channels": 4, "norm_num_groups": 32}
    images = torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    given = images.float() / 127.5 - 1
    torch.manual_seed(0)
    for name, model in (
        ("plain", diffusers.VQModel(**sizes, num_vq_embeddings=16)),
        ("lookup", diffusers.VQModel(**sizes, num_vq_embeddings=16, lookup_from_codebook=True)),
        ("kl", diffusers.AutoencoderKL(**sizes)),
    ):
        model.eval().save_pretrained(tmp_path / name)
        tokenizer = load_tokenizer("diffusers", tmp_path / name)
        measures = evaluate_tokenizer(tokenizer, images, batch_size=2).measures
        with torch.no_grad():
            code = tokenizer.encode(given)
            encoded = model.encode(given)
            latents = encoded.latent_dist.mode() if name == "kl" else encoded.latents
            expected = model.decode(latents).sample
            torch.testing.assert_close(tokenizer.decode(code), expected, atol=1e-4, rtol=0)
        assert ("codes" in measures) == (name != "kl")
        assert tokenizer.codebook_sizes == (() if name == "kl" else (16,))
        assert code.shape[-2:] == (8, 8)
