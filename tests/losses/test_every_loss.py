"""The contract that all losses share: dtypes, autocast, derivatives, the meta device, wrong input."""

import numpy as np
import pytest
import torch

import vistok.losses as losses
from _support.every_loss import FIRST, LOSSES, OTHER

every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


# The codebook's stop-gradients make its gradient no derivative: its own check has the formula.
@pytest.mark.parametrize("name", [name for name in LOSSES if name != "codebook_commitment"])
def test_gradcheck(name):
    loss = LOSSES[name]
    assert loss(FIRST.double()).dtype == torch.float64
    assert torch.autograd.gradcheck(loss, (FIRST.double().requires_grad_(),))


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(loss, dtype):
    x = FIRST.to(dtype).requires_grad_()
    got = loss(x)
    got.backward()
    assert got.shape == ()
    assert got.dtype == torch.float32
    assert x.grad.dtype == dtype
    wanted = loss(FIRST.to(dtype).double())
    # The callers above scale x by 0.5, exact in half precision, and round OTHER to the dtype of x.
    assert abs(got - wanted) < 5e-3 * (1 + wanted.abs())


@every_loss
def test_autocast_changes_nothing(loss):
    gradients = []
    for enabled in (False, True):
        x = FIRST.clone().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            inside = loss(x)
            inside.backward()
        gradients.append(x.grad)
    assert torch.equal(inside, loss(FIRST))
    torch.testing.assert_close(*gradients, rtol=0.02, atol=0.01 * gradients[0].abs().max().item())


@every_loss
def test_equal_inputs_and_zeros_keep_value_and_gradient_finite(loss):
    for x in (OTHER.clone(), torch.zeros(3, 4), torch.full((3, 4), 1e4)):
        x.requires_grad_()
        got = loss(x)
        got.backward()
        assert torch.isfinite(got)
        assert torch.isfinite(x.grad).all()


@every_loss
def test_shapes_run_on_the_meta_device(loss):
    x = torch.zeros(3, 4, device="meta", requires_grad=True)
    got = loss(x)
    got.backward()
    assert got.is_meta
    assert (got.shape, x.grad.shape) == ((), x.shape)


def test_modules_of_losses_run_on_the_meta_device():
    with torch.device("meta"):
        image = torch.zeros(2, 3, 16, 16, requires_grad=True)
        lpips = losses.LPIPS(losses.VGG16Features(), [torch.ones(c) for c in (64, 128, 256, 512, 512)])
        relation = losses.HistogramRelationLoss(torch.zeros(300, 7))(torch.zeros(400, 4))
        weight = losses.adaptive_weight(image.mean(), image.square().mean(), image)
        for got in (lpips(image, image), relation, weight, losses.LeCamLoss()(image, image)):
            assert got.is_meta
            assert got.shape == ()


PAIRS = {
    "codebook_commitment": losses.codebook_commitment_loss,
    "reconstruction": losses.reconstruction_loss,
    "chroma": losses.chroma_loss,
    "disentanglement": losses.disentanglement_loss,
    "patch_alignment": losses.patch_alignment_loss,
    "contrastive": losses.contrastive_loss,
    "residual": lambda a, b: losses.residual_loss(a, a, b),
    "perceptual": lambda a, b: losses.perceptual_loss([a], [b]),
}


@pytest.mark.parametrize("loss", PAIRS.values(), ids=PAIRS)
def test_wrong_tensors_are_named(loss):
    with pytest.raises(ValueError, match="same shape"):
        loss(torch.ones(3, 4), torch.ones(3, 5))
    with pytest.raises(ValueError, match="must not be empty"):
        loss(torch.ones(0, 4), torch.ones(0, 4))
    with pytest.raises(TypeError, match="floating point"):
        loss(torch.ones(3, 4), torch.ones(3, 4, dtype=torch.long))


class Map(torch.nn.Module):
    """A network of one feature map: the images."""

    def forward(self, images):
        return [images]


IMAGES, SCALAR, HEAD = torch.zeros(2, 3, 16, 16), torch.ones(()), torch.ones(3)
TAKES_TENSORS = {
    "codebook_commitment": (losses.codebook_commitment_loss, (FIRST, OTHER)),
    "reconstruction": (losses.reconstruction_loss, (FIRST, OTHER)),
    "disentanglement": (losses.disentanglement_loss, (FIRST, OTHER)),
    "patch_alignment": (losses.patch_alignment_loss, (FIRST, OTHER)),
    "pooled_alignment": (losses.pooled_alignment_loss, (FIRST, OTHER)),
    "contrastive": (losses.contrastive_loss, (FIRST, OTHER)),
    "residual": (losses.residual_loss, (FIRST, OTHER, FIRST)),
    "perceptual": (lambda a, b: losses.perceptual_loss([a], [b]), (FIRST, OTHER)),
    "perceptual maps": (losses.perceptual_loss, ([FIRST], [OTHER])),
    "perceptual module": (losses.PerceptualLoss(Map()), (IMAGES, IMAGES)),
    "lpips": (lambda a, b, head: losses.lpips_distance([a], [b], [head]), (IMAGES, IMAGES, HEAD)),
    "lpips module": (lambda a, b, head: losses.LPIPS(Map(), [head])(a, b), (IMAGES, IMAGES, HEAD)),
    "discriminator": (losses.discriminator_loss, (FIRST, OTHER)),
    "generator": (losses.generator_loss, (FIRST,)),
    "lecam": (losses.lecam_loss, (FIRST, OTHER, SCALAR, SCALAR)),
    "lecam module": (losses.LeCamLoss(), (FIRST, OTHER)),
    "r1": (losses.r1_penalty, (FIRST, OTHER)),
    "adaptive_weight": (losses.adaptive_weight, (SCALAR, SCALAR, FIRST)),
    "vector_entropy": (losses.vector_entropy_loss, (FIRST, OTHER)),
    "lookup_free_entropy": (losses.lookup_free_entropy_loss, (FIRST,)),
    "binary_spherical_entropy": (losses.binary_spherical_entropy_loss, (FIRST,)),
    "histogram_relation": (losses.histogram_relation_loss, (FIRST, OTHER)),
    "histogram_relation module": (losses.HistogramRelationLoss, (FIRST,)),
    "relation_histogram": (losses.relation_histogram, (FIRST,)),
    "patchgan": (losses.PatchGANDiscriminator(3, 4), (IMAGES,)),
    "feature discriminator": (losses.FeatureDiscriminator(Map(), [3]), (IMAGES,)),
    "vgg": (losses.VGG16Features(), (IMAGES,)),
}


@pytest.mark.parametrize(("loss", "tensors"), TAKES_TENSORS.values(), ids=TAKES_TENSORS)
def test_what_is_no_dense_tensor_is_a_type_error_in_every_place(loss, tensors):
    for place, good in enumerate(tensors):
        sparse = good.to_sparse() if isinstance(good, torch.Tensor) else good[0]
        for thing in (None, np.ones((3, 4), np.float32), 1.5, sparse):
            with pytest.raises(TypeError, match=r"must be a (dense tensor|list of feature maps), got") as caught:
                loss(*tensors[:place], thing, *tensors[place + 1 :])
            assert "\n" not in str(caught.value)


TWO_TENSORS = [name for name, (_, tensors) in TAKES_TENSORS.items() if tensors[-1] is OTHER and name != "r1"]


@pytest.mark.parametrize("name", TWO_TENSORS)
def test_float64_beside_float32_is_computed(name):
    loss, (a, b) = TAKES_TENSORS[name]
    wanted = loss(a, b)
    for first, second in ((a.double(), b), (a, b.double())):
        torch.testing.assert_close(loss(first, second), wanted, check_dtype=False, atol=1e-4, rtol=1e-4)
