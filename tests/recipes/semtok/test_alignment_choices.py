"""What else the backbone's features are given to: the query stream patch by patch, and a block of the decoder."""

import pytest
import torch
import torch.nn.functional as F

from _support.mutants import catches
from _support.semtok_runs import TINY, generator, pictures, tiny, tiny_tokenizer
from semtok import train_tokenizer
from semtok.alignment import Targets, on_grid
from semtok.alignment_choices import ChosenHeads, Predicted, alignment_terms, waves
from semtok.config import AlignmentConfig, load
from semtok.draws import draw
from semtok.model import SemTok
from vistok.workbench.config import ConfigError
from vistok.workbench.run.tracking import read_metrics

SUBJECT = "semtok.alignment_choices"


def random_targets(seed):
    return Targets(*(torch.randn(*shape, 5, generator=generator(seed)) for shape in ((3, 2, 2), (3,))))


def passed(*overrides):
    config = tiny(*overrides)
    torch.manual_seed(0)
    model = train_tokenizer.StageOne(config, tiny_tokenizer(decoder_depth=config.tokenizer.decoder_depth), 5)
    draws = draw(torch.arange(3), 0, 0, config.tokenizer, config.losses)
    return (config, model, *model(pictures(), draws, random_targets(1)))


def cosine_distance(one, other):
    return (1 - F.cosine_similarity(one.double(), other.double(), dim=-1)).mean()


@catches(SUBJECT, 'settings.query_target == "both"', 'settings.query_target == "patches"')
@catches(SUBJECT, 'alignment_loss(standard, targets, "patches")', "alignment_loss(standard, targets)")
@catches(SUBJECT, "torch.stack(parts).sum()", "torch.stack(parts).mean()")
def test_the_query_stream_is_aligned_to_patches_to_the_pooled_feature_or_to_both():
    targets, said = random_targets(2), random_targets(3)
    query_patches = torch.randn(3, 2, 2, 5, generator=generator(4))
    image = cosine_distance(said.patches, targets.patches)
    pooled, patches = cosine_distance(said.pooled, targets.pooled), cosine_distance(query_patches, targets.patches)
    for streams, own in (("both", image), ("queries", 0)):
        for target, expected in (("pooled", pooled), ("patches", patches), ("both", pooled + patches)):
            predicted = Predicted(*said, None if target == "pooled" else query_patches, None)
            terms = alignment_terms(predicted, targets, AlignmentConfig(streams=streams, query_target=target))
            assert set(terms) == {"alignment"}
            torch.testing.assert_close(terms["alignment"].double(), own + expected, rtol=1e-4, atol=1e-5)
    terms = alignment_terms(Predicted(*said, None, None), targets, AlignmentConfig(streams="patches"))
    torch.testing.assert_close(terms["alignment"].double(), image, rtol=1e-4, atol=1e-5)


@catches(SUBJECT, "sides.append(torch.cat([angles.sin()", "sides.append(torch.cat([angles.sin() * 0")
@catches(SUBJECT, "+ self.places(waves(grid).to(queries.device))", "+ 0 * self.places(waves(grid).to(queries.device))")
def test_each_patch_has_a_place_of_its_own():
    settings = AlignmentConfig(query_target="patches", hidden_width=16)
    torch.manual_seed(0)
    heads = ChosenHeads(tiny().tokenizer, settings, 5)
    said = Targets(torch.zeros(2, 3, 4, 5), torch.zeros(2, 5))
    found = heads(torch.randn(2, 4, 6), None, said).query_patches
    assert found.shape == (2, 3, 4, 5)
    assert len(found[0].flatten(0, 1).unique(dim=0)) == 12
    places = waves((3, 4))
    assert len(places[..., :4].flatten(0, 1).unique(dim=0)) > 1
    torch.testing.assert_close(places[:, 0, :8], waves((3, 1))[:, 0, :8])  # rows do not depend on columns


@catches("semtok.model", "blocks[decoder_block - 1]", "blocks[-1]")
def test_the_block_that_is_aligned_is_the_one_that_was_asked_for():
    keys = ("tokenizer.decoder_depth=2", "alignment.decoder_block=1")
    config = tiny(*keys)
    model = tiny_tokenizer(model=SemTok, decoder_depth=2)
    seen = []
    model.decoder.blocks[0].register_forward_hook(lambda _, __, out: seen.append(out[0]))
    draws = draw(torch.arange(3), 0, 0, config.tokenizer, config.losses)
    assert torch.equal(model(pictures(), draws, 1).hidden.flatten(1, 2), seen[0])
    assert model(pictures(), draws).hidden is None


@catches(SUBJECT, "self.decoder(on_grid(hidden, grid))", "self.decoder(on_grid(hidden.detach(), grid))")
def test_alignment_of_the_decoder_reaches_the_blocks_before_it():
    torch.manual_seed(0)
    settings = AlignmentConfig(decoder_block=1, hidden_width=16)
    heads = ChosenHeads(tiny().tokenizer, settings, 5)
    hidden = torch.randn(3, 4, 4, 16, requires_grad=True)
    targets, said = random_targets(1), random_targets(2)
    predicted = heads(torch.randn(3, 4, 6), hidden, said)
    torch.testing.assert_close(predicted.decoder, heads.decoder(on_grid(hidden, (2, 2))))
    terms = alignment_terms(predicted, targets, settings)
    assert set(terms) == {"alignment", "decoder_alignment"}
    terms["decoder_alignment"].backward()
    torch.testing.assert_close(
        terms["decoder_alignment"].double(), cosine_distance(predicted.decoder, targets.patches), rtol=1e-4, atol=1e-5
    )
    assert hidden.grad.abs().sum() > 0


def test_both_choices_reach_the_networks_that_they_are_about():
    keys = ("alignment.decoder_block=1", "tokenizer.decoder_depth=2", "alignment.query_target=both")
    config, model, _, predicted = passed(*keys)
    terms = alignment_terms(predicted, random_targets(1), config.alignment)
    torch.stack(list(terms.values())).sum().backward()
    moved = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert {"tokenizer.decoder.embed.weight", "tokenizer.encoder.queries", "chosen.tokens.weight"} <= moved
    assert {"chosen.places.weight", "chosen.decoder.0.weight"} <= moved
    assert not any(name.startswith("tokenizer.decoder.blocks.1") for name in moved)


def test_by_default_there_is_nothing_more_to_learn():
    _, model, out, predicted = passed()
    assert not list(model.chosen.parameters())
    assert (out.hidden, predicted.query_patches, predicted.decoder) == (None, None, None)


@catches("semtok.config", 'self.streams == "patches" and getattr', 'self.streams == "queries" and getattr')
@pytest.mark.parametrize(("name", "plain"), [("query_target", "pooled"), ("queries", "features")])
def test_what_is_said_of_queries_that_are_not_aligned_is_refused(name, plain):
    given = {"query_target": "both", "queries": "codes"}[name]
    with pytest.raises(ConfigError, match=rf"alignment: {name}: expected {plain} with streams patches, got {given}$"):
        load(TINY, ("alignment.streams=patches", f"alignment.{name}={given}"))
    assert load(TINY, ("alignment.streams=queries", f"alignment.{name}={given}"))


@catches("semtok.config", "not self.losses.decoder_alignment_weight:", "False:")
def test_a_block_whose_alignment_weighs_nothing_is_refused():
    message = r"losses.decoder_alignment_weight: expected more than 0 with alignment.decoder_block 1, got 0"
    with pytest.raises(ConfigError, match=message):
        load(TINY, ("alignment.decoder_block=1", "losses.decoder_alignment_weight=0"))


def test_a_block_that_is_not_there_is_refused():
    message = r"alignment.decoder_block: expected at most tokenizer.decoder_depth = 1, got 2"
    with pytest.raises(ConfigError, match=message):
        tiny("alignment.decoder_block=2")


@pytest.mark.slow
def test_stage_one_trains_with_both_and_with_the_decoder_alone(tiny_run):
    _, paths = tiny_run
    keys = ("alignment.decoder_block=1", "alignment.query_target=both", "train.steps=3", "train.ema_decay=0.5")
    train_tokenizer.train_tokenizer(tiny(*keys), paths, resume=False)
    lines = read_metrics(paths.metrics)
    assert all({"alignment", "decoder_alignment"} <= set(line) for line in lines)
    train_tokenizer.train_tokenizer(tiny(*keys[:1], "train.steps=2", "losses.alignment_weight=0"), paths, resume=False)
    assert "decoder_alignment" in read_metrics(paths.metrics)[-1]
