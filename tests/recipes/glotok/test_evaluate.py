"""GloTok's own figures: the uniformity of its semantic features."""

import pytest
import torch

from _support.glotok_runs import tiny
from glotok.config import EvaluateConfig
from glotok.evaluate import codebook_measures, over_repeats, uniformity_points
from glotok.model import GloTok
from glotok.teacher import teacher_histogram


class Codes:
    """A tokenizer whose semantic features are the numbers of the tokens."""

    def codes(self, tokens):
        return tokens.semantic[:, None].float(), None


def sorted_by_class(images_a_class, classes):
    labels = torch.arange(classes).repeat_interleave(images_a_class)
    tokens = labels[:, None, None].expand(-1, 2, 2)
    return {"semantic": tokens, "visual": tokens}


def test_uniformity_sees_every_class_of_a_set_that_is_sorted_by_class():
    settings = EvaluateConfig(uniformity_points=100, uniformity_repeats=2)
    first, second = uniformity_points(Codes(), sorted_by_class(50, 20), settings, seed=0)
    for points in (first, second):
        assert points.shape == (100, 1)
        assert points.unique().tolist() == list(range(20))
    assert not torch.equal(first, second)
    again, _ = uniformity_points(Codes(), sorted_by_class(50, 20), settings, seed=0)
    assert torch.equal(first, again)


def test_no_image_is_drawn_twice_and_all_are_taken_where_they_are_few():
    each = sorted_by_class(1, 120)
    drawn, everything = (
        uniformity_points(Codes(), each, EvaluateConfig(uniformity_points=count), seed=0)[0] for count in (100, 1000)
    )
    assert len(drawn.unique()) == 100
    assert everything[:, 0].tolist() == list(range(120))


def test_figures_of_several_draws_are_means_with_their_deviations():
    points = [torch.full((3, 1), value) for value in (1.0, 3.0)]
    figures = over_repeats(points, lambda drawn: {"mean": drawn.mean().item()})
    assert figures == {"mean": 2.0, "mean_sd": pytest.approx(2**0.5)}
    assert over_repeats(points[:1], lambda drawn: {"mean": drawn.mean().item()}) == {"mean": 1.0}


@pytest.mark.parametrize("diagonal", ["true", "false"])
def test_the_relation_loss_is_zero_for_the_teachers_own_relations_however_they_are_counted(diagonal):
    config = tiny(f"losses.histogram_include_diagonal={diagonal}")
    tokenizer = GloTok(config.tokenizer)
    own = teacher_histogram(tokenizer.quantizer.semantic.codebook.detach(), config.losses)
    figures = codebook_measures(tokenizer, sorted_by_class(2, 4), own, config)
    assert abs(figures["semantic"]["histogram_relation_loss"]) < 1e-6
