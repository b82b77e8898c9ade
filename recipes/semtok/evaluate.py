"""Every measure of a run: reconstruction by stage, noise, bits, probe, samples (their meaning: ``docs/metrics.md``)."""

from typing import Any

import torch
from torch import Tensor

from semtok.config import SemTokConfig
from semtok.encode import TOKENS, load_tokens
from semtok.generator_config import MaskedSampleConfig
from semtok.meaning import SECTIONS as MEANING
from semtok.meaning import add_meaning
from semtok.model import SemTok
from semtok.paths import RunPaths
from semtok.rate import add_codecs
from semtok.reconstruct import StageOne, load_reconstructions, stage_one
from semtok.sample import load_progress
from vistok.metrics import BitBalance, NotMeasurableError, index_bits, psnr
from vistok.workbench.data import Images
from vistok.workbench.evaluation.measures import Evaluation, image_counts, write_evaluation
from vistok.workbench.evaluation.probe import add_probe
from vistok.workbench.evaluation.sampling import load_samples, sample_files, sample_label, spread
from vistok.workbench.run.devices import best_device
from vistok.workbench.tokens.shards import is_cached

PARTS = (0.25, 0.5, 0.75)  # of the tokens
PART_IMAGES = 500


def evaluate_run(config: SemTokConfig, paths: RunPaths, name: str) -> None:
    """Write the measures of evaluation ``name`` and append them to the metrics."""
    settings = config.evaluations[name]
    train, validation = config.data.load()
    tokenizer = SemTok.from_pretrained(paths.refined).eval().to(best_device())
    stored = load_reconstructions(paths)
    samples = {label: load_samples(path) for label, path in sample_files(config.generators, paths).items()}

    evaluation = Evaluation(settings, train, validation, seed=config.seed)
    evaluation.add("images", "counts", lambda: image_counts(train, validation))
    evaluation.add_mean_image()
    for steps in config.reconstruct.stage_one_steps:
        evaluation.add_reconstruction(stage_one(steps), StageOne(tokenizer, steps))
    evaluation.add_reconstruction("refined", tokenizer)
    evaluation.add("noise", "the same tokens", lambda: noise_measures(stored))
    evaluation.add("noise", "other tokens", lambda: other_image_measures(stored))
    evaluation.add(
        "parts of the tokens", "PSNR", lambda: part_measures(tokenizer, stored["tokens"], validation, config)
    )
    evaluation.add("bits", "usage", lambda: bit_measures(stored["tokens"], config.tokenizer.bits))
    if is_cached(paths.tokens):
        cache, bits = load_tokens(paths), config.tokenizer.bits
        add_probe(
            evaluation,
            "accuracy",
            lambda some: to_signs(cache.pick(TOKENS, some), bits),
            lambda some: to_signs(stored["tokens"][some], bits),
        )
    evaluation.add_generation(samples)
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
    before = ("mean image", *reconstructions(config), "codes", "noise", "parts of the tokens", "probe")
    sections = (*before, *generation, *MEANING)
    write_evaluation(paths, name, evaluation.measures, sections)


def reconstructions(config: SemTokConfig) -> list[str]:
    """The names of all reconstructions of a run, the refined one last."""
    return [*(stage_one(steps) for steps in config.reconstruct.stage_one_steps), "refined"]


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


@torch.no_grad()
def part_measures(tokenizer: SemTok, tokens: Tensor, images: Images, config: SemTokConfig) -> dict[str, float]:
    """PSNR of stage II from a quarter, half and three quarters of the tokens: the first ones, or scattered ones.

    Means over at most 500 images. Scattered tokens are drawn for each image; more of them contain the fewer.
    """
    some = spread(len(images), PART_IMAGES)
    draws = torch.Generator().manual_seed(config.seed)
    ranks = {"prefix": torch.arange(tokens.shape[1]).expand(len(some), -1)}
    ranks["scattered"] = torch.rand(len(some), tokens.shape[1], generator=draws).argsort(dim=1).argsort(dim=1)
    measures = {}
    for kind, rank in ranks.items():
        for share in PARTS:
            found = []
            for chunk in torch.arange(len(some)).split(100):
                hidden = rank[chunk] >= round(share * tokens.shape[1])
                noise = torch.Generator().manual_seed(config.seed)
                made = tokenizer.refine(tokens[some[chunk]].long(), hidden=hidden, generator=noise)
                found.append(psnr(made.cpu(), images.batch(some[chunk])))
            measures[f"{kind}_{share:.0%}"] = torch.cat(found).mean().item()
    return measures


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


def to_signs(tokens: Tensor, bits: int) -> Tensor:
    """Tokens ``(M, N)`` as the signs of all their bits ``(M, N L)``, -1 or 1."""
    return (index_bits(tokens, bits) * 2 - 1).float().flatten(1)


def studies(config: SemTokConfig, paths: RunPaths) -> dict[str, tuple[dict[str, Tensor], MaskedSampleConfig]]:
    """The study of each set of masked AR's samples that there is, by the set's label, with the set's settings."""
    found = {}
    for generator, settings in config.generators.items():
        for name, drawing in settings.samples.items():
            if isinstance(drawing, MaskedSampleConfig) and paths.progress(generator, name).exists():
                found[sample_label(generator, name)] = (load_progress(paths, generator, name), drawing)
    return found


def by_steps(label: str, steps: int) -> str:
    """The section of a sample set's study of so many steps."""
    return f"steps of {label}: {steps}"


def _mean_psnr(pairs: list[tuple[Tensor, Tensor]]) -> float:
    return torch.stack([psnr(a.contiguous(), b.contiguous()).mean() for a, b in pairs]).mean().item()
