"""A frozen codebook under a learned map."""

import pytest
import torch
from hypothesis import given

from _support.mutants import catches
from _support.strategies import normal, seeded, seeds
from vistok.quantizers import ProjectedVectorQuantizer

SUBJECT = "vistok.quantizers.projected"


@catches(SUBJECT, "F.linear(codes.float(), self.projection.float())", "codes.float() @ self.projection.float()")
@catches(SUBJECT, "nearest_codes(rows, self.codebook.detach()", "nearest_codes(rows, self.frozen_codebook")
def test_the_projection_alone_learns():
    quantizer = ProjectedVectorQuantizer(15, 3, generator=seeded(0))
    quantizer.projection.data.copy_(normal(3, 3, 3))
    z, g = normal(1, 8, 3).requires_grad_(), normal(2, 8, 3)
    out = quantizer(z)
    table = quantizer.frozen_codebook.double() @ quantizer.projection.detach().double().t()
    assert torch.equal(out.indices, (z.double().unsqueeze(1) - table).square().sum(2).argmin(1))
    assert torch.allclose(out.codes.double(), table[out.indices], atol=1e-6)
    (out.codes * g).sum().backward()
    wanted = g.double().t() @ quantizer.frozen_codebook.double()[out.indices]
    assert torch.allclose(quantizer.projection.grad.double(), wanted, atol=1e-5)
    assert z.grad is None
    assert [name for name, _ in quantizer.named_parameters()] == ["projection"]


@catches(
    SUBJECT,
    "self.projection = nn.Parameter(torch.eye(code_dim))",
    "self.projection = nn.Parameter(torch.zeros(code_dim, code_dim))",
)
def test_by_hand():
    """The map starts as the identity; doubled, it doubles the codes."""
    quantizer = ProjectedVectorQuantizer(2, 2)
    quantizer.frozen_codebook.copy_(torch.tensor([[1.0, 0.0], [0.0, 3.0]]))
    assert quantizer(torch.tensor([[0.9, 0.2]])).codes.tolist() == [[1.0, 0.0]]
    quantizer.projection.data.mul_(2)
    out = quantizer(torch.tensor([[0.9, 0.2], [0.0, 9.0]]))
    assert out.codes.tolist() == [[2.0, 0.0], [0.0, 6.0]]
    assert out.indices.tolist() == [0, 1]


@catches(SUBJECT, "normal_(std=code_dim**-0.5, generator=generator)", "normal_(generator=generator)")
def test_frozen_codes_have_a_length_of_about_one():
    frozen = ProjectedVectorQuantizer(2000, 64, generator=seeded(0)).frozen_codebook
    assert abs(frozen.square().sum(1).mean() - 1) < 0.02
    assert abs(frozen.mean()) < 0.002


@given(seeds)
def test_a_step_at_one_code_moves_them_all(seed):
    quantizer = ProjectedVectorQuantizer(9, 3, generator=seeded(seed))
    before = quantizer.codebook.detach()
    quantizer(normal(seed, 1, 3)).codes.sum().backward()
    with torch.no_grad():
        quantizer.projection -= quantizer.projection.grad
    assert ((quantizer.codebook - before).abs().sum(1) > 0).all()


@catches(SUBJECT, 'check_token_block(token_block, "ProjectedVectorQuantizer")', "pass")
def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="code_dim must be a whole number of at least 1, got 0"):
        ProjectedVectorQuantizer(4, 0)
    with pytest.raises(ValueError, match=r"^ProjectedVectorQuantizer: token_block must be at least 1, got 0$"):
        ProjectedVectorQuantizer(4, 2, token_block=0)
