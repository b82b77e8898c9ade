"""Every measure of a run: reconstruction by stage, noise, bits, probe, samples (their meaning: ``docs/metrics.md``)."""

from typing import Any

import torch
from torch import Tensor

from semtok.config import SemTokConfig
from semtok.encode import TOKENS, load_tokens
from semtok.generator import with_steps_taken
from semtok.generator_config import MaskedSampleConfig
from semtok.length_curve import length_measures
from semtok.meaning import SECTIONS as MEANING
from semtok.meaning import add_meaning
from semtok.model import LatentSpace, SemTok
from semtok.noise import add_noise
from semtok.paths import RunPaths
from semtok.rate import add_codecs
from semtok.reconstruct import StageOneDecoder, load_reconstructions, stage_one
from semtok.sample import load_progress
from semtok.trained import trained_tokenizer
from vistok.metrics import BitBalance, NotMeasurableError, index_bits, psnr
from vistok.quantizers import CodebookUsage
from vistok.workbench.evaluation.evaluation_file import write_evaluation
from vistok.workbench.evaluation.measures import Evaluation, image_counts
from vistok.workbench.evaluation.probe import add_probe
from vistok.workbench.evaluation.sampling import sample_files, sample_label
from vistok.workbench.run.processes import own_share
from vistok.workbench.tokens.shards import is_cached


def evaluate_run(config: SemTokConfig, paths: RunPaths, name: str, space: LatentSpace | None = None) -> None:
    """Write the measures of evaluation ``name`` and append them to the metrics."""
    settings = config.evaluations[name]
    train, validation = config.data.load()
    tokenizer = trained_tokenizer(config, paths, space)
    stored = load_reconstructions(paths)

    evaluation = Evaluation(settings, train, validation, seed=config.seed)
    evaluation.add("images", "counts", lambda: image_counts(train, validation))
    evaluation.add_mean_image()
    for steps in config.reconstruct.stage_one_steps:
        evaluation.add_reconstruction(stage_one(steps), StageOneDecoder(tokenizer, steps))
    if tokenizer.refiner is not None:
        evaluation.add_reconstruction("refined", tokenizer)
    add_noise(evaluation, tokenizer, stored["tokens"], validation, config)
    evaluation.add("noise", "the same tokens", lambda: noise_measures(stored))
    evaluation.add("noise", "other tokens", lambda: other_image_measures(stored))
    for section, values in length_measures(tokenizer, stored["tokens"], validation, config).items():
        evaluation.measures[section] = values
    sizes = config.tokenizer
    if sizes.quantizer.binary:
        evaluation.add("bits", "usage", lambda: bit_measures(stored["tokens"], sizes.bits))
    else:
        evaluation.add("codebook", "usage", lambda: code_measures(stored["tokens"], sizes.codebook_size))
    if is_cached(paths.tokens):
        cache = load_tokens(paths)
        add_probe(
            evaluation,
            "accuracy",
            lambda some: as_features(tokenizer, cache.pick(TOKENS, some)),
            lambda some: as_features(tokenizer, stored["tokens"][some]),
        )
    evaluation.add_generation(sample_files(config.generators, paths))
    for label, (study, drawing) in studies(config, paths).items():
        for steps, images in zip(drawing.progress_steps, study["by_steps"], strict=True):
            evaluation.add_likeness(by_steps(label, steps), images, study["labels"])
    if settings.meaning:
        add_meaning(evaluation, tokenizer, stored, config, paths.swaps(name))
    if settings.codecs:
        add_codecs(evaluation, tokenizer, stored["tokens"], config)
    generation = [
        section for section in evaluation.measures if section.startswith(("real images", "samples ", "steps of "))
    ]
    before = ("mean image", *reconstructions(config, stored), "codes", "noise", "parts of the tokens", "probe")
    sections = (*before, *generation, *MEANING)
    write_evaluation(paths, name, evaluation.measures, sections)


def reconstructions(config: SemTokConfig, stored: dict[str, Tensor]) -> list[str]:
    """The names of all reconstructions of a run, the refined one, if there is stage II, last."""
    names = [*(stage_one(steps) for steps in config.reconstruct.stage_one_steps), "refined"]
    return names if "refined" in stored else names[:-1]


def noise_measures(stored: dict[str, Tensor]) -> dict[str, float]:
    """How much stage I's samples of the same tokens differ between noises, beside how far they are from the originals.

    ``deviation`` is that of a pixel over the noises (8-bit units, root of the mean variance); ``psnr_between`` compares
    samples of two noises.
    """
    seeds = stored["seeds"]
    originals = stored["noise originals"]
    pairs = [(i, j) for i in range(seeds.shape[1]) for j in range(i)]
    return {
        "deviation": seeds.double().var(dim=1).mean().sqrt().item(),
        "psnr_between": _mean_psnr([(seeds[:, i], seeds[:, j]) for i, j in pairs]),
        "psnr_to_original": _mean_psnr([(seeds[:, i], originals) for i in range(seeds.shape[1])]),
    }


def other_image_measures(stored: dict[str, Tensor]) -> dict[str, float]:
    """PSNR between samples of two images' tokens from the same noise."""
    seeds = stored["seeds"]
    if len(seeds) < 2:
        raise NotMeasurableError(f"another image's sample needs at least 2 validation images, got {len(seeds)}")
    others = seeds.roll(1, dims=0)
    return {"psnr_other_image": _mean_psnr([(seeds[:, i], others[:, i]) for i in range(seeds.shape[1])])}


def bit_measures(tokens: Tensor, bits: int) -> dict[str, Any]:
    """The share of ones of each bit of each position over the validation images.

    A bit is alive when it takes both values. ``entropy`` is the mean over all bits, in bits: 1 says that each is a fair
    coin.
    """
    balance = BitBalance((*tokens.shape[1:], bits))
    balance.update(index_bits(tokens, bits))
    measures = balance.compute()
    return {
        "count": measures.share_of_ones.numel(),
        "alive": measures.alive,
        "entropy": measures.entropy,
        "share_of_ones": measures.share_of_ones.flatten().tolist(),
    }


def code_measures(tokens: Tensor, size: int) -> dict[str, float]:
    """Share of the codes that occur on the validation images, and the perplexity of all tokens."""
    usage = CodebookUsage(size)
    usage(own_share(tokens.long()))  # it adds up over the processes
    report = usage.report()
    return {"size": size, "usage": report.usage.item(), "perplexity": report.perplexity.item()}


@torch.no_grad()
def as_features(tokenizer: SemTok, tokens: Tensor) -> Tensor:
    """What a probe reads of tokens ``(M, N)``: the signs of their bits, or their codes, ``(M, N L)``."""
    if tokenizer.settings.quantizer.binary:
        return to_signs(tokens, tokenizer.settings.bits)
    return tokenizer.codes(tokens.long()).flatten(1).cpu()


def to_signs(tokens: Tensor, bits: int) -> Tensor:
    """Tokens ``(M, N)`` as the signs of all their bits ``(M, N L)``, -1 or 1."""
    return (index_bits(tokens, bits) * 2 - 1).float().flatten(1)


def studies(config: SemTokConfig, paths: RunPaths) -> dict[str, tuple[dict[str, Tensor], MaskedSampleConfig]]:
    """The study of each set of masked AR's samples that there is, by the set's label, with the steps that it takes."""
    found = {}
    for generator, settings in config.generators.items():
        for name, drawing in settings.samples.items():
            if isinstance(drawing, MaskedSampleConfig) and paths.progress(generator, name).exists():
                taken = with_steps_taken(config, generator, drawing)
                found[sample_label(generator, name)] = (load_progress(paths, generator, name), taken)
    return found


def by_steps(label: str, steps: int) -> str:
    """The section of a sample set's study of so many steps."""
    return f"steps of {label}: {steps}"


def _mean_psnr(pairs: list[tuple[Tensor, Tensor]]) -> float:
    return torch.stack([psnr(a.contiguous(), b.contiguous()).mean() for a, b in pairs]).mean().item()
