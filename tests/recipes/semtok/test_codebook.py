"""A learned codebook starts at features, its unused codes come back, and every kind of token trains end to end."""

import pytest
import torch
from accelerate import Accelerator

from _support.few_images import few_images
from _support.mutants import catches
from _support.semtok_runs import TINY, pictures, tiny, tiny_tokenizer
from semtok.cli import COMMANDS, Options
from semtok.codebook import start_codebook, tend_codebook
from semtok.evaluate import as_features, code_measures
from semtok.quantizer import VectorConfig
from vistok.workbench.config import ConfigError
from vistok.workbench.training.weight_average import weight_average

SUBJECT = "semtok.codebook"
VECTOR = "tokenizer.quantizer={kind: vector, codebook_size: 12, dim: 5}"
ONE_GROUP = ("generators.masked.num_groups=1", "generators.far.num_groups=1")


def vector_tokenizer():
    return tiny_tokenizer(quantizer=VectorConfig(kind="vector", codebook_size=12, dim=5))


@catches(SUBJECT, "train.batch(chunk)", "train.batch(own[:1])")
def test_codes_start_at_centres_of_the_features_of_images(monkeypatch):
    few_images(monkeypatch)
    config, tokenizer = tiny(VECTOR, *ONE_GROUP), vector_tokenizer().train()
    train = config.data.load().train
    start_codebook(tokenizer, train, config, Accelerator(cpu=True))
    features = tokenizer.quantizer.to_code_space(tokenizer.features(train.batch(torch.arange(100)))).detach()
    nearest = torch.cdist(tokenizer.quantizer.codebook.detach(), features.flatten(0, 1)).amin(-1)
    assert nearest.max() < 0.2  # random directions of 5 channels lie further from any feature
    assert len(tokenizer.quantizer(features).indices.unique()) > 8


def test_more_codes_than_features_are_refused_in_one_line(monkeypatch):
    few_images(monkeypatch)
    config = tiny("tokenizer.quantizer={kind: vector, codebook_size: 5000}", *ONE_GROUP)
    tokenizer = tiny_tokenizer(quantizer=config.tokenizer.quantizer)
    with pytest.raises(ConfigError, match=r"train.codebook_start: k_means of 5,000 codes[^\n]*set it to random"):
        start_codebook(tokenizer, config.data.load().train, config, Accelerator(cpu=True))


class _Module(torch.nn.Module):
    def __init__(self, tokenizer):
        super().__init__()
        self.tokenizer = tokenizer


@catches(SUBJECT, "    quantizer.update()\n", "")
@catches(SUBJECT, "kept.quantizer.codebook, rows", "quantizer.codebook, rows")
@catches(SUBJECT, "if not config.train.revives_after(step):", "if config.train.revives_after(step):")
def test_codes_that_nothing_chose_are_replaced_at_the_steps_that_the_configuration_names():
    config = tiny(VECTOR, *ONE_GROUP, "train.revive_every=2", "train.steps=10")
    tokenizer = vector_tokenizer().train()
    average = weight_average(_Module(tokenizer), 0.5)
    optimizer = torch.optim.Adam(tokenizer.parameters())
    replaced = []
    for step in range(10):
        features = tokenizer.features(pictures())
        tokenizer.quantizer(features)
        before = tokenizer.quantizer.codebook.detach().clone()
        log = tend_codebook(tokenizer, average, optimizer, features, config, step)
        replaced.append("revived" in log)
        changed = (tokenizer.quantizer.codebook != before).any(-1)
        assert int(log.get("revived", 0)) == changed.sum()
        averaged = average.module.tokenizer.quantizer.codebook
        assert torch.equal(averaged[changed], tokenizer.quantizer.codebook[changed])
        assert step != 1 or changed.any()
    assert replaced == [False, True, False, True, False, True, False, True, False, False]


def test_usage_and_perplexity_are_those_of_all_tokens():
    measures = code_measures(torch.tensor([[0, 0], [3, 3]]), 12)
    assert measures == {"size": 12, "usage": pytest.approx(2 / 12), "perplexity": pytest.approx(2)}


def test_a_probe_reads_codes_of_tokens_that_are_not_bits():
    tokenizer = vector_tokenizer()
    tokens = tokenizer.encode(pictures())
    assert torch.equal(as_features(tokenizer, tokens), tokenizer.codes(tokens).flatten(1))
    assert as_features(tiny_tokenizer(), tokens).abs().unique().tolist() == [1.0]


@pytest.mark.parametrize(
    "changes",
    [
        (VECTOR, *ONE_GROUP, "train.revive_every=2", "train.ema_decay=0.5"),
        ("tokenizer.quantizer={kind: fsq, levels: [5, 4]}",),
        ("tokenizer.quantizer={kind: lfq}",),
    ],
)
@pytest.mark.slow
def test_every_kind_of_token_goes_from_training_to_the_report_and_the_inspector(changes, tmp_path, monkeypatch):
    few_images(monkeypatch)
    options = Options(config=TINY, runs=tmp_path, set=(*changes, "train.checkpoint_every=6"))
    COMMANDS["demo"](options)
    page = (tmp_path / "tiny" / "report.html").read_text()
    assert ("bits alive" in page) == ("lfq" in changes[0])
    assert ("codes in use" in page) == ("lfq" not in changes[0])
