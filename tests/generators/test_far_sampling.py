"""The sampler of FAR: position after position, stream after stream."""

import torch

from _support.mutants import catches
from _support.small_generators import LABELS, far_variants, small_far
from _support.strategies import seeded
from vistok.generators import FAR, FAROptions, Guidance, TokenChoice, attention
from vistok.generators.layers import _causal_block

SUBJECT = "vistok.generators.sampling._far_sampling"


def test_cached_and_uncached_sampling_give_the_same_tokens():
    for model in far_variants():
        both = [model.sample(LABELS, guidance=2.0, generator=seeded(0), use_cache=cache) for cache in (True, False)]
        assert torch.equal(*both)


def wide_far():
    """Two streams, with layers large enough to be packed."""
    torch.manual_seed(0)
    model = FAR((16, 16), 3, 5, width=384, depth=2, num_heads=4, options=FAROptions(head_depth=1)).eval()
    for classifier in model.classifiers:
        torch.nn.init.normal_(classifier.weight)
    return model


@catches(SUBJECT, "packed(model, layer_dtype(model.labels.table.weight))", "packed(model, torch.bfloat16)")
def test_packed_layers_give_the_tokens_of_the_plain_ones(monkeypatch):
    """Without the cache nothing is packed."""
    # Whatever this processor has: layers packed in bfloat16 by mistake must not pass for plain ones.
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    model = wide_far()
    both = [model.sample(LABELS, guidance=2.0, generator=seeded(0), use_cache=cache) for cache in (True, False)]
    assert torch.equal(*both)
    model.sample(LABELS, generator=seeded(0))
    assert all(type(layer) in (torch.nn.Linear, torch.nn.Identity) for layer in (model.merge, *model.classifiers))


@catches(SUBJECT, "cache_dtype(self.prefix)", "layer_dtype(self.prefix)")
@catches(SUBJECT, "packed(model, layer_dtype(model.labels.table.weight))", "packed(model, torch.float32)")
def test_in_bfloat16_the_layers_run_in_it_and_keys_and_values_are_kept_in_float32(monkeypatch):
    kept, hidden = [], []

    def spy(query, key, value, **arguments):
        kept.append((key.dtype, value.dtype))
        return attention(query, key, value, **arguments)

    monkeypatch.setattr(_causal_block, "attention", spy)
    model = wide_far().bfloat16()
    model.norm.register_forward_hook(lambda _, __, output: hidden.append(output.dtype))
    model.sample(LABELS, generator=seeded(0))
    assert set(kept) == {(torch.float32, torch.float32)}
    assert set(hidden) == {torch.bfloat16}


@catches(SUBJECT, "table = model.rotary[start : position + 1]", "table = model.rotary[: position + 1 - start]")
@catches(SUBJECT, "range(max(start, 1) - 1, stream)", "range(max(start, 1), stream)")
def test_greedy_tokens_are_the_argmax_of_forward():
    greedy = TokenChoice(temperature=0.0)
    for model in far_variants():
        tokens = model.sample(LABELS, choice=greedy)
        best = torch.stack([logits.argmax(-1) for logits in model(tokens, LABELS)], -1)
        assert torch.equal(tokens, best)


@catches(SUBJECT, "guide(conditional, unconditional, scale)", "guide(unconditional, conditional, scale)")
def test_guided_tokens_are_the_argmax_of_guided_logits():
    greedy = TokenChoice(temperature=0.0)
    null = torch.full_like(LABELS, 5)
    for model in far_variants():
        tokens = model.sample(LABELS, choice=greedy, guidance=3.0)
        both = zip(model(tokens, LABELS), model(tokens, null), strict=True)
        best = torch.stack([(u + 3 * (c - u)).argmax(-1) for c, u in both], -1)
        assert torch.equal(tokens, best)


def test_guidance_one_is_no_guidance_and_zero_is_the_null_label():
    for model in far_variants():
        plain = model.sample(LABELS, generator=seeded(0))
        assert torch.equal(plain, model.sample(LABELS, guidance=Guidance(1.0), generator=seeded(0)))
        null = torch.full_like(LABELS, model.null_label)
        zero = model.sample(LABELS, guidance=0.0, generator=seeded(0))
        assert torch.equal(zero, model.sample(null, generator=seeded(0)))
        assert not torch.equal(zero, plain)


def test_a_batch_is_its_elements():
    greedy = TokenChoice(temperature=0.0)
    for model in far_variants():
        alone = torch.cat([model.sample(LABELS[i : i + 1], choice=greedy, guidance=2.0) for i in range(3)])
        assert torch.equal(model.sample(LABELS, choice=greedy, guidance=2.0), alone)


def test_one_generator_gives_one_result():
    model = small_far().train()
    first, second = (model.sample(LABELS, generator=seeded(2)) for _ in range(2))
    assert torch.equal(first, second)
    assert model.training
    assert not torch.equal(first, model.sample(LABELS, generator=seeded(3)))
