"""A compiled loss is the eager loss: whole graph, same value, same gradient."""

import pytest
import torch

import vistok.losses as losses
from _support.mutants import catches
from _support.stages import Stages
from _support.strategies import normal

OTHER, ONE_EACH, BOOK = normal(1, 2, 4, 6, 6), normal(2, 2, 4), normal(3, 7, 4)
HISTOGRAM = normal(4, 40).abs()
CASES = {
    "codebook_commitment": lambda x: losses.codebook_commitment_loss(x, OTHER),
    "residual": lambda x: losses.residual_loss(OTHER, x, x * 0.1, norm="norm"),
    "reconstruction": lambda x: losses.reconstruction_loss(x, OTHER, kind="charbonnier"),
    "chroma": lambda x: losses.chroma_loss(x[:, :3], OTHER[:, :3]),
    "disentanglement": lambda x: losses.disentanglement_loss(x, OTHER),
    "patch_alignment": lambda x: losses.patch_alignment_loss(x, OTHER),
    "pooled_alignment": lambda x: losses.pooled_alignment_loss(x, ONE_EACH),
    "contrastive": lambda x: losses.contrastive_loss(x.mean((2, 3)), ONE_EACH),
    "perceptual": lambda x: losses.perceptual_loss([x], [OTHER]),
    "discriminator": lambda x: losses.discriminator_loss(x, -x, kind="non_saturating"),
    "generator": lambda x: losses.generator_loss(x),
    "lecam": lambda x: losses.lecam_loss(x, x, torch.tensor(0.1), torch.tensor(-0.1), form="maskbit"),
    "vector_entropy": lambda x: losses.vector_entropy_loss(x, BOOK),
    "lookup_free_entropy": lambda x: losses.lookup_free_entropy_loss(x),
    "histogram_relation, tokens": lambda x: losses.histogram_relation_loss(x.mean((2, 3)), BOOK),
    "histogram_relation, counted": lambda x: losses.histogram_relation_loss(x.reshape(144, 2), HISTOGRAM),
    "binary_spherical_entropy": lambda x: losses.binary_spherical_entropy_loss(x, group_bits=3),
}


def check_compiled(function):
    # aot_eager traces forward and backward without a code generator, which keeps the test fast on any machine.
    torch.compiler.reset()
    results = []
    for call in (function, torch.compile(function, fullgraph=True, backend="aot_eager")):
        x = normal(0, 2, 4, 6, 6).requires_grad_()
        loss = call(x)
        loss.backward()
        results.append((loss.detach(), x.grad))
    torch.testing.assert_close(results[1], results[0])


@pytest.mark.parametrize("name", CASES)
def test_the_whole_graph_compiles_to_the_same_loss(name):
    check_compiled(CASES[name])


@catches("vistok.losses.histogram_relation", "if torch.compiler.is_compiling():", "if False:")
@catches("vistok.losses.histogram_relation", "torch._assert_async(valid, expected)", "pass")
def test_a_compiled_histogram_relation_still_refuses_a_teacher_that_is_no_histogram():
    torch.compiler.reset()
    loss = torch.compile(losses.histogram_relation_loss, fullgraph=True, backend="aot_eager")
    codes = normal(0, 20, 4)
    torch.testing.assert_close(loss(codes, HISTOGRAM), losses.histogram_relation_loss(codes, HISTOGRAM))
    for wrong in (-HISTOGRAM, 0 * HISTOGRAM, HISTOGRAM.log() * float("nan")):
        with pytest.raises(RuntimeError, match="teacher must be a histogram of finite values >= 0"):
            loss(codes, wrong)


def test_modules_with_a_frozen_network_compile():
    lpips = losses.LPIPS(Stages(), [torch.ones(6), torch.ones(4)])
    perceptual = losses.PerceptualLoss(Stages())
    target = normal(1, 2, 3, 6, 6).clamp(-1, 1)
    check_compiled(lambda x: lpips(x[:, :3], target) + perceptual(x[:, :3], target))


def test_patchgan_compiles():
    torch.manual_seed(0)
    model = losses.PatchGANDiscriminator(4, 4, 1, norm="group")
    check_compiled(lambda x: losses.generator_loss(model(x)))


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_code_generator_gives_the_same_loss(name):
    torch.compiler.reset()
    x = normal(0, 2, 4, 6, 6)
    torch.testing.assert_close(torch.compile(CASES[name], fullgraph=True)(x), CASES[name](x), rtol=1e-4, atol=1e-5)
