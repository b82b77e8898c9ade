"""The distance of two images in their colour alone."""

import pytest
import torch
from hypothesis import given

from _support.float64 import close
from _support.mutants import catches
from _support.strategies import normal, tensors
from vistok.losses import ChromaLoss, chroma_loss

SUBJECT = "vistok.losses.chroma"


@catches(SUBJECT, "(0.5, -0.418688, -0.081312)", "(-0.081312, -0.418688, 0.5)")
@catches(SUBJECT, "-0.168736, -0.331264, 0.5)", "-0.168736, -0.331264, 0.0)")
@catches(SUBJECT, "widen(target)", "widen(target.detach())")
def test_the_value_is_the_mean_square_of_cb_and_cr():
    a, b = normal(0, 2, 3, 4, 5).requires_grad_(), normal(1, 2, 3, 4, 5).requires_grad_()
    red, green, blue = (a - b).detach().double().unbind(1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    cb, cr = (blue - luma) / 1.772, (red - luma) / 1.402
    loss = chroma_loss(a, b)
    loss.backward()
    assert close(loss, (cb.square().mean() + cr.square().mean()) / 2)
    to_blue, to_red = (
        torch.tensor(row, dtype=torch.float64) for row in ((-0.299, -0.587, 0.886), (0.701, -0.587, -0.114))
    )
    slope = cb.unsqueeze(1) * to_blue.view(1, 3, 1, 1) / 1.772 + cr.unsqueeze(1) * to_red.view(1, 3, 1, 1) / 1.402
    assert close(a.grad, slope / cb.numel())
    assert close(b.grad, -slope / cb.numel())
    assert torch.equal(ChromaLoss()(a, b), loss)
    brighter = b.detach() + normal(2, 2, 1, 4, 5)
    assert chroma_loss(brighter, b.detach()) < 1e-10


@catches(SUBJECT, "difference).square().mean()", "difference).square().sum()")
def test_by_hand():
    """Yellow and orange differ by half of the green: Cb and Cr by half of green's entries."""
    yellow, orange = (torch.tensor(rgb).view(1, 3, 1) for rgb in ((1.0, 1.0, 0.0), (1.0, 0.5, 0.0)))
    assert abs(chroma_loss(yellow, orange).item() - 0.5 * (0.165632**2 + 0.209344**2)) < 1e-6


@given(tensors((2, 3, 4)), tensors((2, 3, 4)), tensors((2, 1, 4)))
def test_never_below_zero_and_blind_to_brightness(a, b, brightness):
    loss = chroma_loss(a, b)
    assert loss >= 0
    assert abs(chroma_loss(a + brightness, b) - loss) < 1e-4 * (1 + loss)


def test_images_without_three_colours_are_named():
    with pytest.raises(ValueError, match=r"\(B, 3, \*spatial\), got \(3, 4\)"):
        chroma_loss(normal(0, 3, 4), normal(1, 3, 4))
