"""Masked sampling with keys and values kept between full passes, against a loop over samples, rows and layers."""

import torch
import torch.nn.functional as F

from _support.mutants import catches
from _support.small_generators import LABELS, masked_variants, small_masked
from _support.strategies import seeded
from vistok.generators import Guidance, MaskedSampling, masked_counts
from vistok.generators.sampling._masked_cache import listed

SUBJECT = "vistok.generators.sampling._masked_cache"
MODEL = "vistok.generators.masked_ar"
GREEDY = {"temperature": 0.0, "noise": 0.0, "schedule": "linear"}


def variants():
    yield from masked_variants()
    yield small_masked("bits", 6, positions="rotary", post_norm=True)


def watched(model, settings, **arguments):
    """The tokens and the mask after every step."""
    seen = []
    model.sample(LABELS, settings=settings, observe=lambda *step: seen.append(step), **arguments)
    return seen


def turn(x, angles):
    pairs = torch.view_as_complex(x.reshape(-1, 2)) * torch.view_as_complex(angles.double())
    return torch.view_as_real(pairs).reshape(-1)


class SlowNetwork:
    """One sample under one label; ``kept[layer][row]`` is the key and value of a row, the class token in row 0."""

    def __init__(self, model, label):
        self.model, self.label = model, label
        self.kept = [{} for _ in model.blocks]

    def embedding(self, row, tokens, mask):
        model = self.model
        if row == 0:
            x = model.labels.table.weight[self.label]
        elif hasattr(model.tokens, "codebook_sizes"):
            sizes = torch.tensor(model.tokens.unit_sizes)
            ids = torch.where(mask[row - 1], sizes, tokens[row - 1])
            x = sum(table.weight[i] for table, i in zip(model.tables, ids, strict=True))
        else:
            bits = [
                0 if hidden else 2 * (int(group) >> place & 1) - 1
                for group, hidden in zip(tokens[row - 1], mask[row - 1], strict=True)
                for place in range(3)
            ]
            x = model.tables[0](torch.tensor(bits, dtype=torch.float64))
        return model.input_norm(x if model.positions is None else x + model.positions[row])

    def run(self, rows, tokens, mask):
        """Logits a unit of each row behind the class."""
        states = {row: self.embedding(row, tokens, mask) for row in rows}
        for block, kept in zip(self.model.blocks, self.kept, strict=True):
            queries = {}
            for row, x in states.items():
                read = x if block.post_norm else block.attention_norm(x)
                query, key, value = block.qkv(read).reshape(3, 2, 16)
                if self.model.rotary is not None:
                    angles = self.model.rotary[row]
                    query, key = (torch.stack([turn(head, angles) for head in part]) for part in (query, key))
                queries[row], kept[row] = query, (key, value)
            for row, x in states.items():
                heads = []
                for head in range(2):
                    scores = torch.stack([queries[row][head] @ kept[r][0][head] / 4 for r in range(7)]).softmax(0)
                    heads.append(sum(scores[r] * kept[r][1][head] for r in range(7)))
                x = x + block.proj(torch.cat(heads))
                x = block.attention_norm(x) if block.post_norm else x
                y = block.down(F.gelu(block.up(x if block.post_norm else block.mlp_norm(x))))
                states[row] = block.mlp_norm(x + y) if block.post_norm else x + y
        out = {}
        for row in rows[1:] if rows[0] == 0 else rows:
            x = self.model.hidden_norm(F.gelu(self.model.hidden(self.model.output_norm(states[row]))))
            out[row] = [classifier(x) for classifier in self.model.classifiers]
        return out


def slow_sample(model, label, counts, scales, refresh_every):
    """Greedy tokens and masks after every step of one sample."""
    conditional, free = SlowNetwork(model, label), SlowNetwork(model, model.null_label)
    tokens, mask, before = torch.zeros(6, 2, dtype=torch.int64), torch.ones(6, 2, dtype=torch.bool), None
    for step, (left, scale) in enumerate(zip(counts, scales, strict=True)):
        if step % refresh_every == 0:
            rows = list(range(7))
        else:
            rows = [position + 1 for position in range(6) if before[position].any()]
        given, without = conditional.run(rows, tokens, mask), free.run(rows, tokens, mask)
        before, tokens, confidence = mask, tokens.clone(), {}
        for position, unit in mask.nonzero().tolist():
            c, u = given[position + 1][unit], without[position + 1][unit]
            log_p = (u + scale * (c - u)).log_softmax(-1)
            tokens[position, unit] = log_p.argmax()
            confidence[position, unit] = log_p.max().item()
        mask = torch.zeros(6, 2, dtype=torch.bool)
        for place in sorted(confidence, key=confidence.get)[:left]:
            mask[place] = True
        yield tokens, mask


@catches(SUBJECT, "full = self.step % self.refresh_every == 0", "full = self.step == 0")
@catches(SUBJECT, "full else self.open", "full else mask.any(dim=-1)")
@catches(SUBJECT, "self.open = mask.any(dim=-1)", "self.open = mask.all(dim=-1)")
@catches(SUBJECT, "guide(stream[:half], stream[half:], scale)", "guide(stream[half:], stream[:half], scale)")
@catches(SUBJECT, "order[:, :1])", "order)")
@catches(SUBJECT, "(active.cumsum(dim=-1) - 1)", "active.cumsum(dim=-1)")
@catches(MODEL, "caches, positions + 1)", "caches, positions)")
@catches(MODEL, "self.positions[rows])", "self.positions[: rows.shape[1]])")
@catches(MODEL, "table = table[rows][:, None]", "table = table[rows - 1][:, None]")
@torch.no_grad()
def test_kept_keys_and_values_are_those_of_a_slow_loop():
    counts, scales = masked_counts(12, 6, "linear"), [1.0, 1.4, 1.8, 2.2, 2.6, 3.0]
    guidance = Guidance(1 + 2.0 * 6 / 5, "linear", clock="step")
    learned, post_norm, rotary, both = (model.double() for model in variants())
    for model, refresh_every in ((both, 2), (learned, 2), (rotary, 3), (post_norm, 99)):
        settings = MaskedSampling(**GREEDY, refresh_every=refresh_every)
        seen = watched(model, settings, num_steps=6, guidance=guidance)
        for sample, label in enumerate(LABELS.tolist()):
            expected = slow_sample(model, label, counts, scales, refresh_every)
            for (tokens, mask), (their_tokens, their_mask) in zip(seen, expected, strict=True):
                assert torch.equal(mask[sample], their_mask)
                assert torch.equal(tokens[sample], their_tokens)


@catches(SUBJECT, "self.copies = 2 if guided else 1", "self.copies = 1")
def test_with_a_full_pass_at_every_step_run_the_sampler_is_the_exact_one():
    """The first step of all is a full pass, and so is the only one there is."""
    for model in variants():
        for guidance in (1.0, Guidance(3.0)):
            exact, kept = (
                watched(model, MaskedSampling(refresh_every=every), num_steps=1, guidance=guidance, generator=seeded(0))
                for every in (1, 4)
            )
            assert torch.equal(exact[0][0], kept[0][0])


def test_a_batch_is_its_elements():
    """Samples differ in how many positions have hidden units."""
    settings = MaskedSampling(**GREEDY, refresh_every=3)
    for model in variants():
        alone = [model.sample(LABELS[i : i + 1], num_steps=5, guidance=2.0, settings=settings) for i in range(3)]
        assert torch.equal(model.sample(LABELS, num_steps=5, guidance=2.0, settings=settings), torch.cat(alone))


def test_a_step_runs_no_more_positions_than_the_step_before_saw_hidden():
    model, asked = small_masked(), []
    original = model.cached_logits

    def spy(tokens, mask, labels, caches, positions):
        asked.append((len(labels), 6 if positions is None else positions.shape[1]))
        return original(tokens, mask, labels, caches, positions)

    model.cached_logits = spy
    seen = watched(model, MaskedSampling(refresh_every=4), num_steps=6, generator=seeded(0))
    hidden = [6, *(int(mask.any(-1).sum(-1).max()) for _, mask in seen)]
    assert asked == [(3, n) for n in (6, hidden[0], hidden[1], hidden[2], 6, hidden[4])]
    asked.clear()
    model.sample(LABELS, num_steps=2, guidance=2.0, settings=MaskedSampling(refresh_every=2), generator=seeded(0))
    assert [batch for batch, _ in asked] == [6, 6]


@catches(SUBJECT, "stable=True", "stable=False")
@catches(SUBJECT, "descending=True", "descending=False")
def test_positions_are_listed_in_order_and_short_lists_repeat_their_first():
    rows = torch.rand(64, 256, generator=seeded(0)) < torch.linspace(0.02, 0.9, 64)[:, None]
    rows[:, 200] = True
    numbers = listed(rows)
    assert numbers.shape == (64, int(rows.sum(-1).max()))
    for row, found in zip(rows, numbers.tolist(), strict=True):
        expected = row.nonzero()[:, 0].tolist()
        assert found == expected + [expected[0]] * (len(found) - len(expected))


@catches(SUBJECT, "if active.is_meta or", "if False or")
def test_on_the_meta_device_all_positions_are_listed():
    assert listed(torch.ones(3, 6, dtype=torch.bool, device="meta")).shape == (3, 6)
