"""Two streams, one attention."""

import copy

import torch
import torch.nn.functional as F

from _support.mutants import catches
from vistok.generators import DoubleStreamBlock, rotary_table_1d, rotary_table_2d, rotate

SUBJECT = "vistok.generators.layers.double_stream"


def test_the_double_stream_starts_as_identity_and_joins_its_streams():
    torch.manual_seed(0)
    image, codes = torch.randn(1, 6, 16), torch.randn(1, 3, 16)
    block = DoubleStreamBlock(16, 2)
    out = block(image, codes, torch.randn(1, 16))
    assert torch.equal(out[0], image)
    assert torch.equal(out[1], codes)
    plain = DoubleStreamBlock(16, 2, conditioned=False)
    before = plain(image, codes)[0]
    assert not torch.allclose(before, plain(image, codes.flip(-1))[0])
    tables = {"first_rotary": rotary_table_2d((2, 3), 8), "second_rotary": rotary_table_1d(3, 8)}
    assert not torch.allclose(before, plain(image, codes, **tables)[0])


def test_the_double_stream_has_its_published_size():
    block = DoubleStreamBlock(128, 2)
    assert abs(sum(p.numel() for p in block.parameters()) / (36 * 128**2) - 1) < 0.02


@catches(SUBJECT, "self.query_norm(qkv[0])", "qkv[0]")
@catches(SUBJECT, "shifts[5] * out", "shifts[2] * out")
def test_the_double_stream_is_one_attention_over_both():
    """The conditioned block written out in float64 from its weights."""
    torch.manual_seed(3)
    block = DoubleStreamBlock(8, 2).double()
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


@catches(SUBJECT, "approximate=self.gelu", "approximate='none'")
@catches(SUBJECT, "not conditioned if affine is None else affine", "not conditioned")
def test_norms_without_gains_and_the_gelu_by_tanh_are_there_where_asked_for():
    torch.manual_seed(6)
    asked, plain = (
        DoubleStreamBlock(8, 2, conditioned=False, affine=False, gelu="tanh"),
        DoubleStreamBlock(8, 2, conditioned=False),
    )
    state = plain.state_dict()
    asked.load_state_dict({name: state[name] for name in asked.state_dict()})
    assert state.keys() - asked.state_dict().keys() == {
        f"{stream}.{norm}_norm.{leaf}"
        for stream in ("first", "second")
        for norm in ("attention", "mlp")
        for leaf in ("weight", "bias")
    }
    x = 4 * torch.randn(1, 3, 8)
    part = plain.first
    y = plain(x, x)[0] - part.down(F.gelu(part.up(part.mlp_norm(x_after(plain, x)))))
    expected = y + part.down(F.gelu(part.up(part.mlp_norm(x_after(plain, x))), approximate="tanh"))
    torch.testing.assert_close(asked(x, x)[0], expected, atol=1e-6, rtol=0)


def x_after(block, x):
    """A stream after the attention, beside itself: the feed-forward is left out."""
    other = copy.deepcopy(block)
    torch.nn.init.zeros_(other.first.down.weight)
    torch.nn.init.zeros_(other.first.down.bias)
    return other(x, x)[0]


@catches(SUBJECT, "if update_second else second", "")
@catches(SUBJECT, "if update_second else second", "if not update_second else second")
def test_a_second_stream_that_nothing_reads_is_attended_to_and_left_as_it_was():
    torch.manual_seed(4)
    block = DoubleStreamBlock(8, 2, conditioned=False)
    image, codes = torch.randn(2, 4, 8), torch.randn(2, 3, 8)
    first, second = block(image, codes, update_second=False)
    assert torch.equal(first, block(image, codes)[0])
    assert torch.equal(second, codes)
    assert not torch.allclose(first, block(image, codes.flip(0), update_second=False)[0])


@catches(SUBJECT, "[1.0, 0.0]", "[0.0, 1.0]")
@catches(SUBJECT, "_turns(first_rotary, first, query)", "_turns(second_rotary, second, query)")
@catches(SUBJECT, "rotate(key, table)", "key")
def test_each_stream_turns_by_its_own_table_and_without_one_not_at_all():
    torch.manual_seed(5)
    block = DoubleStreamBlock(8, 2, conditioned=False)
    streams, parts = (torch.randn(2, 3, 8), torch.randn(2, 3, 8)), (block.first, block.second)
    one, other = rotary_table_1d(3, 4), rotary_table_1d(6, 4)[3:]
    for tables in ((one, None), (None, other), (one, other)):
        got = block(*streams, first_rotary=tables[0], second_rotary=tables[1])
        heads = []
        for x, part, table in zip(streams, parts, tables, strict=True):
            q, k, v = part.qkv(part.attention_norm(x)).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
            q, k = (F.rms_norm(each, (4,), eps=1e-6) for each in (q, k))
            heads.append((q, k, v) if table is None else (rotate(q, table), rotate(k, table), v))
        q, k, v = (torch.cat(pair, dim=2) for pair in zip(*heads, strict=True))
        joint = ((q @ k.mT / 2).softmax(-1) @ v).transpose(1, 2).flatten(2)
        for out, x, part, mixed in zip(got, streams, parts, joint.split(3, dim=1), strict=True):
            y = x + part.proj(mixed)
            torch.testing.assert_close(out, y + part.down(F.gelu(part.up(part.mlp_norm(y)))))


@catches(SUBJECT, "if update_second else second", "")
def test_without_an_update_what_only_changes_the_second_stream_has_no_gradient():
    for conditioned, without in ((False, ["mlp_norm", "proj", "up", "down"]), (True, ["proj", "up", "down"])):
        block = DoubleStreamBlock(16, 2, conditioned=conditioned)
        condition = torch.randn(1, 16) if conditioned else None
        out = block(torch.randn(1, 6, 16), torch.randn(1, 3, 16), condition, update_second=False)
        sum(stream.sum() for stream in out).backward()
        missing = [name for name, parameter in block.named_parameters() if parameter.grad is None]
        assert missing == [f"second.{layer}.{part}" for layer in without for part in ("weight", "bias")]
