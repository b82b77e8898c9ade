"""From counts to a plan, by hand."""

from dataclasses import replace

import pytest
from torch import nn

from _support.counted_trainings import PARAMETERS, blocks
from _support.mutants import catches
from vistok.workbench.config import ConfigError
from vistok.workbench.cost import estimate as subject
from vistok.workbench.cost.cards import Card
from vistok.workbench.cost.counting import Counts
from vistok.workbench.cost.estimate import Fixed, Plan, estimate, fixed_bytes, token_bytes

SUBJECT = "vistok.workbench.cost.estimate"
CARD = Card("a small card", 1e-3, 2e9, 1e9)
PLAN = Plan(CARD, 2, 0.5, 0.01)


@catches(SUBJECT, "sum(state.nbytes for state in training.states() if state.ndim)", "0")
@catches(SUBJECT, "max(blocks, default=0)", "sum(blocks)")
def test_adam_keeps_twice_the_weights_and_gradients_and_average_are_as_large():
    training = blocks()
    training.count(1, 0)
    fixed, weights = fixed_bytes(training), 4 * PARAMETERS
    assert fixed[:4] == (weights, 0, weights, 2 * weights)
    assert fixed.average == weights + 8  # and how many were averaged
    assert (fixed.largest_block, fixed.outside_blocks) == (4 * 32 * 32, 4 * 32 * 5)
    assert fixed_bytes(replace(training, frozen={"other": nn.Linear(10, 10)})).frozen == 440


@catches(SUBJECT, "(self.gradients if gpus > 1 else 0)", "0")
@catches(SUBJECT, "counts.peak_without_gradients - self.held", "counts.peak - self.held")
@catches(SUBJECT, "self.held - self.frozen + self.gradients) // gpus", "self.held + self.gradients) // gpus")
@catches(SUBJECT, "2 * self.largest_block", "self.largest_block")
def test_ddp_holds_all_and_buckets_and_fsdp_a_share_with_two_blocks_gathered():
    fixed = Fixed(weights=80, frozen=50, gradients=80, optimizer=160, average=80, largest_block=20, outside_blocks=10)
    counts = Counts(0, 0, peak=370 + 80 + 1000, peak_without_gradients=370 + 900, saved=800)
    assert (fixed.ddp(counts, 1), fixed.ddp(counts, 4)) == (1450, 1530)
    assert fixed.fsdp(counts, 4) == (80 + 160 + 80 + 80) // 4 + 50 + 900 + 10 + 2 * 20


@catches(SUBJECT, "if taken <= room), default=0)", "), default=0)")
@catches(SUBJECT, "size = math.floor(", "size = math.floor(0.5 * ")
def test_the_largest_micro_batch_fits_and_one_image_more_does_not():
    training = blocks()
    found, room = estimate(training, PLAN), subject.USABLE * CARD.gigabytes * 1e9
    fixed = fixed_bytes(training)
    for largest, total in ((found.largest_ddp, fixed.ddp), (found.largest_fsdp, fixed.fsdp)):
        assert total(training.count(largest, 0), 2) <= room < total(training.count(largest + 1, 0), 2)
    assert found.largest_fsdp > found.largest_ddp > 100


@catches(SUBJECT, "images // accumulation <= largest", "images // accumulation < largest")
def test_a_process_takes_the_largest_part_that_fits():
    given = [(24, 1, 8), (24, 1, 7), (24, 2, 99), (24, 1, 0)]
    assert [subject._divided(*each) for each in given] == [(8, 3), (6, 4), (12, 2), (24, 1)]


def test_where_nothing_fits_the_settings_stay():
    found = estimate(blocks(), replace(PLAN, card=CARD._replace(gigabytes=1e-5)))
    assert (found.largest_ddp, found.largest_fsdp, found.micro_batch, found.accumulation) == (0, 0, 24, 1)


@catches(SUBJECT, "(end - start) * each", "end * each")
@catches(SUBJECT, "/ plan.utilisation", "* plan.utilisation")
@catches(SUBJECT, "images_a_second * plan.decode_seconds", "plan.decode_seconds / images_a_second")
@catches(SUBJECT, "plan.gpus * accumulation * phases[-1].flops", "accumulation * phases[-1].flops")
@catches(SUBJECT, "(lower + counts.flops_float32 / plan.card.float32)", "(counts.flops / plan.card.bfloat16)")
def test_time_is_flops_over_the_rate_that_is_reached():
    training = replace(blocks(), starts=(0, 40), decodes=True)
    found = estimate(training, PLAN)
    flops = 24 * 2 * (2 * 32 * 32 + 3 * 2 * 32 * 32 + 3 * 32 * 5)  # the first layer's input wants no gradient
    assert found.step_flops == 2 * flops
    assert found.step_seconds == pytest.approx(flops / 1e9 / 0.5)
    assert found.seconds == pytest.approx(100 * found.step_seconds)
    assert found.cores == pytest.approx(48 / found.step_seconds * 0.01)


@catches(SUBJECT, "(plan.gpus * settings.accumulation)", "settings.accumulation")
def test_a_batch_that_does_not_divide_is_told():
    with pytest.raises(ConfigError, match="multiple of 5 cards x 1 micro-batches, got 48"):
        estimate(blocks(), replace(PLAN, gpus=5))


@catches(SUBJECT, "size <= 2**16", "size < 2**16")
def test_a_token_takes_two_bytes_while_they_hold_all_codes():
    assert token_bytes(256, [16384, 65536], variants=1) == 256 * 4
    assert token_bytes(256, [65537], variants=10) == 256 * 4 * 10
