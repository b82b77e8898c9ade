"""Division by the root mean square."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.strategies import seeded
from vistok.generators import RMSNorm

SUBJECT = "vistok.generators.layers.normalization"


def by_definition(x, weight, eps):
    """In float64, with autograd's gradient."""
    y = x / (x.square().mean(-1, keepdim=True) + eps).sqrt()
    return y if weight is None else y * weight


def with_gradients(norm, function, x, outer):
    x = x.detach().requires_grad_()
    out = function(x)
    return out, *torch.autograd.grad(out, (x, *norm.parameters()), outer.to(out.dtype))


def case(shape, dtype, affine, seed=1):
    norm = RMSNorm(shape[-1], eps=1e-3, affine=affine)
    if affine:
        torch.nn.init.uniform_(norm.weight, generator=seeded(seed + 1))
    x, outer = torch.randn(2, *shape, generator=seeded(seed)).to(dtype)
    return norm, x, outer


@catches(SUBJECT, "x.shape[-1:], wide, eps)", "x.shape[-1:], wide, 1e-8)")
@catches(SUBJECT, "_OnCPU.apply(x, self.weight, self.eps)", "_OnCPU.apply(x, self.weight, 1e-8)")
@catches(SUBJECT, "(outer * y).sum(dim=list(range(x.ndim - 1)))", "outer.sum(dim=list(range(x.ndim - 1)))")
@catches(SUBJECT, "outer = outer * weight.float()", "pass")
@catches(SUBJECT, "value=-1", "value=-2")
@catches(SUBJECT, ".mul_(inverse)", "")
@catches(SUBJECT, 'x.device.type == "cpu" and not torch.compiler.is_compiling() and not _is_transformed(x)', "True")
def test_it_follows_its_equation_and_so_do_its_gradients_by_hand_and_compiled(monkeypatch):
    for affine in (True, False):
        norm, x, outer = case((3, 2, 6), torch.float32, affine)
        wide = RMSNorm(6, affine=affine).double()
        wide.load_state_dict(norm.state_dict())
        expected = with_gradients(wide, lambda x, w=wide: by_definition(x, w.weight, 1e-3), x.double(), outer)
        for compiling in (False, True):
            monkeypatch.setattr(torch.compiler, "is_compiling", lambda compiling=compiling: compiling)
            found = with_gradients(norm, norm, x, outer)
            for value, right in zip(found, expected, strict=True):
                torch.testing.assert_close(value.double(), right, atol=1e-5, rtol=1e-5)
            assert ("_OnCPU" in type(found[0].grad_fn).__name__) != compiling
    assert list(RMSNorm(6, affine=False).parameters()) == []


@given(st.integers(1, 4), st.integers(1, 9), st.booleans(), st.integers(0, 99))
def test_in_bfloat16_only_input_and_output_are_rounded(rows, dim, affine, seed):
    norm, x, outer = case((rows, dim), torch.bfloat16, affine, seed)
    found = with_gradients(norm, norm, x, outer)
    exact = with_gradients(norm, norm, x.float(), outer)
    for value, right in zip(found, exact, strict=True):
        torch.testing.assert_close(value, right.to(value.dtype), atol=1e-6, rtol=2**-7)
    assert found[0].dtype == found[1].dtype == torch.bfloat16


@catches(SUBJECT, " and not _is_transformed(x)", "")
def test_its_forward_derivative_is_that_of_its_equation():
    for affine in (True, False):
        norm, x, tangent = case((3, 6), torch.float32, affine)
        value, derivative = torch.func.jvp(norm, (x,), (tangent,))
        by_equation = lambda x, w=norm.weight: by_definition(x, w, 1e-3)  # noqa: E731
        expected = torch.func.jvp(by_equation, (x,), (tangent,))
        torch.testing.assert_close((value, derivative), expected, atol=1e-5, rtol=1e-5)
        assert value.requires_grad == affine


@catches(SUBJECT, "if torch.is_grad_enabled():", "if False:")
def test_its_gradient_can_be_differentiated_again():
    for affine in (True, False):
        norm, x, outer = case((3, 6), torch.float32, affine)
        wide = RMSNorm(6, affine=affine).double()
        wide.load_state_dict(norm.state_dict())
        found = []
        for module, function in ((norm, norm), (wide, lambda x, w=wide: by_definition(x, w.weight, 1e-3))):
            dtype = next(iter(module.parameters()), x).dtype if module is norm else torch.float64
            given = x.to(dtype).requires_grad_()
            inputs = (given, *module.parameters())
            first = torch.autograd.grad(function(given), inputs, outer.to(dtype), create_graph=True)
            found.append(torch.autograd.grad(sum(part.square().sum() for part in first), inputs))
        for value, right in zip(*found, strict=True):
            torch.testing.assert_close(value.double(), right, atol=1e-4, rtol=1e-4)


@catches(SUBJECT, "torch._C._are_functorch_transforms_active() or ", "")
def test_it_stands_in_every_transform_whether_it_is_transformed_itself_or_not():
    norm, x, tangent = case((3, 6), torch.float32, True)
    plain, one = norm(x).detach(), torch.ones(())
    torch.testing.assert_close(torch.func.vmap(norm)(x), norm(x))
    torch.testing.assert_close(torch.func.jvp(lambda s: s * norm(x), (one,), (one,)), (plain, plain))
    torch.testing.assert_close(torch.func.grad(lambda s: (s * norm(x)).sum())(one), plain.sum())
    by_transform = torch.func.grad(lambda x: (norm(x) * tangent).sum())(x)
    torch.testing.assert_close(by_transform, with_gradients(norm, norm, x, tangent)[1])


@catches(SUBJECT, "strict=True) if needed]", "strict=True) if part is not None]")
def test_its_gradient_can_be_differentiated_again_by_what_alone_needs_it():
    for gain_learns in (False, True):
        norm, x, outer = case((3, 6), torch.float32, True)
        norm.weight.requires_grad_(gain_learns)
        wide = (x.double(), norm.weight.detach().double())
        by_hand = (x, norm.weight)
        found = []
        for inputs, function in ((by_hand, lambda x, w, n=norm: n(x)), (wide, lambda x, w: by_definition(x, w, 1e-3))):
            learns = inputs[gain_learns].requires_grad_()
            outer_of = outer.to(learns.dtype).requires_grad_()
            (first,) = torch.autograd.grad(function(*inputs), learns, outer_of, create_graph=True)
            found.append(torch.autograd.grad(first.square().sum(), outer_of)[0])
        torch.testing.assert_close(found[0].double(), found[1], atol=1e-4, rtol=1e-4)
