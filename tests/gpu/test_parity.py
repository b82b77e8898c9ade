"""Each loss, quantizer and generator on the device under test, beside the CPU in float32."""

import pytest
import torch

from _support.every_loss import FIRST, LOSSES
from _support.every_quantizer import CHANNELS, NAMES, build
from _support.small_generators import (
    LABELS,
    far_tokens,
    far_variants,
    masked_tokens,
    masked_variants,
    seeded,
    small_xar,
)
from _support.strategies import normal
from vistok.workbench.training.precision import mixed_precision

#: Relative errors: of float32 with TF32 products, and of bfloat16, whose numbers have 8 bits.
TOLERANCES = {torch.float32: 2e-3, torch.bfloat16: 3e-2}
every_dtype = pytest.mark.parametrize("dtype", TOLERANCES, ids=["float32", "bfloat16"])


def near(got, wanted, dtype):
    """Whether values agree as a whole: the length of their difference against that of the reference."""
    got, wanted = got.detach().cpu().double(), wanted.detach().double()
    assert (got - wanted).norm() <= TOLERANCES[dtype] * wanted.norm() + 1e-6, (got, wanted)


@every_dtype
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_and_its_gradient(name, dtype, device):
    reference, x = FIRST.to(dtype).float(), FIRST.to(device, dtype)
    reference, x = (tensor.detach().clone().requires_grad_() for tensor in (reference, x))
    wanted, got = LOSSES[name](reference), LOSSES[name](x)
    wanted.backward()
    got.backward()
    assert got.device.type == device.type
    near(got, wanted, dtype)
    near(x.grad, reference.grad, dtype)


@every_dtype
@pytest.mark.parametrize("name", NAMES)
def test_a_quantizer_its_codes_and_its_gradient(name, dtype, device):
    values = normal(0, 3, CHANNELS, 4, 5).to(dtype)
    reference, x = (
        values.to(like).detach().clone().requires_grad_()
        for like in (torch.empty(0), torch.empty(0, device=device, dtype=dtype))
    )
    wanted, got = build(name)(reference), build(name).to(device)(x)
    assert torch.equal(got.indices.cpu(), wanted.indices)
    near(got.codes, wanted.codes, dtype)
    weight = normal(1, *wanted.quantized.shape)
    (wanted.quantized * weight).sum().backward()
    (got.quantized * weight.to(device)).sum().backward()
    near(x.grad, reference.grad, dtype)


def generators():
    """Each kind with its inputs, by a name."""
    yield "xar", small_xar(), normal(0, 3, 3, 4, 8)
    for index, model in enumerate(far_variants()):
        yield f"far {index}", model, far_tokens(model)
    for index, model in enumerate(masked_variants()):
        yield f"masked {index}", model, masked_tokens(model)


@every_dtype
@pytest.mark.parametrize(("name", "model", "inputs"), [pytest.param(*case, id=case[0]) for case in generators()])
def test_a_generators_loss_and_its_gradients(name, model, inputs, dtype, device):
    kind = "bf16" if dtype == torch.bfloat16 else "no"
    results = []
    for place, precision in ((torch.device("cpu"), "no"), (device, kind)):
        model.to(place).zero_grad()
        with mixed_precision(place, precision):
            loss = model.loss(inputs.to(place), LABELS.to(place), generator=seeded(3))
        loss.backward()
        gradients = [p.grad.flatten().cpu().clone() for p in model.parameters() if p.grad is not None]
        results.append((loss.detach().cpu(), torch.cat(gradients)))
    model.to("cpu")
    near(results[1][0], results[0][0], dtype)
    assert torch.nn.functional.cosine_similarity(results[1][1], results[0][1], dim=0) > 1 - TOLERANCES[dtype]
