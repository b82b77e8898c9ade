"""The worst and the best reconstructions of a stream, however it was divided."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from vistok.metrics.harness.gallery import Gallery
from vistok.metrics.reconstruction.psnr import psnr

SUBJECT = "vistok.metrics.harness.gallery"


def images(seed, count):
    draws = torch.Generator().manual_seed(seed)
    return (torch.randint(0, 256, (count, 1, 3, 3), dtype=torch.uint8, generator=draws) for _ in range(2))


@catches(SUBJECT, "sign * float(values[i])", "float(values[i])")
@catches(SUBJECT, "order[: self.size]", "order[-self.size :]")
@given(st.integers(0, 1000), st.integers(1, 12), st.integers(1, 4))
def test_both_ends_are_those_of_the_sorted_ratios(seed, count, size):
    originals, made = images(seed, count)
    gallery = Gallery((1, 3, 3), count=size)
    gallery.update(torch.arange(count), originals, made)
    order = sorted(range(count), key=lambda i: (float(psnr(made[i : i + 1], originals[i : i + 1])), i))
    assert gallery.worst().indices.tolist() == order[:size]
    values = gallery.best().psnr.tolist()
    assert values == sorted(values, reverse=True)
    assert torch.equal(gallery.worst().originals, originals[order[:size]])
    assert torch.equal(gallery.worst().reconstructions, made[order[:size]])


@catches(SUBJECT, "int(index[i])))", "0))")
@given(st.integers(0, 1000), st.data())
def test_any_division_of_the_stream_in_any_order_shows_the_same(seed, data):
    count = 9
    originals, made = images(seed, count)
    made = made.where(torch.arange(count).view(-1, 1, 1, 1) % 2 == 0, originals)  # several without an error
    whole = Gallery((1, 3, 3), count=3)
    whole.update(torch.arange(count), originals, made)
    cuts = sorted(data.draw(st.sets(st.integers(1, count - 1), max_size=3)))
    parts = []
    for indices in torch.arange(count).tensor_split(cuts):
        part = Gallery((1, 3, 3), count=3)
        part.update(indices, originals[indices], made[indices])
        parts.append(part)
    joined = Gallery((1, 3, 3), count=3)
    for place in data.draw(st.permutations(range(len(parts)))):
        joined.merge(parts[place])
    for mine, theirs in zip(joined.compute(), whole.compute(), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


def test_few_images_are_all_shown():
    gallery = Gallery((1, 3, 3), count=8)
    assert len(gallery.worst().indices) == 0
    originals, made = images(0, 2)
    gallery.update(torch.arange(2), originals, made)
    assert sorted(gallery.worst().indices.tolist()) == sorted(gallery.best().indices.tolist()) == [0, 1]
