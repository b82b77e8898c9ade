"""GloTok's own figures: what each codebook knows of the class, and relations beside the teacher's."""

from types import SimpleNamespace

import pytest
import torch

from _support.glotok_runs import tiny
from _support.mutants import catches
from _support.tokens_in_memory import in_memory
from glotok.encode import TokenCache
from glotok.evaluate import add_probes, codebook_measures
from glotok.model import GloTok
from glotok.teacher import teacher_histogram
from vistok.workbench.data import ImageSet
from vistok.workbench.recipe_config import EvaluateConfig
from vistok.workbench.tokens.latent_scale import LatentScale

SUBJECT = "glotok.evaluate"


class Kept(SimpleNamespace):
    """An evaluation that keeps what is added."""

    def add(self, section, what, measure):
        self.sections.setdefault(section, {}).update(measure())


@catches(SUBJECT, 'slice(dim, None)), ("visual", slice(None, dim))', 'slice(None, dim)), ("visual", slice(dim, None))')
def test_a_codebook_that_knows_the_class_is_told_from_one_that_does_not():
    """The semantic token is the class, the visual one a draw."""
    draws, numbers = torch.Generator().manual_seed(0), torch.arange(4.0)[:, None].expand(4, 3).contiguous()
    labels = torch.arange(4).repeat(30)

    def tokens(count):
        visual = torch.randint(4, (count, 1, 1), generator=draws)
        return {"semantic": labels[:count, None, None], "visual": visual}

    train, stored = tokens(120), tokens(40)
    books = {
        "semantic_codes": numbers,
        "visual_codes": numbers,
        "scale": LatentScale(torch.zeros(6, 1, 1), torch.ones(6, 1, 1)),
    }
    cache = TokenCache(in_memory(labels, **{name: part[:, None] for name, part in train.items()}), **books)
    names = ("a", "b", "c", "d")
    train_set, validation = (
        ImageSet(torch.zeros(count, 1, 8, 8, dtype=torch.uint8), labels[:count], names, "four") for count in (120, 40)
    )
    evaluation = Kept(sections={}, train=train_set, validation=validation, seed=0, settings=EvaluateConfig())
    add_probes(evaluation, cache, stored)
    found = evaluation.sections["probe"]
    assert found["semantic"] == found["accuracy"] == 1
    assert found["visual"] < 0.6
    assert found["most_frequent_class"] == 0.25


@pytest.mark.parametrize("diagonal", ["true", "false"])
def test_the_relation_loss_is_zero_for_the_teachers_own_relations_however_they_are_counted(diagonal):
    config = tiny(f"losses.histogram_include_diagonal={diagonal}")
    tokenizer = GloTok(config.tokenizer)
    own = teacher_histogram(tokenizer.quantizer.semantic.codebook.detach(), config.losses)
    tokens = torch.arange(4).repeat_interleave(2)[:, None, None].expand(-1, 2, 2)
    figures = codebook_measures(tokenizer, {"semantic": tokens, "visual": tokens}, own, config)
    assert abs(figures["semantic"]["histogram_relation_loss"]) < 1e-6
