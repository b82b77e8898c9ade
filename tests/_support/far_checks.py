"""What FAR and the drawing of tokens must satisfy; each check takes the package, so a mutant can be handed in."""

import math

import torch
import torch.nn.functional as F

LABELS = torch.tensor([1, 4, 2])


def network(g, sizes=(7, 11), **options):
    torch.manual_seed(0)
    options = {"head_depth": 1, **options}
    model = g.FAR(sizes, (2, 3), 5, width=32, depth=2, num_heads=2, options=g.FAROptions(**options))
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def variants(g):
    yield network(g)
    yield network(g, prefix_rotation="zero", head_depth=2)
    yield network(g, (7, 11, 5), stream_order=(2, 0, 1))
    yield network(g, (9,), head_depth=0)


def seeded(number: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def tokens_for(model, batch: int = 3) -> torch.Tensor:
    return torch.stack([torch.randint(size, (batch, 6), generator=seeded(size)) for size in model.codebook_sizes], -1)


def later_tokens_change_nothing_before_them(g):
    for model in variants(g):
        tokens = tokens_for(model)
        before = model(tokens, LABELS)
        for position in range(6):
            for place, stream in enumerate(model.order):
                changed = tokens.clone()
                changed[:, position + 1 :] = 0
                for later in model.order[place:]:
                    changed[:, position, later] = (changed[:, position, later] + 1) % model.codebook_sizes[later]
                after = model(changed, LABELS)
                assert torch.equal(before[stream][:, : position + 1], after[stream][:, : position + 1])


def every_earlier_token_is_seen(g):
    for model in variants(g):
        tokens = tokens_for(model, 1)
        last = model.order[-1]
        before = model(tokens, LABELS[:1])[last][:, 5]
        for position in range(6):
            for stream in model.order if position < 5 else model.order[:-1]:
                changed = tokens.clone()
                changed[:, position, stream] = (changed[:, position, stream] + 1) % model.codebook_sizes[stream]
                assert not torch.equal(before, model(changed, LABELS[:1])[last][:, 5])


def cached_and_uncached_sampling_give_the_same_tokens(g):
    for model in variants(g):
        both = [model.sample(LABELS, guidance=2.0, generator=seeded(), use_cache=cache) for cache in (True, False)]
        assert torch.equal(*both)


def greedy_tokens_are_the_argmax_of_forward(g):
    greedy = g.TokenChoice(temperature=0.0)
    for model in variants(g):
        tokens = model.sample(LABELS, choice=greedy)
        best = torch.stack([logits.argmax(-1) for logits in model(tokens, LABELS)], -1)
        assert torch.equal(tokens, best)


def guided_tokens_are_the_argmax_of_guided_logits(g):
    greedy = g.TokenChoice(temperature=0.0)
    null = torch.full_like(LABELS, 5)
    for model in variants(g):
        tokens = model.sample(LABELS, choice=greedy, guidance=3.0)
        both = zip(model(tokens, LABELS), model(tokens, null), strict=True)
        best = torch.stack([(u + 3 * (c - u)).argmax(-1) for c, u in both], -1)
        assert torch.equal(tokens, best)


def guidance_one_is_no_guidance_and_zero_is_the_null_label(g):
    for model in variants(g):
        plain = model.sample(LABELS, generator=seeded())
        assert torch.equal(plain, model.sample(LABELS, guidance=g.Guidance(1.0), generator=seeded()))
        null = torch.full_like(LABELS, model.null_label)
        zero = model.sample(LABELS, guidance=0.0, generator=seeded())
        assert torch.equal(zero, model.sample(null, generator=seeded()))
        assert not torch.equal(zero, plain)


def a_batch_is_its_elements(g):
    greedy = g.TokenChoice(temperature=0.0)
    for model in variants(g):
        alone = torch.cat([model.sample(LABELS[i : i + 1], choice=greedy, guidance=2.0) for i in range(3)])
        assert torch.equal(model.sample(LABELS, choice=greedy, guidance=2.0), alone)


def the_loss_is_the_mean_negative_log_likelihood(g):
    for model in variants(g):
        tokens = tokens_for(model)
        terms = []
        for stream, logits in enumerate(model(tokens, LABELS)):
            log_prob = logits.double() - logits.double().logsumexp(-1, keepdim=True)
            terms.append(-log_prob.gather(-1, tokens[..., stream : stream + 1]).mean())
        loss = model.loss(tokens, LABELS)
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss.double(), sum(terms) / len(terms), atol=1e-5, rtol=1e-5)


def the_loss_starts_at_the_log_of_the_codebook_sizes(g):
    model = g.FAR((7, 11), 3, 5, width=32, depth=1, num_heads=2)
    tokens = torch.zeros(2, 9, 2, dtype=torch.int64)
    assert math.isclose(model.loss(tokens, LABELS[:2]).item(), (math.log(7) + math.log(11)) / 2, rel_tol=1e-6)


def dropped_labels_are_the_null_label(g):
    model = network(g, label_drop_prob=0.999)
    tokens = tokens_for(model)
    expected = model.loss(tokens, torch.full_like(LABELS, model.null_label))
    torch.testing.assert_close(model.train().loss(tokens, LABELS, generator=seeded()), expected)


def the_stream_order_only_renames_streams(g):
    """With the streams given in another order and the order undone, the same network gives the same logits."""
    straight, swapped = network(g), network(g, (11, 7), stream_order=(1, 0))
    swapped.load_state_dict(straight.state_dict())
    tokens = tokens_for(straight)
    first, second = straight(tokens, LABELS), swapped(tokens.flip(-1), LABELS)
    assert torch.equal(first[0], second[1])
    assert torch.equal(first[1], second[0])
    assert torch.equal(straight.sample(LABELS, generator=seeded()).flip(-1), swapped.sample(LABELS, generator=seeded()))


def more_streams_than_positions_have_turns_of_their_own(g):
    """A grid of one position and five streams: the head's table goes on below the grid."""
    for grid, streams in (((1, 1), 5), ((1, 2), 6), ((2, 1), 4)):
        torch.manual_seed(0)
        model = g.FAR((3,) * streams, grid, 5, width=32, depth=1, num_heads=2, options=g.FAROptions(head_depth=1))
        assert model.head_rotary.shape[0] == streams
        rows = -(-(streams - 1) // grid[1])
        assert torch.equal(model.head_rotary[1:], g.rotary_table_2d((rows, grid[1]), 16)[: streams - 1])
        larger = g.FAR((3,) * streams, (4, grid[1]), 5, width=32, depth=1, num_heads=2)
        assert torch.equal(model.head_rotary[: 4 * grid[1] + 1], larger.head_rotary[: 4 * grid[1] + 1])
        for parameter in model.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.3)
        both = [model.eval().sample(LABELS, generator=seeded(), use_cache=cache) for cache in (True, False)]
        assert torch.equal(*both)
        assert both[0].shape == (3, grid[0] * grid[1], streams)
        model.loss(both[0], LABELS).backward()


def one_generator_gives_one_result(g):
    model = network(g).train()
    first, second = (model.sample(LABELS, generator=seeded(2)) for _ in range(2))
    assert torch.equal(first, second)
    assert model.training
    assert not torch.equal(first, model.sample(LABELS, generator=seeded(3)))


def one_block_follows_its_equations(g):
    model = network(g, (9,), head_depth=0)
    block = model.blocks[0].double()
    x = torch.randn(1, 6, 32).double()

    def norm(v, layer):
        return layer.weight * v / (v.square().mean(-1, keepdim=True) + 1e-5).sqrt()

    h = norm(x[0], block.attention_norm)
    q, k, v = (block.qkv(h)[:, i * 32 : (i + 1) * 32].reshape(6, 2, 16).transpose(0, 1) for i in range(3))
    q, k = (g.rotate(part, model.rotary) for part in (q, k))
    logits = (q @ k.mT / 4).masked_fill(~torch.ones(6, 6).tril().bool(), -math.inf)
    y = x[0] + block.proj((logits.softmax(-1) @ v).transpose(0, 1).reshape(6, 32))
    h, mlp = norm(y, block.mlp_norm), block.mlp
    y = y + mlp.out_proj(F.silu(mlp.gate_proj(h)) * mlp.value_proj(h))
    torch.testing.assert_close(block(x, model.rotary)[0], y, atol=1e-4, rtol=1e-4)


def the_class_token_turns_as_asked(g):
    plain, published = network(g), network(g, prefix_rotation="zero")
    assert plain.rotary[0].tolist() == [[1.0, 0.0]] * 8
    assert published.rotary[0].abs().sum() == 0
    assert torch.equal(plain.rotary[1:], g.rotary_table_2d((2, 3), 16)[:5])


def top_k_keeps_the_k_largest(g):
    logits = torch.tensor([[0.1, 3.0, 2.0, -1.0]])
    assert g.filter_logits(logits, top_k=2).isfinite().tolist() == [[False, True, True, False]]
    assert torch.equal(g.filter_logits(logits, top_k=9), logits)


def top_p_keeps_the_shortest_run_that_reaches_the_mass(g):
    logits = torch.tensor([0.15, 0.5, 0.05, 0.3]).log()
    for top_p, kept in ((0.4, [1]), (0.51, [1, 3]), (0.79, [1, 3]), (0.81, [0, 1, 3]), (1.0, [0, 1, 2, 3])):
        assert g.filter_logits(logits, top_p=top_p).isfinite().nonzero().flatten().tolist() == kept


def draws_follow_the_tempered_distribution(g):
    logits = torch.tensor([1.0, 0.0, -1.0])
    drawn = g.draw_tokens(logits.expand(60_000, 3), temperature=0.5, generator=seeded())
    share = torch.bincount(drawn, minlength=3) / 60_000
    torch.testing.assert_close(share, (logits / 0.5).softmax(-1), atol=0.01, rtol=0)


CHECKS = [
    value
    for value in list(globals().values())
    if callable(value)
    and getattr(value, "__code__", None)
    and value.__code__.co_varnames[:1] == ("g",)
    and value.__code__.co_argcount == 1
    and value.__name__ != "variants"
]
