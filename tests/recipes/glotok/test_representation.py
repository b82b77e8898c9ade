"""How the semantic codebook is aligned: not at all, or by contrast with a backbone that every step asks."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from _support.few_images import few_images
from _support.forked_processes import killed
from _support.glotok_runs import TINY, tiny
from _support.mutants import catches
from _support.recipe_processes import of_stage
from glotok.cli import COMMANDS, Options, prepare
from glotok.model import GloTok
from glotok.networks import build_head
from glotok.paths import RunPaths
from glotok.report import settings_rows
from glotok.representation import HeadedTokenizer, RepresentationTerm
from glotok.train_tokenizer import LossTerms
from vistok.losses import vector_entropy_loss
from vistok.metrics import FeatureBackbone
from vistok.workbench.config import ConfigError
from vistok.workbench.data import load_images
from vistok.workbench.run.checkpoint import load_latest_checkpoint
from vistok.workbench.run.tracking import read_metrics

SUBJECT = "glotok.representation"
TRAINING = "glotok.train_tokenizer"
SMALL = ("representation.width=16", "representation.depth=1", "representation.num_heads=2")
CONTRASTIVE = ("losses.alignment=contrastive", *SMALL)
NONE = ("losses.alignment=none",)


@pytest.fixture(scope="module")
def images():
    return load_images("digits", image_size=16).train.batch(torch.arange(6))


def headed(*changes):
    """A tokenizer with its head, and its terms."""
    config = tiny(*CONTRASTIVE, *changes)
    torch.manual_seed(0)
    term = RepresentationTerm(config.teacher, config.representation.temperature)
    network = HeadedTokenizer(GloTok(config.tokenizer), build_head(config, term.backbone.dim))
    return config, network, LossTerms(config.losses, None, term)


@catches(SUBJECT, "image_size=self.image_size", "image_size=None")
@catches(SUBJECT, "temperature=self.temperature", "temperature=1.0")
def test_the_term_is_the_cross_entropy_of_picking_each_images_own_feature(images):
    """Again in float64, from cosines."""
    config, network, terms = headed("representation.temperature=0.2")
    out = network(images)
    value = terms(images, out, None)["representation"]
    target = FeatureBackbone().pooled(images, image_size=config.teacher.image_size).double()
    cosines = torch.nn.functional.cosine_similarity(out.predicted.double()[:, None], target[None], dim=2) / 0.2
    expected = (cosines.exp().sum(1).log() - cosines.diagonal()).mean()
    torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-6)


def test_codes_of_both_books_are_kept_apart(images):
    config, network, terms = headed()
    out = network(images)
    books = network.quantizer.indices_to_codes(out.semantic.indices, out.visual.indices)
    expected = (books[0] * books[1]).double().sum(1).square().mean()
    values = terms(images, out, None)
    torch.testing.assert_close(values["disentanglement"].double(), expected, rtol=1e-5, atol=1e-7)
    assert {"representation", "disentanglement"} < set(values)
    assert "histogram" not in values
    weights = config.losses
    assert (weights.representation_weight, weights.disentanglement_weight) == (0.5, 0.1)
    rest = sum(
        getattr(weights, f"{name}_weight") * value
        for name, value in values.items()
        if name not in ("representation", "disentanglement")
    )
    expected = rest + 0.5 * values["representation"] + 0.1 * values["disentanglement"]
    torch.testing.assert_close(terms.total(values), expected)


@catches(SUBJECT, "self.head(out.semantic.quantized)", "self.head(out.semantic.codes)")
@catches(SUBJECT, "self.head(out.semantic.quantized)", "self.head(out.visual.quantized)")
def test_the_head_teaches_the_semantic_side_straight_through_its_codes_and_no_other(images):
    _, network, terms = headed()
    terms(images, network(images), None)["representation"].backward()
    reached = {name for name, p in network.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    assert {name for name, _ in network.named_parameters() if name.startswith("head.")} <= reached
    assert any(name.startswith("tokenizer.encoder.") for name in reached)
    assert any(name.startswith("tokenizer.semantic_adapter.") for name in reached)
    others = ("visual_adapter", "quantizer", "decoder", "semantic_recovery", "visual_recovery")
    assert not any(name.startswith(f"tokenizer.{other}") for name in reached for other in others)
    assert all(p.grad is None for p in terms.parameters())


@catches(SUBJECT, "tokens + self.positions", "tokens")
@catches(SUBJECT, "tokens[:, 0]", "tokens[:, -1]")
def test_the_head_sees_where_each_code_is_and_answers_at_its_class_token():
    config, network, _ = headed()
    head, codes = network.head.eval(), torch.randn(2, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    assert not torch.allclose(head(codes), head(codes.flip(-1)), atol=1e-4)
    with torch.no_grad():
        head.blocks = torch.nn.Identity()
        assert torch.equal(head(codes)[0], head(codes)[1]), "without attention the class token sees no code"
    assert isinstance(build_head(config, 16).project, torch.nn.Identity)


def test_the_backbone_is_asked_in_every_step_of_contrast_and_never_without_alignment(tmp_path, monkeypatch):
    asked = []
    pooled = FeatureBackbone.pooled
    monkeypatch.setattr(
        FeatureBackbone, "pooled", lambda self, images, **k: (asked.append(len(images)), pooled(self, images, **k))[1]
    )
    short = ("train.steps=3", "train.accumulation=2")
    COMMANDS["train-tokenizer"](Options(config=TINY, runs=tmp_path, name="contrast", set=(*CONTRASTIVE, *short)))
    assert asked == [4] * 6
    COMMANDS["train-tokenizer"](Options(config=TINY, runs=tmp_path, name="none", set=(*NONE, *short)))
    assert asked == [4] * 6
    terms = [set(read_metrics(RunPaths(tmp_path / name).metrics)[0]) for name in ("contrast", "none")]
    assert terms[0] - terms[1] == {"representation", "disentanglement"}
    assert "histogram" not in terms[0]


@pytest.mark.parametrize("changes", [NONE, CONTRASTIVE])
def test_without_a_histogram_no_run_has_a_teacher(tmp_path, changes):
    options = Options(config=TINY, runs=tmp_path, set=changes)
    listed = prepare(options).stages.by_name
    assert "teacher" not in listed
    assert {"seed", "data"} < set(listed["train-tokenizer"].settings)
    assert ("teacher" in listed["train-tokenizer"].settings) == (changes == CONTRASTIVE)
    with pytest.raises(ConfigError, match=r"^teacher: this configuration has no such stage, but train-tokenizer, "):
        COMMANDS["teacher"](options)
    assert "teacher" in prepare(Options(config=TINY, runs=tmp_path)).stages.by_name


def test_the_page_shows_relations_only_with_a_teacher(tmp_path, monkeypatch):
    few_images(monkeypatch)
    short = ("train.steps=4", "generators.xar.train.steps=1", "generators.xar.samples.default.num_samples=10")
    COMMANDS["demo"](Options(config=TINY, runs=tmp_path, set=(*CONTRASTIVE, *short)))
    paths = RunPaths(tmp_path / "tiny")
    page = paths.report().read_text()
    assert "Global relations" not in page
    assert "Parts of the features</h2>" in page
    assert "lite0 at 32 px runs in every step" in page
    assert not paths.teacher.exists()
    assert set(load_file(paths.tokenizer / "model.safetensors")) == set(GloTok(tiny().tokenizer).state_dict())


def test_the_page_says_how_the_semantic_codebook_was_aligned():
    said = {change: settings_rows(tiny(change))[1][1] for change in ("losses.alignment=none", "name=histogram")}
    assert said["losses.alignment=none"] == "none: both codebooks learn from the images alone"
    assert said["name=histogram"].startswith("relation histogram, weight 0.01")


def test_a_killed_contrastive_run_resumes_to_the_same_bits_with_its_head(tmp_path):
    """The configuration is a file: the process that is killed takes no overrides."""
    config = tiny(*CONTRASTIVE)
    file = tmp_path / "contrastive.yaml"
    file.write_text(config.model_dump_json())
    whole, broken = (Options(config=str(file), runs=tmp_path / name) for name in ("whole", "broken"))
    COMMANDS["train-tokenizer"](whole)
    killed("glotok", "tokenizer", broken, "step", 3)
    COMMANDS["train-tokenizer"](replace(broken, resume=True))
    one, other = (RunPaths(options.runs / config.name) for options in (whole, broken))
    assert of_stage(one.folder, "tokenizer") == of_stage(other.folder, "tokenizer")
    (_, first), (_, second) = (load_latest_checkpoint(paths.tokenizer_checkpoints) for paths in (one, other))
    assert set(first["head"]) == set(second["head"]) != set()
    assert all(torch.equal(value, second["head"][name]) for name, value in first["head"].items())
    moments = (state["optimizer"]["state"] for state in (first, second))
    for mine, theirs in zip(*(list(state.values()) for state in moments), strict=True):
        assert torch.equal(mine["exp_avg_sq"], theirs["exp_avg_sq"])
    assert len(first["optimizer"]["state"]) == len(first["head"]) + len(list(GloTok(config.tokenizer).parameters()))


@catches(TRAINING, "F.normalize(branch.codebook, dim=1)", "branch.codebook")
@catches(TRAINING, "self._entropy(out.semantic) + self._entropy(out.visual)", "self._entropy(out.semantic)")
def test_the_entropy_term_is_of_both_books_as_directions_and_absent_by_default(images):
    config = tiny("losses.entropy_weight=0.03", "losses.entropy_temperature=0.5")
    torch.manual_seed(0)
    model = GloTok(config.tokenizer)
    with torch.no_grad():
        model.quantizer.semantic.codebook.mul_(3)
    out = model(images)
    terms = LossTerms(config.losses, None)
    expected = sum(
        vector_entropy_loss(branch.features, torch.nn.functional.normalize(book.codebook, dim=1), temperature=0.5)
        for branch, book in ((out.semantic, model.quantizer.semantic), (out.visual, model.quantizer.visual))
    )
    values = terms(images, out, None)
    torch.testing.assert_close(values["entropy"], expected)
    without = {name: value for name, value in values.items() if name != "entropy"}
    torch.testing.assert_close(terms.total(values), terms.total(without) + 0.03 * expected)
    assert "entropy" not in LossTerms(tiny().losses, None)(images, out, None)


def test_a_run_that_learned_relations_is_not_continued_without_them(tiny_run):
    options, _ = tiny_run
    COMMANDS["train-tokenizer"](replace(options, set=("train.steps=2",)))
    with pytest.raises(ConfigError, match=r"losses\.alignment was histogram, now none"):
        COMMANDS["train-tokenizer"](replace(options, set=("train.steps=2", *NONE), resume=True))
