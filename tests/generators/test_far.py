"""Next-token prediction over streams: what sees what, and the loss."""

import math

import torch

from _support.mutants import catches
from _support.small_generators import LABELS, far_tokens, far_variants, small_far
from _support.strategies import seeded
from vistok.generators import FAR, FAROptions, rotary_table_2d

SUBJECT = "vistok.generators.far"


@catches("vistok.generators.layers._causal_block", "causal=tokens > 1", "causal=False")
@catches(SUBJECT, "self.embed(tokens[:, :-1])", "self.embed(tokens[:, 1:])")
@catches(SUBJECT, "torch.stack([context, *known], dim=2)", "torch.stack([context, *known[::-1]], dim=2)")
def test_later_tokens_change_nothing_before_them():
    for model in far_variants():
        tokens = far_tokens(model)
        before = model(tokens, LABELS)
        for position in range(6):
            for place, stream in enumerate(model.order):
                changed = tokens.clone()
                changed[:, position + 1 :] = 0
                for later in model.order[place:]:
                    changed[:, position, later] = (changed[:, position, later] + 1) % model.codebook_sizes[later]
                after = model(changed, LABELS)
                assert torch.equal(before[stream][:, : position + 1], after[stream][:, : position + 1])


def test_every_earlier_token_is_seen():
    for model in far_variants():
        tokens = far_tokens(model, 1)
        last = model.order[-1]
        before = model(tokens, LABELS[:1])[last][:, 5]
        for position in range(6):
            for stream in model.order if position < 5 else model.order[:-1]:
                changed = tokens.clone()
                changed[:, position, stream] = (changed[:, position, stream] + 1) % model.codebook_sizes[stream]
                assert not torch.equal(before, model(changed, LABELS[:1])[last][:, 5])


@catches(SUBJECT, "return torch.stack(terms).mean()", "return torch.stack(terms).sum()")
def test_the_loss_is_the_mean_negative_log_likelihood():
    for model in far_variants():
        tokens = far_tokens(model)
        terms = []
        for stream, logits in enumerate(model(tokens, LABELS)):
            log_prob = logits.double() - logits.double().logsumexp(-1, keepdim=True)
            terms.append(-log_prob.gather(-1, tokens[..., stream : stream + 1]).mean())
        loss = model.loss(tokens, LABELS)
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss.double(), sum(terms) / len(terms), atol=1e-5, rtol=1e-5)


def test_the_loss_starts_at_the_log_of_the_codebook_sizes():
    model = FAR((7, 11), 3, 5, width=32, depth=1, num_heads=2)
    tokens = torch.zeros(2, 9, 2, dtype=torch.int64)
    assert math.isclose(model.loss(tokens, LABELS[:2]).item(), (math.log(7) + math.log(11)) / 2, rel_tol=1e-6)


def test_dropped_labels_are_the_null_label():
    model = small_far(label_drop_prob=0.999)
    tokens = far_tokens(model)
    expected = model.loss(tokens, torch.full_like(LABELS, model.null_label))
    torch.testing.assert_close(model.train().loss(tokens, LABELS, generator=seeded(0)), expected)


@catches(SUBJECT, "return tokens[..., list(self.inverse_order)]", "return tokens")
def test_the_stream_order_only_renames_streams():
    """With the streams given in another order and the order undone, the same network gives the same logits."""
    straight, swapped = small_far(), small_far((11, 7), stream_order=(1, 0))
    swapped.load_state_dict(straight.state_dict())
    tokens = far_tokens(straight)
    first, second = straight(tokens, LABELS), swapped(tokens.flip(-1), LABELS)
    assert torch.equal(first[0], second[1])
    assert torch.equal(first[1], second[0])
    assert torch.equal(
        straight.sample(LABELS, generator=seeded(0)).flip(-1), swapped.sample(LABELS, generator=seeded(0))
    )


@catches(SUBJECT, "rows = max(rows,", "rows = min(rows,")
def test_more_streams_than_positions_have_turns_of_their_own():
    """A grid of one position and five streams: the head's table goes on below the grid."""
    for grid, streams in (((1, 1), 5), ((1, 2), 6), ((2, 1), 4)):
        torch.manual_seed(0)
        model = FAR((3,) * streams, grid, 5, width=32, depth=1, num_heads=2, options=FAROptions(head_depth=1))
        assert model.head_rotary.shape[0] == streams
        rows = -(-(streams - 1) // grid[1])
        assert torch.equal(model.head_rotary[1:], rotary_table_2d((rows, grid[1]), 16)[: streams - 1])
        larger = FAR((3,) * streams, (4, grid[1]), 5, width=32, depth=1, num_heads=2)
        assert torch.equal(model.head_rotary[: 4 * grid[1] + 1], larger.head_rotary[: 4 * grid[1] + 1])
        for parameter in model.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.3)
        both = [model.eval().sample(LABELS, generator=seeded(0), use_cache=cache) for cache in (True, False)]
        assert torch.equal(*both)
        assert both[0].shape == (3, grid[0] * grid[1], streams)
        model.loss(both[0], LABELS).backward()


@catches(SUBJECT, "head_dim), self.options.prefix_rotation)", "head_dim))")
def test_the_class_token_turns_as_asked():
    plain, published = small_far(), small_far(prefix_rotation="zero")
    assert plain.rotary[0].tolist() == [[1.0, 0.0]] * 8
    assert published.rotary[0].abs().sum() == 0
    assert torch.equal(plain.rotary[1:], rotary_table_2d((2, 3), 16)[:5])
