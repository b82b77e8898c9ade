"""Every measure of a run: reconstruction, codebooks, uniformity, samples (their meaning: ``docs/metrics.md``)."""

from typing import Any

import torch
from torch import Tensor

from glotok.config import GloTokConfig
from glotok.encode import TokenCache, load_tokens
from glotok.model import GloTok, Tokens
from glotok.paths import RunPaths
from glotok.reconstruct import load_reconstructions
from glotok.retention import decode_parts
from glotok.teacher import load_teacher, teacher_histogram
from vistok.losses import histogram_relation_loss
from vistok.metrics import (
    cosine_moments,
)
from vistok.quantizers import CodebookUsage
from vistok.workbench.evaluation.evaluation_file import write_evaluation
from vistok.workbench.evaluation.measures import Evaluation, image_counts
from vistok.workbench.evaluation.probe import add_probe
from vistok.workbench.evaluation.sampling import sample_files
from vistok.workbench.evaluation.uniformity import add_uniformity
from vistok.workbench.run.devices import best_device
from vistok.workbench.run.processes import own_share
from vistok.workbench.tokens.shards import is_cached


def evaluate_run(config: GloTokConfig, paths: RunPaths, name: str) -> None:
    """Write the measures of evaluation ``name`` and append them to the metrics."""
    settings = config.evaluations[name]
    train, validation = config.data.load()
    tokenizer = GloTok.from_pretrained(paths.tokenizer).eval().to(best_device())
    stored = load_reconstructions(paths)

    evaluation = Evaluation(settings, train, validation, seed=config.seed)
    evaluation.add("images", "counts", lambda: image_counts(train, validation))
    evaluation.add_mean_image()
    evaluation.add_reconstruction("reconstruction", tokenizer)
    teacher = load_teacher(paths, config.losses) if config.losses.alignment == "histogram" else None
    evaluation.add("codebooks", "usage", lambda: codebook_measures(tokenizer, stored, teacher, config))
    with torch.no_grad():
        semantic, _ = tokenizer.codes(Tokens(stored["semantic"].long(), stored["visual"].long()))
    repeats = settings.uniformity_repeats
    add_uniformity(evaluation, semantic, num_points=settings.uniformity_points, repeats=repeats, seed=config.seed)
    if is_cached(paths.tokens):
        add_probes(evaluation, load_tokens(paths), stored)
    parts = decode_parts(tokenizer, validation, settings, seed=config.seed)
    evaluation.add("retention", "PSNR", parts.retention_measures)
    evaluation.add("frequencies", "bands", parts.frequency_measures)
    evaluation.add("spectrum", "bands", parts.spectrum_measures)
    evaluation.add_generation(sample_files(config.generators, paths))
    generation = [section for section in evaluation.measures if section.startswith(("real images", "samples "))]
    own = ("uniformity", "probe", "retention", "frequencies")
    sections = ("mean image", "reconstruction", "codes", *own, *generation)
    write_evaluation(paths, name, evaluation.measures, sections)


def add_probes(evaluation: Evaluation, cache: TokenCache, stored: dict[str, Tensor]) -> None:
    """Linear probes of both codes of every position, and of each codebook's alone."""
    dim = cache.semantic_codes.shape[1]
    for name, part in (("accuracy", slice(None)), ("semantic", slice(dim, None)), ("visual", slice(None, dim))):

        def train(some: Tensor, part: slice = part) -> Tensor:
            return cache.latents(cache.tokens(some))[:, part]

        def validation(some: Tensor, part: slice = part) -> Tensor:
            tokens = Tokens(stored["semantic"][some].long(), stored["visual"][some].long())
            return cache.latents(tokens)[:, part]

        add_probe(evaluation, name, train, validation)


def codebook_measures(
    tokenizer: GloTok, stored: dict[str, Tensor], teacher: Tensor | None, config: GloTokConfig
) -> dict[str, dict[str, Any]]:
    """Usage, perplexity, counts of each codebook over the validation images; the semantic one against its teacher.

    Where there is a teacher, that is: a histogram of relations that the semantic codebook learned.
    """
    measures: dict[str, dict[str, Any]] = {}
    for name, quantizer in (("semantic", tokenizer.quantizer.semantic), ("visual", tokenizer.quantizer.visual)):
        usage = CodebookUsage(quantizer.codebook_size)
        usage(own_share(stored[name]).long())  # it adds up over the processes
        report = usage.report()
        moments = cosine_moments(quantizer.codebook.detach())
        measures[name] = {
            "size": quantizer.codebook_size,
            "usage": report.usage.item(),
            "perplexity": report.perplexity.item(),
            "mean_cosine": moments.mean,
            "rms_cosine": moments.rms,
            "histogram": teacher_histogram(quantizer.codebook.detach(), config.losses).tolist(),
            "counts": report.counts[0].tolist(),
        }
    if teacher is not None:
        codebook = tokenizer.quantizer.semantic.codebook.detach()
        loss = histogram_relation_loss(codebook, teacher, **config.losses.histogram)
        measures["semantic"] |= {"teacher_histogram": teacher.tolist(), "histogram_relation_loss": loss.item()}
    return measures
