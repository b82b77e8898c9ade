"""Flow matching over cells: what sees what, and the loss."""

import copy

import torch

from _support.mutants import catches
from _support.small_generators import LABELS, small_xar
from _support.strategies import seeded
from vistok.generators import rotary_table_2d

SUBJECT = "vistok.generators.xar"


@catches("vistok.generators.layers.cells", "cell[:, None] >= cell[None, :]", "cell[:, None] <= cell[None, :]")
def test_later_cells_change_nothing_before_them():
    for order in ("block", "interleaved"):
        model = small_xar(order=order)
        x, t = torch.randn(3, 3, 4, 8, generator=seeded(0)), torch.rand(3, 4, generator=seeded(1))
        before = model.to_cells(model(x, t, LABELS))
        for first in (1, 2, 3):
            cells = model.to_cells(x).clone()
            cells[:, first:] += 5
            later = t.clone()
            later[:, first:] = 0.9
            after = model.to_cells(model(model.from_cells(cells), later, LABELS))
            assert torch.equal(before[:, :first], after[:, :first])
            assert not torch.allclose(before[:, first], after[:, first])


@catches("vistok.generators.layers.cells", "cell[:, None] >= cell[None, :]", "cell[:, None] == cell[None, :]")
def test_every_earlier_cell_and_the_own_one_are_seen():
    model = small_xar()
    x, t = torch.randn(1, 3, 4, 8, generator=seeded(0)), torch.rand(1, 4, generator=seeded(1))
    before = model.to_cells(model(x, t, LABELS[:1]))[:, 3]
    for cell in range(4):
        cells = model.to_cells(x).clone()
        cells[:, cell, 0] += 5
        assert not torch.allclose(before, model.to_cells(model(model.from_cells(cells), t, LABELS[:1]))[:, 3])


@catches(SUBJECT, "num_heads)[order]", "num_heads)")
def test_rotation_follows_the_place_of_a_token():
    model = small_xar()
    table = rotary_table_2d((4, 8), 16)
    rows = torch.arange(32.0).reshape(1, 1, 4, 8).expand(1, 3, 4, 8)
    for place, row in enumerate(model.to_cells(rows)[0, :, :, 0].flatten().int().tolist()):
        assert torch.equal(model.rotary[place], table[row])


@catches(SUBJECT, "t[:, :, None, None]", "t[:, :1, None, None]")
@catches(SUBJECT, "(velocity - sample.velocity).square()", "(velocity - cells).square()")
def test_the_loss_is_flow_matching_with_a_time_for_each_cell():
    model = small_xar()
    x = torch.randn(3, 3, 4, 8, generator=seeded(5))
    loss = model.loss(x, LABELS, generator=seeded(7))
    rng = seeded(7)
    t = torch.randn(3, 4, generator=rng).sigmoid()
    noise = model.from_cells(torch.randn(3, 4, 8, 3, generator=rng))
    weight = model.from_cells(t[:, :, None, None].expand(3, 4, 8, 3))
    velocity = model((1 - weight) * x + weight * noise, t, LABELS)
    expected = ((velocity.double() - (noise - x).double()) ** 2).mean()
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), expected, atol=1e-5, rtol=1e-5)


def test_dropped_labels_are_the_null_label():
    model = small_xar(label_drop_prob=0.999)
    x = torch.randn(3, 3, 4, 8)
    null = torch.full_like(LABELS, model.null_label)
    expected = model.loss(x, null, generator=seeded(0))
    torch.testing.assert_close(model.train().loss(x, LABELS, generator=seeded(0)), expected)


def test_a_batch_is_its_elements():
    model = small_xar()
    x, t = torch.randn(3, 3, 4, 8), torch.rand(3, 4)
    alone = torch.cat([model(x[i : i + 1], t[i : i + 1], LABELS[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(model(x, t, LABELS), alone, atol=1e-5, rtol=1e-5)


@catches(SUBJECT, "cells.to(self.stem.weight.dtype), condition", "cells, condition")
@catches(SUBJECT, "velocity.to(x_t.dtype)", "velocity")
def test_the_velocity_has_the_dtype_of_what_it_is_asked_for_whatever_that_of_the_weights():
    model, t = small_xar(), torch.rand(3, 4, generator=seeded(1))
    x_t = torch.randn(3, 3, 4, 8, generator=seeded(0))
    exact = model(x_t, t, LABELS)
    for weights in (torch.float32, torch.bfloat16, torch.float64):
        cast = copy.deepcopy(model).to(weights)
        for dtype in (torch.float32, torch.bfloat16, torch.float64):
            velocity = cast(x_t.to(dtype), t, LABELS)
            assert velocity.dtype == dtype
            assert (velocity - exact).norm() < (0.05 if torch.bfloat16 in (weights, dtype) else 1e-5) * exact.norm()
        assert cast.loss(x_t, LABELS).dtype == cast.sample(LABELS, num_steps=2).dtype == torch.float32
    on_meta = copy.deepcopy(model).to("meta").bfloat16()
    assert on_meta(x_t.to("meta"), t.to("meta"), LABELS.to("meta")).dtype == torch.float32


@catches(SUBJECT, "torch.is_autocast_enabled(x.device.type)", "False")
@catches(SUBJECT, "x.dtype != torch.float64 and ", "")
def test_under_autocast_the_velocity_is_what_that_gives_and_float64_is_taken_too():
    model, t = small_xar(), torch.rand(3, 4, generator=seeded(1))
    x_t = torch.randn(3, 3, 4, 8, generator=seeded(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        velocity = model(x_t, t, LABELS)
        assert velocity.dtype == torch.bfloat16
        assert torch.equal(model(x_t.double(), t, LABELS), velocity.double())
        assert model(x_t.bfloat16(), t, LABELS).dtype == torch.bfloat16
        halved = copy.deepcopy(model).to(torch.float16)(x_t, t, LABELS)
    assert halved.dtype == torch.bfloat16


@catches(SUBJECT, 'self.register_buffer("rotary", table, persistent=False)', 'self.register_buffer("rotary", table)')
def test_tables_are_in_no_state_dict_so_that_a_network_of_the_meta_device_is_for_counting():
    model = small_xar()
    assert dict(model.named_buffers()).keys() == {"order", "inverse_order", "rotary"}
    assert not dict(model.named_buffers()).keys() & model.state_dict().keys()
