"""An evaluation of reconstructions gives the numbers of the whole tensors, whoever made them and however it went."""

import math
from typing import NamedTuple

import pytest
import torch
from torch import nn

from _support.gloo import run_on_two_ranks
from _support.image_files import noise
from _support.mutants import catches
from _support.stand_in_network import StandIn, pictures
from vistok.metrics import (
    CodePairs,
    CodeUsage,
    Measurement,
    Resampling,
    evaluate_pairs,
    evaluate_tokenizer,
    frechet_distance,
    pooled_psnr,
    psnr,
    read_evaluation,
    ssim,
)
from vistok.metrics.harness import streamed_pass
from vistok.metrics.ranks import Rank

SUBJECT = "vistok.metrics.harness.reconstructions"
RESULTS = {"evaluation.html", "evaluation.json", "evaluation.md"}


class Tokens(NamedTuple):
    coarse: torch.Tensor
    fine: torch.Tensor


class TwoBooks:
    """Each pixel's three high bits, and the three below them; the last two are lost."""

    codebook_sizes = (8, 8)

    def __init__(self, channels=1):
        self.channels = channels

    def encode(self, images):
        pixels = ((images[:, :1] + 1) * 127.5).round().long()
        return Tokens(pixels // 32, pixels % 32 // 4)

    def decode(self, tokens):
        return ((tokens.coarse * 32 + tokens.fine * 4) / 127.5 - 1).expand(-1, self.channels, -1, -1)


class OneBook:
    """Black or white."""

    codebook_sizes = (2,)

    def encode(self, images):
        return (images > 0).int()

    def decode(self, tokens):
        return tokens * 1.9 - 0.95


class Darker:
    """No tokens at all."""

    def reconstruct(self, images):
        return images * 0.9 - 0.1


def evaluated(tokenizer, images, **rest):
    measurement = Measurement(StandIn(), resampling=Resampling(resamples=3))
    return evaluate_tokenizer(tokenizer, images, measurement, batch_size=4, **rest)


def directly(tokenizer, images):
    """Everything of the whole tensors at once: made, tokens, and the numbers of the pixels."""
    given = images / 127.5 - 1
    tokens = tokenizer.encode(given) if hasattr(tokenizer, "encode") else None
    made = tokenizer.reconstruct(given) if tokens is None else tokenizer.decode(tokens)
    made = ((made + 1) * 127.5).round().to(torch.uint8)
    network = StandIn()
    return tokens, {
        "psnr": psnr(made, images).mean(),
        "pooled_psnr": pooled_psnr(made, images),
        "ssim": ssim(made, images).mean(),
        "ssim_uniform_window": ssim(made, images, window="uniform").mean(),
        "mean_absolute_error": (made.double() - images.double()).abs().mean(),
        "frechet_distance": frechet_distance(network(made).pooled, network(images).pooled),
    }


@catches(SUBJECT, 'getattr(tokenizer, "codebook_sizes", None)', "None")
@catches(SUBJECT, "measures.take(indices, batch(indices))", "measures.take(indices, batch(range(len(indices))))")
@pytest.mark.parametrize("channels", [1, 3])
def test_numbers_of_any_tokenizer_are_those_of_the_whole_tensors(channels):
    images = pictures(11, channels)
    for tokenizer in (TwoBooks(channels), OneBook(), Darker()):
        found = evaluated(tokenizer, images)
        tokens, expected = directly(tokenizer, images)
        measured = found.measures["reconstruction"]
        assert {name: measured[name] for name in expected} == pytest.approx(
            {name: float(value) for name, value in expected.items()}, rel=1e-6, abs=1e-6
        )
        assert set(measured) - set(expected) == {"frechet_distance_deviation", "frechet_distance_margin_of_error"}
        assert found.left_out == {}
        assert ("codes" in found.measures) == (tokens is not None)


def test_numbers_of_tokens_are_those_of_all_tokens():
    images = pictures(11, 1)
    found = evaluated(TwoBooks(), images).measures["codes"]
    tokens, _ = directly(TwoBooks(), images)
    pair, usage = CodePairs(8, 8), [CodeUsage(8), CodeUsage(8)]
    pair.update(*tokens)
    for number, part in enumerate(tokens):
        usage[number].update(part)
        for name in ("usage", "perplexity", "entropy"):
            expected = float(getattr(usage[number].compute(), name))
            assert found[f"codebook_{number}_{name}"] == pytest.approx(expected), name
    assert found["mutual_information"] == pytest.approx(pair.compute().mutual_information)
    assert (found["tokens_per_image"], found["bits_per_image"], found["bits_per_pixel"]) == (512, 1536, 6)
    entropies = sum(float(part.compute().entropy) for part in usage)
    assert found["bits_per_pixel_as_coded"] == pytest.approx(entropies)


class Drawing:
    def reconstruct(self, images):
        return images * 0.5 + torch.rand(images.shape) * 0.5


@catches(SUBJECT, "seed * 1_000_003 + indices[0]", "seed")
@catches(SUBJECT, '"decoder seed": seed', '"decoder seed": 0')
def test_a_decoder_that_draws_does_so_by_the_seed_and_anew_for_each_batch():
    images = pictures(1).expand(4, -1, -1, -1)
    one, same, other = (evaluate_tokenizer(Drawing(), images, batch_size=2, seed=seed) for seed in (1, 1, 2))
    assert one.measures == same.measures
    assert one.measures != other.measures
    assert (one.choices["decoder seed"], other.choices["decoder seed"]) == (1, 2)
    half = evaluate_tokenizer(Drawing(), images[:2], batch_size=2, seed=1)
    assert half.measures["reconstruction"]["psnr"] != one.measures["reconstruction"]["psnr"]


def of_rank(rank, folder):
    own = folder / str(rank)
    found = evaluated(TwoBooks(), pictures(11, 1), folder=own)
    pairs = evaluate_pairs(pictures(7), pictures(7, seed=1), batch_size=2)
    return found.measures, pairs.measures, sorted(path.name for path in own.iterdir())


@catches(SUBJECT, "place is not None and own_rank().number == 0", "place is not None and own_rank().number >= 0")
def test_two_processes_give_what_one_gives_and_the_first_writes(tmp_path):
    alone = evaluated(TwoBooks(), pictures(11, 1)).measures
    pairs = evaluate_pairs(pictures(7), pictures(7, seed=1), batch_size=2).measures
    for rank, (found, found_pairs, written) in enumerate(run_on_two_ranks(of_rank, tmp_path)):
        for measured, expected in ((found, alone), (found_pairs, pairs)):
            assert measured.keys() == expected.keys()
            for section, values in expected.items():
                assert measured[section] == pytest.approx(values, rel=1e-9, abs=1e-9)
        assert set(written) == (set() if rank else RESULTS)


class Stopping(TwoBooks):
    """Is interrupted at its third batch (the first image is asked for before them)."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def encode(self, images):
        self.calls += 1
        if self.calls == 4:
            raise KeyboardInterrupt
        return super().encode(images)


@catches(SUBJECT, "        forget_pass(place)\n", "")
@catches(SUBJECT, "folder=place, choices=choices", "folder=None, choices=choices")
def test_an_evaluation_that_was_stopped_goes_on_and_gives_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(streamed_pass, "KEEP_EVERY", 0.0)
    images = pictures(11, 1)
    with pytest.raises(KeyboardInterrupt):
        evaluated(Stopping(), images, folder=tmp_path, name="mine")
    assert [path.name for path in tmp_path.iterdir()] == ["unfinished-0-of-1.pt"]
    with pytest.raises(ValueError, match=r"other choices: decoder seed 0 \(now 1\)"):
        evaluated(TwoBooks(), images, folder=tmp_path, name="mine", seed=1)
    rest = Stopping()
    rest.calls = 100
    found = evaluated(rest, images, folder=tmp_path, name="mine")
    assert rest.calls == 102  # the first image, and the one batch that was missing
    assert found.measures == evaluated(TwoBooks(), images).measures
    assert {path.name for path in tmp_path.iterdir()} == RESULTS
    assert read_evaluation(tmp_path) == found


class Weighted(nn.Module):
    """Is interrupted at its second batch where it is asked to."""

    def __init__(self, weight, stops=False):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight, dtype=torch.bfloat16))
        self.calls, self.stops = 0, stops

    def reconstruct(self, images):
        self.calls += 1
        if self.stops and self.calls == 3:
            raise KeyboardInterrupt
        return images * self.weight


@catches(SUBJECT, "**of_tokenizer(tokenizer), ", "")
def test_another_tokenizer_does_not_go_on_with_what_was_measured_of_one(tmp_path, monkeypatch):
    monkeypatch.setattr(streamed_pass, "KEEP_EVERY", 0.0)
    images, common = pictures(6), {"batch_size": 2, "folder": tmp_path, "name": "vqgan tokenizer"}
    with pytest.raises(KeyboardInterrupt):
        evaluate_tokenizer(Weighted(0.5, stops=True), images, **common)
    with pytest.raises(ValueError, match=r"\A[^\n]*other choices: tokenizer weights '\w+' \(now '\w+'\); remove"):
        evaluate_tokenizer(Weighted(0.75), images, **common)
    same = Weighted(0.5)
    found = evaluate_tokenizer(same, images, **common)
    assert same.calls == 3  # the first image, and the two batches that were missing
    assert found.measures == evaluate_tokenizer(Weighted(0.5), images, batch_size=2).measures


@catches(SUBJECT, "time.monotonic(), ready_folder(folder)", "time.monotonic(), folder and Path(folder)")
def test_a_folder_that_cannot_be_written_to_is_told_before_the_work(tmp_path):
    (tmp_path / "file").touch()
    tokenizer = Stopping()
    with pytest.raises(OSError, match="file"):
        evaluate_tokenizer(tokenizer, pictures(4, 1), folder=tmp_path / "file")
    assert tokenizer.calls == 0


@catches(SUBJECT, "if trained_on.shape != source.shape:", "if False:")
@catches(SUBJECT, "if trained_on is not None and", "if False and")
def test_codecs_stand_beside_a_tokenizer_with_codebooks_whose_training_images_are_given():
    images = pictures(6, 1)
    found = evaluate_tokenizer(TwoBooks(), images, training=pictures(20, 1, seed=1))
    assert any(name.startswith("JPEG") for name in found.measures["baselines"])
    assert found.choices["training: count"] == "20"
    tokenizer = Stopping()
    with pytest.raises(ValueError, match=r"training images must be \(1, 16, 16\) as the images are, got \(1, 8, 8\)"):
        evaluate_tokenizer(tokenizer, images, training=pictures(2, 1, size=8))
    assert tokenizer.calls == 0


@catches(SUBJECT, " and own_rank().number == 0:\n            add", ":\n            add")
def test_codecs_are_computed_by_the_first_process_alone(monkeypatch):
    monkeypatch.setattr("vistok.metrics.harness.reconstructions.own_rank", lambda: Rank(1, 2))
    found = evaluate_tokenizer(TwoBooks(), pictures(6, 1), training=pictures(20, 1, seed=1))
    assert "baselines" not in found.measures
    assert found.measures["codes"]["bits_per_pixel"] == 6


class Unlike(TwoBooks):
    """Gives its tokens in a dictionary."""

    def encode(self, images):
        return super().encode(images)._asdict()

    def decode(self, tokens):
        return super().decode(Tokens(**tokens))


@catches("vistok.metrics.harness.reconstruction_measures", "        if self.first.uncounted:", "        if False:")
def test_tokens_that_are_not_found_are_left_out_with_the_reason():
    found = evaluate_tokenizer(Unlike(), pictures(4, 1))
    assert found.left_out["codes: tokens"].endswith("to be counted, got dict")
    assert "codes" not in found.measures
    assert "codes: tokens" not in evaluate_tokenizer(Darker(), pictures(4, 1)).left_out


@catches("vistok.metrics.harness.codes", "    if sizes is None:\n        return ()\n", "")
@catches("vistok.metrics.harness.codes", "    if not isinstance(sizes, Sequence) or", "    if")
@catches("vistok.metrics.harness.codes", "not all(isinstance(size, int) for size in sizes)", "False")
def test_sizes_of_codebooks_are_a_sequence_or_none():
    tokenizer = OneBook()
    tokenizer.codebook_sizes = None
    assert "codes: bits" in evaluate_tokenizer(tokenizer, pictures(4, 1)).left_out
    for wrong in (1024, "16", [16, 2.5]):
        tokenizer.codebook_sizes = wrong
        with pytest.raises(TypeError, match=r"^codebook_sizes: expected a sequence of whole numbers, .*, got .*$"):
            evaluate_tokenizer(tokenizer, pictures(4, 1))
        with pytest.raises(TypeError, match=r"^codebook_sizes: expected a sequence of whole numbers, .*, got .*$"):
            evaluate_tokenizer(OneBook(), pictures(4, 1), Measurement(codebook_sizes=wrong))


@catches(SUBJECT, "if trained_on is not None and", 'if trained_on is not None and "codes" in found.measures and')
@catches("vistok.metrics.harness.codec_baselines", "if bits_per_pixel is None:", "if False:")
def test_codecs_beside_a_tokenizer_without_a_rate_are_left_out_with_the_reason():
    images, unsized = pictures(6, 1), OneBook()
    unsized.codebook_sizes = None
    for tokenizer in (Darker(), unsized, Unlike()):
        found = evaluate_tokenizer(tokenizer, images, training=images)
        assert "baselines" not in found.measures
        why = "a tokenizer with codebooks of known sizes is needed, for its rate"
        assert found.left_out["baselines: codecs"] == why
        assert "baselines: codecs" not in evaluate_tokenizer(tokenizer, images).left_out


def test_codecs_that_cannot_be_fitted_are_left_out_with_the_reason():
    images, many = pictures(6, 1), pictures(20, 1)
    for training, why in ((many[:1], "at least 2, got 1"), (many[:1].expand(5, -1, -1, -1), "all equal")):
        found = evaluate_tokenizer(TwoBooks(), images, training=training)
        assert why in found.left_out["baselines: codecs"]
        assert found.measures["codes"]["bits_per_pixel"] == 6


def test_what_few_or_small_images_do_not_allow_is_left_out_with_its_reason():
    small = evaluated(Darker(), pictures(1, size=4))
    assert set(small.measures["reconstruction"]) == {"psnr", "pooled_psnr", "mean_absolute_error"}
    assert {"reconstruction: ssim", "reconstruction: frechet_distance"} <= set(small.left_out)
    assert all(why and "\n" not in why for why in small.left_out.values())
    for count in (2, 3):
        assert evaluated(Darker(), pictures(count)).measures["reconstruction"]["frechet_distance"] >= 0


class Lossless:
    def reconstruct(self, images):
        return images


@catches("vistok.metrics.harness.reconstruction_measures", 'streams[f"{side}: kept"].update(seen, where)', "pass")
@catches("vistok.metrics.harness.reconstruction_measures", "capacity=kept, seed=seed", "seed=len(side), capacity=kept")
def test_the_same_images_of_both_sides_are_kept_so_that_nothing_lost_is_sure():
    measurement = Measurement(StandIn(), resampling=Resampling(resamples=3, kept=9))
    found = evaluate_tokenizer(Lossless(), pictures(30), measurement, batch_size=7).measures["reconstruction"]
    assert found["frechet_distance"] == pytest.approx(0.0, abs=1e-8)
    assert found["frechet_distance_margin_of_error"] == pytest.approx(0.0, abs=1e-8)


@catches(SUBJECT, "Batch(*pairs.batch(indices))", "Batch(*reversed(pairs.batch(indices)))")
@catches(SUBJECT, "_evaluate(pairs.names", "_evaluate(pairs.first.names")
def test_pairs_give_the_numbers_of_the_whole_tensors(tmp_path):
    for side, count, seed in (("originals", 5, 0), ("made", 4, 50)):
        (tmp_path / side).mkdir()
        for number in range(count):
            noise(16, 16, seed=seed + number).save(tmp_path / side / f"{4 - number}.png")
    found = evaluate_pairs(tmp_path / "originals", tmp_path / "made", batch_size=3, folder=tmp_path / "out")
    assert (found.choices["count"], found.choices["matched"]) == (4, "by name")
    assert found.choices["subject"] == "reconstructions of folder made"
    page = (tmp_path / "out" / "evaluation.html").read_text()
    assert "4.png" in page
    assert "0.png" not in page
    assert math.isfinite(found.measures["reconstruction"]["psnr"])
    first, second = pictures(5), pictures(5, seed=1)
    shown = []
    measurement = Measurement(distances={"one-sided": lambda made, real: shown.append((made, real)) or torch.zeros(())})
    evaluate_pairs(first, second, measurement)
    (made, real), *_ = shown
    assert torch.equal(((real + 1) * 127.5).round().to(torch.uint8), first)
    assert torch.equal(((made + 1) * 127.5).round().to(torch.uint8), second)


def test_choices_tell_all_that_moves_a_number():
    found = evaluated(TwoBooks(), pictures(4, 1), image_size=12, crop="adm").choices
    assert found["subject"] == "TwoBooks"
    assert found["images: crop"] == "ADM centre crop"
    assert {"count", "images: hash", "network", "network weights", "resampling: seed", "torch", "seconds"} <= set(found)
