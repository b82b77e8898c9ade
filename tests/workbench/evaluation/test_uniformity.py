"""Uniformity is measured at random positions of random images, several times where asked."""

import pytest
import torch

from _support.mutants import catches
from vistok.metrics import NotMeasurableError
from vistok.workbench.evaluation.uniformity import add_uniformity, draw_points, over_repeats

SUBJECT = "vistok.workbench.evaluation.uniformity"


def sorted_by_class(images_a_class, classes):
    """Features ``(N, 1, 2, 2)`` that are the class of their image."""
    return torch.arange(classes).repeat_interleave(images_a_class)[:, None, None, None].expand(-1, 1, 2, 2).float()


@catches(SUBJECT, "manual_seed(seed * 1_009 + repeat)", "manual_seed(seed)")
def test_every_class_of_a_set_that_is_sorted_by_class_is_seen_anew_in_each_repeat():
    first, second = draw_points(sorted_by_class(50, 20), num_points=100, repeats=2, seed=0)
    for points in (first, second):
        assert points.shape == (100, 1)
        assert points.unique().tolist() == list(range(20))
    assert not torch.equal(first, second)
    assert torch.equal(first, draw_points(sorted_by_class(50, 20), num_points=100, repeats=1, seed=0)[0])


def test_no_image_is_drawn_twice_and_all_are_taken_where_they_are_few():
    drawn, everything = (
        draw_points(sorted_by_class(1, 120), num_points=count, repeats=1, seed=0)[0] for count in (100, 1000)
    )
    assert len(drawn.unique()) == 100
    assert everything[:, 0].tolist() == list(range(120))


@catches(SUBJECT, "if len(repeats) > 1:", "if repeats:")
def test_figures_of_several_draws_are_means_with_their_deviations():
    points = [torch.full((3, 1), value) for value in (1.0, 3.0)]
    figures = over_repeats(points, lambda drawn: {"mean": drawn.mean().item()})
    assert figures == {"mean": 2.0, "mean_deviation": pytest.approx(2**0.5)}
    assert over_repeats(points[:1], lambda drawn: {"mean": drawn.mean().item()}) == {"mean": 1.0}


class Kept:
    """What is added to an evaluation, by section; what cannot be measured is not."""

    def __init__(self):
        self.sections = {}

    def add(self, section, what, measure):
        try:
            self.sections.setdefault(section, {}).update(measure())
        except NotMeasurableError:
            self.sections.setdefault("left out", []).append(what)


@catches(SUBJECT, "F.normalize(points, dim=1)", "F.normalize(points, dim=0)")
def test_all_four_figures_stand_in_one_section_and_directions_alone_count_for_one_of_them():
    draws = torch.Generator().manual_seed(0)
    features = torch.randn(80, 3, 2, 2, generator=draws)
    plain, scaled = Kept(), Kept()
    add_uniformity(plain, features, num_points=80, repeats=1, seed=0)
    add_uniformity(scaled, features * torch.rand(80, 1, 1, 1, generator=draws), num_points=80, repeats=1, seed=0)
    assert list(plain.sections["uniformity"]) == ["density_cv", "normalized_entropy", "gini", "wang_isola"]
    assert scaled.sections["uniformity"]["wang_isola"] == pytest.approx(plain.sections["uniformity"]["wang_isola"])


def test_too_few_images_are_left_out_with_a_reason():
    kept = Kept()
    add_uniformity(kept, torch.zeros(1, 3, 2, 2), num_points=80, repeats=1, seed=0)
    assert "density" in kept.sections["left out"]
