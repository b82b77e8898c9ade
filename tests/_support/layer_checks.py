"""What the shared layers must satisfy, against formulas written out in float64."""

import math

import torch
import torch.nn.functional as F


def attention_is_the_softmax_average(g):
    rng = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, 2, 3, 5, 4, generator=rng)
    mask = torch.rand(5, 5, generator=rng) < 0.5
    mask.fill_diagonal_(True)
    for chosen, options in ((mask, {"mask": mask}), (torch.ones(5, 5).tril().bool(), {"causal": True})):
        logits = (q.double() @ k.double().mT / 2).masked_fill(~chosen, -math.inf)
        expected = logits.softmax(-1) @ v.double()
        torch.testing.assert_close(g.attention(q, k, v, **options).double(), expected, atol=1e-5, rtol=1e-5)


def rms_norm_follows_its_equation(g):
    x = torch.randn(3, 6, generator=torch.Generator().manual_seed(1))
    norm = g.RMSNorm(6, eps=1e-3)
    torch.nn.init.uniform_(norm.weight)
    expected = norm.weight.double() * x.double() / (x.double().square().mean(-1, keepdim=True) + 1e-3).sqrt()
    torch.testing.assert_close(norm(x).double(), expected, atol=1e-6, rtol=1e-5)
    assert list(g.RMSNorm(6, affine=False).parameters()) == []
    assert norm(x.bfloat16()).dtype == torch.bfloat16


def the_gate_is_what_its_name_says(g):
    torch.manual_seed(0)
    x = torch.randn(4, 3)
    for gate, activation in (("silu", F.silu), ("gelu", F.gelu)):
        layer = g.SwiGLU(3, 5, gate=gate)
        expected = (
            activation(x @ layer.gate_proj.weight.T) * (x @ layer.value_proj.weight.T)
        ) @ layer.out_proj.weight.T
        torch.testing.assert_close(layer(x), expected)


def rotation_turns_pairs_by_position_times_frequency(g):
    table = g.rotary_table_1d(7, 4, base=100.0)
    x = torch.zeros(7, 4)
    x[:, 0] = 1
    x[:, 3] = 1
    turned = g.rotate(x, table)
    position = torch.arange(7.0)
    expected = torch.stack([position.cos(), position.sin(), -(position / 10).sin(), (position / 10).cos()], -1)
    torch.testing.assert_close(turned, expected)


def rotated_products_depend_on_distance_only(g):
    rng = torch.Generator().manual_seed(2)
    q, k = torch.randn(2, 8, generator=rng)
    table = g.rotary_table_1d(12, 8)
    products = g.rotate(q.expand(12, 8), table) @ g.rotate(k.expand(12, 8), table).T
    torch.testing.assert_close(products[3, 1], products[9, 7], atol=1e-5, rtol=1e-5)
    grid = g.rotary_table_2d((3, 4), 8)
    products = g.rotate(q.expand(12, 8), grid) @ g.rotate(k.expand(12, 8), grid).T
    torch.testing.assert_close(products[0, 5], products[6, 11], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(products[0, 1], products[0, 4], atol=1e-3)


def the_first_half_of_a_head_turns_with_the_row(g):
    table = g.rotary_table_2d((3, 4), 8).reshape(3, 4, 4, 2)
    torch.testing.assert_close(table[2, 1, :2], g.rotary_table_1d(3, 4)[2])
    torch.testing.assert_close(table[2, 1, 2:], g.rotary_table_1d(4, 4)[1])


def modulation_shifts_after_scaling(g):
    assert g.modulate(torch.tensor([2.0]), torch.tensor([1.0]), torch.tensor([0.5])).item() == 4.0
    zero = g.Modulation(4, 6, zero_init=True)
    assert all(part.abs().sum() == 0 for part in zero(torch.randn(2, 4)))


def time_embedding_follows_its_equation(g):
    torch.manual_seed(0)
    layer = g.TimeEmbedding(6)
    t = torch.tensor([[0.3, 0.99951]])
    angle = 1000 * t.double()[..., None] * 10000 ** (-torch.arange(128, dtype=torch.float64) / 128)
    basis = torch.cat([angle.cos(), angle.sin()], -1).float()
    torch.testing.assert_close(layer(t), layer.out(F.silu(layer.hidden(basis))), atol=1e-4, rtol=1e-3)
    whole = g.TimeEmbedding(6, integer_time=True)
    torch.testing.assert_close(whole(torch.tensor([0.99951])), whole(torch.tensor([0.999])))


def labels_are_dropped_at_their_rate_and_only_in_training(g):
    table = g.LabelEmbedding(3, 2, drop_prob=0.3)
    labels = torch.zeros(20_000, dtype=torch.int64)
    rows = table(labels, generator=torch.Generator().manual_seed(0))
    dropped = (rows == table.table.weight[3]).all(-1)
    assert abs(dropped.float().mean().item() - 0.3) < 0.02
    again = table(labels, generator=torch.Generator().manual_seed(0))
    assert torch.equal(rows, again)
    assert torch.equal(table.eval()(labels), table.table.weight[labels])


def the_double_stream_starts_as_identity_and_joins_its_streams(g):
    torch.manual_seed(0)
    image, codes = torch.randn(1, 6, 16), torch.randn(1, 3, 16)
    block = g.DoubleStreamBlock(16, 2)
    out = block(image, codes, torch.randn(1, 16))
    assert torch.equal(out[0], image)
    assert torch.equal(out[1], codes)
    plain = g.DoubleStreamBlock(16, 2, conditioned=False)
    before = plain(image, codes)[0]
    assert not torch.allclose(before, plain(image, codes.flip(-1))[0])
    tables = {"first_rotary": g.rotary_table_2d((2, 3), 8), "second_rotary": g.rotary_table_1d(3, 8)}
    assert not torch.allclose(before, plain(image, codes, **tables)[0])


def the_double_stream_has_its_published_size(g):
    block = g.DoubleStreamBlock(128, 2)
    assert abs(sum(p.numel() for p in block.parameters()) / (36 * 128**2) - 1) < 0.02


def the_double_stream_is_one_attention_over_both(g):
    """The conditioned block written out in float64 from its weights."""
    torch.manual_seed(3)
    block = g.DoubleStreamBlock(8, 2).double()
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    streams = [torch.randn(1, 4, 8).double(), torch.randn(1, 2, 8).double()]
    condition = torch.randn(1, 8).double()
    parts, heads = [], []
    for x, s in zip(streams, (block.first, block.second), strict=True):
        m = s.modulation.proj(F.silu(condition)).reshape(6, 1, 1, 8)
        h = F.layer_norm(x, (8,), eps=1e-6) * (1 + m[1]) + m[0]
        q, k, v = (s.qkv(h)[..., i * 8 : (i + 1) * 8].reshape(1, -1, 2, 4).transpose(1, 2) for i in range(3))
        q = q / (q.square().mean(-1, keepdim=True) + 1e-6).sqrt() * s.query_norm.weight
        k = k / (k.square().mean(-1, keepdim=True) + 1e-6).sqrt() * s.key_norm.weight
        parts.append(m)
        heads.append((q, k, v))
    q, k, v = (torch.cat(pair, 2) for pair in zip(*heads, strict=True))
    joint = ((q @ k.mT / 2).softmax(-1) @ v).transpose(1, 2).reshape(1, 6, 8)
    expected = []
    for x, s, m, out in zip(streams, (block.first, block.second), parts, (joint[:, :4], joint[:, 4:]), strict=True):
        x = x + m[2] * s.proj(out)
        h = F.layer_norm(x, (8,), eps=1e-6) * (1 + m[4]) + m[3]
        expected.append(x + m[5] * s.down(F.gelu(s.up(h))))
    for got, want in zip(block(*streams, condition), expected, strict=True):
        torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)


CHECKS = [
    value
    for value in list(globals().values())
    if callable(value)
    and getattr(value, "__code__", None)
    and value.__code__.co_varnames[:1] == ("g",)
    and value.__code__.co_argcount == 1
    and value.__name__ != "variants"
]
