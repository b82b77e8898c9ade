"""Every measure of a run: reconstruction, codebooks, uniformity, samples (their meaning: ``docs/metrics.md``)."""

from typing import Any

import torch
from torch import Tensor

from vistok.metrics import cosine_moments
from vistok.quantizers import CodebookUsage
from vistok.workbench.evaluation.evaluation_file import write_evaluation
from vistok.workbench.evaluation.measures import Evaluation, image_counts
from vistok.workbench.evaluation.probe import add_probe
from vistok.workbench.evaluation.sampling import sample_files
from vistok.workbench.evaluation.uniformity import add_uniformity
from vistok.workbench.run.devices import best_device
from vistok.workbench.run.paths import RunPaths
from vistok.workbench.run.processes import own_share
from vistok.workbench.tokens.shards import is_cached
from vqgan.config import VQGANConfig
from vqgan.encode import load_tokens
from vqgan.model import VQGAN
from vqgan.quantizer import learned_codebooks
from vqgan.reconstruct import load_reconstructions


def evaluate_run(config: VQGANConfig, paths: RunPaths, name: str) -> None:
    """Write the measures of evaluation ``name`` and append them to the metrics."""
    settings = config.evaluations[name]
    train, validation = config.data.load()
    tokenizer = VQGAN.from_pretrained(paths.tokenizer).eval().to(best_device())
    streams = load_reconstructions(paths)["streams"]

    evaluation = Evaluation(settings, train, validation, seed=config.seed)
    evaluation.add("images", "counts", lambda: image_counts(train, validation))
    evaluation.add_mean_image()
    evaluation.add_reconstruction("reconstruction", tokenizer)
    evaluation.add("codebooks", "usage", lambda: codebook_measures(tokenizer, streams))
    with torch.no_grad():
        codes = tokenizer.codes(tuple(streams.long()))
    repeats = settings.uniformity_repeats
    add_uniformity(evaluation, codes, num_points=settings.uniformity_points, repeats=repeats, seed=config.seed)
    if is_cached(paths.tokens):
        cache = load_tokens(config, paths)
        add_probe(evaluation, "accuracy", lambda some: cache.codes(cache.tokens(some)), lambda some: codes[some])
    evaluation.add_generation(sample_files(config.generators, paths))
    generation = [section for section in evaluation.measures if section.startswith(("real images", "samples "))]
    sections = ("mean image", "reconstruction", "codes", "uniformity", "probe", *generation)
    write_evaluation(paths, name, evaluation.measures, sections)


def codebook_measures(tokenizer: VQGAN, streams: Tensor) -> dict[str, dict[str, Any]]:
    """Usage, perplexity and counts of each stream over the validation images; cosines of learned codebooks."""
    measures: dict[str, dict[str, Any]] = {}
    for number, (size, indices) in enumerate(zip(tokenizer.codebook_sizes, streams, strict=True)):
        usage = CodebookUsage(size)
        usage(own_share(indices))  # it adds up over the processes
        report = usage.report()
        measures[f"codebook {number}"] = {
            "size": size,
            "usage": report.usage.item(),
            "perplexity": report.perplexity.item(),
            "counts": report.counts[0].tolist(),
        }
    for number, codebook in enumerate(learned_codebooks(tokenizer.quantizer)):
        moments = cosine_moments(codebook.detach())
        measures[f"codebook {number}"] |= {"mean_cosine": moments.mean, "rms_cosine": moments.rms}
    return measures
