"""Residual vector quantization."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from _support.mutants import catches
from _support.strategies import normal, seeded, seeds
from vistok.quantizers import ResidualVectorQuantizer

SUBJECT = "vistok.quantizers.residual_vector"


@catches(
    SUBJECT,
    "torch.stack([F.embedding(index, codebook[0]).float() for index, codebook in pairs]).sum(0)",
    "torch.stack([F.embedding(index, codebook[0]).float() for index, codebook in pairs]).mean(0)",
)
@catches(
    SUBJECT,
    "pairs = zip(indices.unbind(-1), self.codebooks, strict=True)",
    "pairs = zip(indices.unbind(-1), self.codebooks[::-1], strict=True)",
)
def test_stages_are_greedy():
    quantizer = ResidualVectorQuantizer(9, 3, num_stages=3, generator=seeded(0))
    for stage, codebook in enumerate(quantizer.codebooks):
        codebook.data.copy_(normal(stage, 1, 9, 3) / 2**stage)
    z = normal(9, 30, 3)
    out = quantizer(z)
    residual = z.double()
    for stage, codebook in enumerate(quantizer.codebooks):
        chosen = (residual.unsqueeze(1) - codebook[0].detach().double()).square().sum(2).argmin(1)
        assert torch.equal(out.indices[:, stage], chosen)
        residual = residual - codebook[0].detach().double()[chosen]
    torch.testing.assert_close(out.codes.double(), z.double() - residual, atol=1e-6, rtol=0)
    out.codes.sum().backward()
    for stage, codebook in enumerate(quantizer.codebooks):
        count = torch.bincount(out.indices[:, stage], minlength=9).float()
        torch.testing.assert_close(codebook.grad[0], count.unsqueeze(1).expand(9, 3))


@catches(SUBJECT, "num_quantizers=num_stages", "num_quantizers=num_stages + 1")
def test_by_hand():
    """Codes 10 and 0, then 1 and -1: 9.2 is 10 - 1, 0.6 is 0 + 1."""
    quantizer = ResidualVectorQuantizer(2, 1, num_stages=2)
    quantizer.codebooks[0].data.copy_(torch.tensor([[[10.0], [0.0]]]))
    quantizer.codebooks[1].data.copy_(torch.tensor([[[1.0], [-1.0]]]))
    out = quantizer(torch.tensor([[9.2], [0.6]]))
    assert out.indices.tolist() == [[0, 1], [1, 0]]
    assert out.codes.tolist() == [[9.0], [1.0]]
    assert quantizer.indices_to_stages(out.indices).tolist() == [[[10.0], [-1.0]], [[0.0], [1.0]]]


@catches(SUBJECT, "-1 / codebook_size, 1 / codebook_size, generator=generator", "-1, 1, generator=generator")
def test_the_first_codebooks_are_uniform_and_those_of_the_generator():
    quantizer = ResidualVectorQuantizer(500, 3, num_stages=2, generator=seeded(0))
    for codebook in quantizer.codebooks:
        assert 0.99 / 500 < codebook.abs().max() <= 1 / 500
    again = ResidualVectorQuantizer(500, 3, num_stages=2, generator=seeded(0))
    assert torch.equal(quantizer.codebooks[1], again.codebooks[1])
    assert not torch.equal(quantizer.codebooks[0], quantizer.codebooks[1])


@catches(SUBJECT, "rows = rows - codes[found[-1]]", "pass")
def test_the_indices_are_those_of_the_wrapped_module():
    """Its search is another one: equal but for ties, which random numbers have not."""
    for size in (9, 100):
        quantizer = ResidualVectorQuantizer(size, 4, num_stages=3).eval()
        for stage, codebook in enumerate(quantizer.codebooks):
            codebook.data.copy_(normal(stage, 1, size, 4) / 2**stage)
        z = normal(9, 200, 4)
        wanted = quantizer.wrapped(z.unsqueeze(0))[1].squeeze(0)
        assert torch.equal(quantizer(z).indices, wanted)
        assert torch.equal(quantizer.bfloat16()(z).indices[:, 0], quantizer(z.float()).indices[:, 0])


@catches(SUBJECT, "nearest_codes(rows, codes, token_block=self.token_block)", "torch.cdist(rows, codes).argmin(1)")
def test_it_never_holds_tokens_times_codes(largest_tensor):
    quantizer = ResidualVectorQuantizer(4096, 4, num_stages=2)
    with largest_tensor as largest:
        quantizer(normal(0, 1024, 4))
    assert largest.elements <= 2**19


@catches("vistok.quantizers._rows", "per_token is not None and (", "per_token is not None and per_token > 1 and (")
def test_one_stage_has_its_dimension_in_the_indices():
    quantizer = ResidualVectorQuantizer(9, 3, num_stages=1, generator=seeded(0))
    out = quantizer(normal(0, 2, 3, 5, 5))
    assert out.indices.shape == (2, 5, 5, 1)
    torch.testing.assert_close(quantizer.indices_to_codes(out.indices), out.codes)
    for call in (quantizer.indices_to_codes, quantizer.indices_to_stages):
        expected = r"^ResidualVectorQuantizer: the last dimension of indices must be 1 .*, got shape \(2, 5, 5\)$"
        with pytest.raises(ValueError, match=expected):
            call(out.indices.squeeze(-1))


@catches(SUBJECT, "learnable_codebook=True", "learnable_codebook=False")
def test_the_codebooks_learn_by_gradient_alone():
    quantizer = ResidualVectorQuantizer(9, 3, num_stages=2, generator=seeded(0)).train()
    before = [codebook.detach().clone() for codebook in quantizer.codebooks]
    quantizer(normal(0, 20, 3))
    assert all(torch.equal(a, b) for a, b in zip(before, quantizer.codebooks, strict=True))
    assert all(isinstance(codebook, torch.nn.Parameter) for codebook in quantizer.codebooks)


@settings(max_examples=15)
@given(seeds)
def test_a_zero_code_lets_no_stage_raise_the_error(seed):
    quantizer = ResidualVectorQuantizer(6, 3, num_stages=3, generator=seeded(seed))
    for stage, codebook in enumerate(quantizer.codebooks):
        codebook.data.copy_(normal(seed + stage, 1, 6, 3))
        codebook.data[0, 0] = 0
    z = normal(seed, 12, 3)
    left = [z.square().sum()]
    for part in quantizer.indices_to_stages(quantizer(z).indices).detach().cumsum(-2).unbind(-2):
        left.append((z - part).square().sum())
        assert left[-1] <= left[-2] + 1e-5


@catches(SUBJECT, "stages.ndim < 2 or stages.shape[-2:] != (self.num_stages, self.code_dim)", "False")
def test_stages_of_the_wrong_shape_are_refused():
    with pytest.raises(ValueError, match=r"stages must be \(\*, 2, 3\), got \(4, 3\)"):
        ResidualVectorQuantizer(9, 3, num_stages=2).stages_to_indices(torch.zeros(4, 3))


@pytest.mark.parametrize("thing", [None, np.zeros((4, 3), np.float32), torch.zeros(4, 3).to_sparse()])
def test_stages_that_are_no_dense_tensor_are_named(thing):
    with pytest.raises(TypeError, match="stages must be a dense tensor, got"):
        ResidualVectorQuantizer(9, 3, num_stages=2).stages_to_indices(thing)


@catches(SUBJECT, "self.channel_dim).to(self.codebooks[0].dtype)", "self.channel_dim)")
@catches(SUBJECT, "F.embedding(index, codebook[0]) for index", "F.embedding(index, codebook[0]).float() for index")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_codes_have_the_dtype_of_the_codebooks(dtype):
    quantizer = ResidualVectorQuantizer(9, 3, num_stages=2, generator=seeded(0))
    indices = quantizer(normal(0, 4, 3)).indices
    codes, stages = quantizer.indices_to_codes(indices), quantizer.indices_to_stages(indices)
    quantizer.to(dtype)
    cast, parts = quantizer.indices_to_codes(indices), quantizer.indices_to_stages(indices)
    assert cast.dtype == parts.dtype == dtype
    torch.testing.assert_close(cast.float(), codes, atol=2e-3, rtol=1e-2)
    torch.testing.assert_close(parts.float(), stages, atol=2e-3, rtol=1e-2)


@catches(SUBJECT, 'check_token_block(token_block, "ResidualVectorQuantizer")', "pass")
def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="num_stages must be a whole number of at least 1, got 0"):
        ResidualVectorQuantizer(4, 2, num_stages=0)
    for block in (0, -1):
        with pytest.raises(ValueError, match=f"token_block must be at least 1, got {block}"):
            ResidualVectorQuantizer(4, 2, num_stages=1, token_block=block)


@catches(SUBJECT, "rows = rows - centres[nearest_codes(rows, centres)]", "pass")
@catches(SUBJECT, "codebook[0].copy_(centres)", "codebook[0].add_(centres)")
def test_each_stage_starts_as_the_centres_of_what_those_before_leave():
    """Points of a coarse grid of 4 with a fine one of 3 around each: two stages that fit leave nothing."""
    coarse = torch.tensor([[0.0, 0.0], [100.0, 0.0], [0.0, 100.0], [100.0, 100.0]])
    fine = torch.tensor([[-1.0, 0.0], [1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    points = (coarse[:, None] + fine).reshape(1, 16, 2).repeat(1, 5, 1)
    quantizer = ResidualVectorQuantizer(4, 2, num_stages=2, channel_dim=-1)
    error = None
    for seed in range(20):  # Lloyd's iterations end where they began well
        quantizer.initialize(points, generator=torch.Generator().manual_seed(seed))
        found = (quantizer(points).codes - points).abs().max().item()
        error = found if error is None else min(error, found)
    assert error < 1e-4
