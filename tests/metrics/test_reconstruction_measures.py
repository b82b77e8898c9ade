"""All streams of an evaluation of reconstructions take the same batches, and hold no more for more of them."""

import pytest
import torch
from torch import nn

from _support.mutants import catches
from _support.stand_in_network import StandIn, pictures
from vistok.metrics import Evaluation, Measurement, Resampling, frechet_distance, psnr
from vistok.metrics.harness.reconstruction_measures import Batch, ReconstructionMeasures

SUBJECT = "vistok.metrics.harness.reconstruction_measures"


def batch(count, seed=0, size=16):
    tokens = torch.randint(0, 8, (count, 2), generator=torch.Generator().manual_seed(seed))
    return Batch(pictures(count, size=size, seed=seed), pictures(count, size=size, seed=seed + 100), (tokens,))


def taken(whole, measurement, part=4):
    measures = ReconstructionMeasures(Batch(*(side[:1] for side in whole[:2]), (whole.tokens[0][:1],)), measurement)
    for indices in torch.arange(len(whole.originals)).split(part):
        measures.take(indices.tolist(), Batch(*(side[indices] for side in whole[:2]), (whole.tokens[0][indices],)))
    return measures


def numbers(measures):
    found = Evaluation()
    measures.add_to(found)
    return found


@catches(SUBJECT, "update(batch.reconstructions, batch.originals)", "update(batch.originals, batch.originals)")
@catches(SUBJECT, "(batch.reconstructions, batch.originals), strict", "(batch.originals, batch.originals), strict")
@catches(SUBJECT, "self.gallery.update(where,", "self.gallery.update(where * 0,")
def test_each_stream_has_seen_both_sides_of_all_batches():
    whole = batch(10)
    measures = taken(whole, Measurement(StandIn(), codebook_sizes=(8,), resampling=Resampling(resamples=0)))
    found = numbers(measures).measures
    network = StandIn()
    assert found["reconstruction"]["psnr"] == pytest.approx(float(psnr(*whole[:2]).mean()))
    expected = frechet_distance(network(whole.reconstructions).pooled, network(whole.originals).pooled)
    assert found["reconstruction"]["frechet_distance"] == pytest.approx(expected)
    assert sorted(measures.gallery.worst().indices.tolist()) == sorted(psnr(*whole[:2]).argsort()[:8].tolist())
    assert found["codes"]["codebook_0_usage"] == len(whole.tokens[0].unique()) / 8


@catches(SUBJECT, "pair = from_uint8(batch.reconstructions), from_uint8(batch.originals)", "pair = batch[:2]")
@catches(SUBJECT, '{f"distance {name}": MeanOfImages()', "{name: MeanOfImages()")
def test_any_distance_is_averaged_over_images_whatever_it_is_called():
    def brightness(made, real):
        return (made - real).mean(dim=(1, 2, 3))

    whole = batch(10)
    found = numbers(
        taken(whole, Measurement(distances={"kept": brightness, "half": lambda made, real: 0.5 + 0 * made[0, 0, 0, 0]}))
    )
    expected = (whole.reconstructions.float().mean() - whole.originals.float().mean()) / 127.5
    assert found.measures["reconstruction"]["kept"] == pytest.approx(float(expected), abs=1e-6)
    assert found.measures["reconstruction"]["half"] == 0.5
    assert found.measures["reconstruction"]["psnr"] > 1


@catches(SUBJECT, "values.flatten()", "values")
@catches(SUBJECT, "if values.numel() not in (1, len(made)):", "if False:")
@catches(SUBJECT, "@torch.no_grad()\n", "")
def test_a_distance_has_a_value_of_each_image_in_any_shape_and_builds_no_graph():
    weight = torch.ones((), requires_grad=True)

    def lpips(made, real):
        found = ((made - real) * weight).square().mean(dim=(1, 2, 3), keepdim=True)
        assert not found.requires_grad
        return found

    whole = batch(5)
    found = numbers(taken(whole, Measurement(distances={"LPIPS": lpips}))).measures["reconstruction"]
    expected = (whole.reconstructions.float() - whole.originals.float()).div(127.5).square().mean()
    assert found["LPIPS"] == pytest.approx(float(expected), rel=1e-5)
    wrong = Measurement(distances={"maps": lambda made, real: (made - real).mean(dim=1)})
    line = r"^distance 'maps': expected one value, or one of each of 4 images, got shape \(4, 16, 16\)$"
    with pytest.raises(ValueError, match=line):
        taken(whole, wrong)


@catches(SUBJECT, "self.refused[name] = str(error)", "raise")
def test_a_measure_that_does_not_take_such_images_is_left_out_before_the_pass():
    found = numbers(taken(batch(5, size=8), Measurement()))
    assert found.left_out == {
        "reconstruction: ssim": "images must be at least 11 pixels a side for SSIM, got (8, 8)",
        "codes: bits": "sizes of 1 codebooks are needed, got 0",
    }
    assert "ssim_uniform_window" in found.measures["reconstruction"]


@catches(SUBJECT, "capacity=kept", "capacity=None")
def test_what_is_kept_does_not_grow_with_the_number_of_images():
    def size(count):
        measurement = Measurement(StandIn(), codebook_sizes=(8,), resampling=Resampling(kept=20))
        streams = taken(batch(count), measurement, part=30).streams
        return sum(value.nbytes for stream in streams.values() for value in stream.state_dict().values())

    assert size(30) == size(300)


@catches(SUBJECT, "check_tokens(first.tokens, len(first.originals), first.tokens)", "pass")
@catches(SUBJECT, "check_tokens(batch.tokens, len(batch.originals), self.first.tokens)", "pass")
@catches("vistok.metrics.harness.codes", "(count, *part.shape[1:])", "part.shape")
@catches("vistok.metrics.harness.codes", "[tuple(part.shape) for part in tokens]", "wanted[: len(tokens)]")
def test_tokens_that_are_not_one_tensor_of_all_images_a_codebook_are_refused():
    def layout(laid_out):
        whole = batch(8)
        given = [Batch(*whole[:2], laid_out(whole.tokens[0])) for whole in (batch(1), whole)]
        ReconstructionMeasures(given[0], Measurement(codebook_sizes=(8,))).take(range(8), given[1])

    layout(lambda tokens: (tokens,))
    for laid_out, count, got in (
        (lambda tokens: (tokens.flatten(),), 1, r"[(2,)]"),
        (lambda tokens: tuple(tokens[:, None]), 8, f"[{', '.join(['(1, 2)'] * 8)}]"),
        (lambda tokens: tuple(tokens), 1, "[(2,)]"),
        (lambda tokens: (tokens[:, : 1 + len(tokens) // 8],), 8, "[(8, 2)]"),
        (lambda tokens: () if len(tokens) > 1 else (tokens,), 8, "[]"),
    ):
        with pytest.raises(ValueError, match="encode: expected tokens") as error:
            layout(laid_out)
        wanted = f"tokens (B, ...) of {count} images, one tensor a codebook"
        assert str(error.value) == f"encode: expected {wanted}, got {got}"


@catches(SUBJECT, "name in _PIXELS or ", "")
@catches(SUBJECT, " or name.startswith(_FRECHET)", "")
def test_a_distance_that_is_called_as_a_built_in_figure_is_refused():
    names = ("LPIPS", "ssim", "psnr (mine)", "frechet_distance_deviation")
    measurement = Measurement(distances=dict.fromkeys(names, lambda made, real: made.mean()))
    line = "^distances: expected names that no built-in figure has, got ssim, frechet_distance_deviation$"
    with pytest.raises(ValueError, match=line):
        taken(batch(2), measurement)


class Asked(nn.Module):
    """A distance whose weights have no values, only a device; it notes where it is asked."""

    def __init__(self):
        super().__init__()
        self.weight, self.asked = nn.Parameter(torch.ones((), device="meta")), set()

    def forward(self, made, real):
        self.asked |= {made.device.type, real.device.type}
        return torch.zeros(len(made))


@catches(SUBJECT, 'getattr(distance, "__self__", distance)', "distance")
@catches(SUBJECT, "if isinstance(module, nn.Module):", "if False:")
@catches(SUBJECT, "real.to(device)", "real")
def test_a_module_gets_both_sides_on_the_device_of_its_weights_and_a_function_on_the_cpu():
    module, method, function, weightless = (Asked() for _ in range(4))
    del weightless.weight
    distances = {
        "module": module,
        "method": method.forward,
        "function": lambda *pair: function(*pair),
        "no": weightless,
    }
    taken(batch(3), Measurement(distances=distances))
    assert [asked.asked for asked in (module, method, function, weightless)] == [{"meta"}, {"meta"}, {"cpu"}, {"cpu"}]
