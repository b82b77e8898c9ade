"""What single bits tell of the class."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from _support.mutants import catches
from _support.strategies import seeded, seeds
from vistok.metrics import CodePairs, NotMeasurableError, class_information

SUBJECT = "vistok.metrics.codes.class_information"


@catches(SUBJECT, "sizes[:, None] - ones, ones", "ones, ones")
@catches(SUBJECT, "+ entropy_bits(sizes) - joint", "- joint")
@catches(SUBJECT, "- len(sizes) + 1", "- len(sizes)")
@catches(SUBJECT, "index_add_(0, classes, values)", "index_add_(0, classes, values.flip(0))")
def test_by_hand():
    """Of 4 images, classes 3, 3, 3, 9: the first bit is 1 for 9 alone, the second for one 3 alone, the third for all.

    H(class) = 2 - 3/4 log2 3. The second: joint entropy 1.5, own entropy as the class's; bias (3 - 2 - 2 + 1) = 0. The
    third bit's: one value, two classes, two pairs: 0.
    """
    bits = torch.tensor([[0, 1, 1], [0, 0, 1], [0, 0, 1], [1, 0, 1]])
    found = class_information(bits.view(4, 1, 3), torch.tensor([3, 3, 3, 9]))
    entropy = 2 - 0.75 * math.log2(3)
    assert found.information.shape == (1, 3)
    assert found.information.flatten().tolist() == pytest.approx([entropy, 2 * entropy - 1.5, 0.0], abs=1e-12)
    assert found.bias.flatten().tolist() == pytest.approx([-1 / (8 * math.log(2)), 0.0, 0.0], abs=1e-12)
    assert torch.equal(found.corrected, found.information - found.bias)


@settings(max_examples=15)
@given(seeds, st.integers(1, 40), st.integers(1, 5))
def test_each_bit_has_what_a_table_of_pairs_gives(seed, count, classes):
    bits = torch.randint(2, (count, 2, 3), generator=seeded(seed))
    labels = torch.randint(classes, (count,), generator=seeded(seed + 1))
    found = class_information(bits, labels)
    for place in range(6):
        pairs = CodePairs(2, classes)
        pairs.update(bits.flatten(1)[:, place], labels)
        wanted = pairs.compute()
        assert found.information.flatten()[place].item() == pytest.approx(wanted.mutual_information, abs=1e-12)
        assert found.bias.flatten()[place].item() == pytest.approx(wanted.bias, abs=1e-12)


@settings(max_examples=15)
@given(seeds, st.integers(1, 40))
def test_it_is_in_its_range_and_does_not_know_the_names_of_values(seed, count):
    bits = torch.randint(2, (count, 4), generator=seeded(seed))
    labels = torch.randint(3, (count,), generator=seeded(seed + 1))
    found = class_information(bits, labels)
    entropy = torch.special.entr(labels.bincount() / count).sum().item() / math.log(2)
    assert (found.information >= 0).all()
    assert (found.information <= min(1, entropy) + 1e-6).all()
    other = class_information((1 - bits).bool(), 70 - 9 * labels)
    torch.testing.assert_close(other.information, found.information, atol=1e-12, rtol=0)
    assert torch.equal(other.bias, found.bias)


@catches(SUBJECT, "return self.information - self.bias", "return self.information")
@catches(SUBJECT, "(2 * len(bits) * math.log(2.0))", "(len(bits) * math.log(2.0))")
def test_what_is_left_of_independent_bits_is_nothing_on_average():
    """2,000 fair coins beside 10 even classes of 50 images: (20 - 2 - 10 + 1) / (2 * 500 ln 2) bits each."""
    bits = torch.randint(2, (500, 2000), generator=seeded(0))
    found = class_information(bits, torch.arange(500) % 10)
    wanted = 9 / (1000 * math.log(2))
    assert found.bias[0].item() == pytest.approx(wanted)
    assert found.information.mean().item() == pytest.approx(wanted, rel=0.05)
    assert abs(found.corrected.mean().item()) < 0.05 * wanted


@catches(SUBJECT, ".reshape(len(bits), -1)", ".flatten(1)")
def test_one_bit_an_image_has_the_shape_of_one():
    found = class_information(torch.tensor([0, 0, 1, 1]), torch.tensor([5, 5, 7, 7]))
    assert (found.information.shape, found.information.item(), found.bias.shape) == ((), 1.0, ())


@catches(SUBJECT, "or labels.shape != bits.shape[:1]", "")
@catches(SUBJECT, "if not len(bits):", "if False:")
def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"labels must be \(N,\) for bits \(N, ...\), got \(3,\) and \(2, 1\)"):
        class_information(torch.tensor([[0], [1]]), torch.tensor([0, 1, 1]))
    with pytest.raises(ValueError, match="bits must be 0 to 1, got 0 to 2"):
        class_information(torch.tensor([[0], [2]]), torch.tensor([0, 1]))
    with pytest.raises(TypeError, match="labels must be whole numbers"):
        class_information(torch.tensor([[0], [1]]), torch.tensor([0.0, 1.0]))
    with pytest.raises(NotMeasurableError, match="at least 1 image"):
        class_information(torch.zeros(0, 3, dtype=torch.int64), torch.zeros(0, dtype=torch.int64))
