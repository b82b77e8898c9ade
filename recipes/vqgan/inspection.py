"""What the page and the app that look into the codes show of a run: each stream's codes, a generation."""

from pathlib import Path

import torch
from torch import Tensor

from vistok.generators import BitTokens
from vistok.workbench.evaluation.sampling import spread
from vistok.workbench.generator_settings import MaskedSampleConfig, XARSampleConfig
from vistok.workbench.inspection.contents import Inspection, Strip, choose_shown, whole_book
from vistok.workbench.inspection.editor import EditedBook, TokenEditor
from vistok.workbench.inspection.strips import SAMPLES, STATES, generation_strip, raster_masks
from vistok.workbench.pipelines.pipeline import Pipeline
from vistok.workbench.recipe_config import Choice
from vistok.workbench.run.devices import best_device
from vistok.workbench.run.paths import RunPaths
from vistok.workbench.tokens.latent_scale import LatentScale
from vistok.workbench.training.precision import mixed_precision
from vqgan.config import AnySampleConfig, VQGANConfig
from vqgan.encode import CODES
from vqgan.generator import draw
from vqgan.model import VQGAN
from vqgan.pipeline import load_pipeline, open_pipeline
from vqgan.quantizer import BitsConfig, into_code_space, learned_codebooks
from vqgan.reconstruct import load_reconstructions


@torch.no_grad()
def gather(config: VQGANConfig, paths: RunPaths, choice: Choice) -> Inspection:
    """All that the page is made of."""
    tokenizer = VQGAN.from_pretrained(paths.tokenizer).eval().to(best_device())
    _, validation = config.data.load()
    streams = load_reconstructions(paths)["streams"].long()
    strips, missing = [], []
    if paths.generator(choice.generator).exists():
        strips.append(generation(config, paths, choice))
    else:
        missing.append(f"Generation step by step: {choice.generator} is not trained.")
    bits = _bits(tokenizer)
    return Inspection(
        f"VQGAN: {config.name}, token by token",
        (f"{validation.name} at {config.data.image_size} px; seed {config.seed}.", validation.attribution),
        validation,
        choose_shown(validation, 0),
        [
            whole_book(name, stream, codes, bits)
            for (name, codes), stream in zip(stream_codes(tokenizer).items(), streams, strict=True)
        ],
        lambda tokens: tokenizer.decode(tuple(tokens)),
        strips,
        missing=missing,
    )


def stream_codes(tokenizer: VQGAN) -> dict[str, Tensor]:
    """The codes ``(K, d)`` of each stream by its name, on the CPU: learned, or what its tokens decode to."""
    sizes = tokenizer.codebook_sizes
    books = [codes.detach().cpu() for codes in learned_codebooks(tokenizer.quantizer)]
    if not books:
        part = tokenizer.settings.quantizer.code_dim // len(sizes)
        for stream, size in enumerate(sizes):
            zeros = [torch.zeros(1, size, dtype=torch.int64) for _ in sizes]
            zeros[stream] = torch.arange(size)[None]
            books.append(tokenizer.codes(tuple(zeros))[0, stream * part : (stream + 1) * part].T.detach().cpu())
    names = ["codebook"] if len(sizes) == 1 else [f"stream {number}" for number in range(1, len(sizes) + 1)]
    return dict(zip(names, books, strict=True))


@torch.no_grad()
def generation(config: VQGANConfig, paths: RunPaths, choice: Choice) -> Strip:
    """Samples of the first classes, from the positions that are known so far; the codes of all others are 0."""
    pipeline = open_pipeline(config, paths, choice.generator, choice.samples)
    classes = pipeline.class_names[:SAMPLES]
    draws = torch.Generator().manual_seed(config.seed)
    states = generation_states(pipeline, LatentScale.load(paths.tokens / CODES), torch.arange(len(classes)), draws)
    some = [states[index] for index in spread(len(states), STATES).tolist()]
    images = [
        pipeline.tokenizer.decode_codes(codes * known.to(codes)[:, None]).float().clamp(-1, 1) for codes, known in some
    ]
    return generation_strip(choice.generator, classes, images, [known.float().mean().item() for _, known in some])


@torch.no_grad()
def generation_states(
    pipeline: Pipeline, scale: LatentScale, labels: Tensor, draws: torch.Generator
) -> list[tuple[Tensor, Tensor]]:
    """Codes ``(B, d, h, w)`` and at which positions all of them are known ``(B, h, w)``, step by step.

    xAR and FAR never change what they have generated: their states follow from the last one.
    """
    tokenizer, model = pipeline.tokenizer, pipeline.generator
    settings: AnySampleConfig = pipeline.settings  # type: ignore[assignment]  # the pipeline knows no recipe's kinds
    square = (tokenizer.settings.grid_size,) * 2
    seen: list[tuple[Tensor, Tensor]] = []
    with mixed_precision(tokenizer.device, settings.mixed_precision):
        on_device = labels.to(tokenizer.device)
        drawn = draw(model, on_device, settings, draws, observe=lambda *state: seen.append(state))

    def codes(units: Tensor) -> Tensor:
        if isinstance(settings, MaskedSampleConfig) and isinstance(model.tokens, BitTokens):
            tokens = tokenizer.snap(model.tokens.to_bits(units).mT.unflatten(2, square))
        else:
            tokens = units.unflatten(1, square).unbind(-1)
        return tokenizer.codes(tokens)  # type: ignore[no-any-return]

    if isinstance(settings, MaskedSampleConfig):
        start = (seen[0][0], torch.ones_like(seen[0][1]))
        return [(codes(units), ~hidden.any(dim=-1).unflatten(1, square)) for units, hidden in (start, *seen)]
    if isinstance(settings, XARSampleConfig):
        latents = scale.unscale(drawn.cpu()).to(tokenizer.device)
        snapped = tokenizer.codes(tokenizer.snap(latents)) if settings.snap else None
        made = into_code_space(tokenizer.quantizer, latents) if snapped is None else snapped
        masks = raster_masks(square[0], model.cell_size[1])
    else:
        made, masks = codes(drawn), raster_masks(square[0])
    return [(made, mask.expand(len(labels), -1, -1)) for mask in masks]


def open_editor(tokenizer: VQGAN, title: str, examples: Tensor) -> TokenEditor:
    """A tokenizer as the app takes it; ``examples (n, C, H, W)`` uint8 are images to begin with."""
    books = [EditedBook(name, len(codes), codes) for name, codes in stream_codes(tokenizer).items()]
    return TokenEditor(title, tokenizer.encode, lambda tokens: tokenizer.decode(tuple(tokens)), books, examples)


def run_editor(config: VQGANConfig, paths: RunPaths) -> TokenEditor:
    """The same of a run, with its held-out images."""
    tokenizer = VQGAN.from_pretrained(paths.tokenizer).eval().to(best_device())
    _, validation = config.data.load()
    return open_editor(tokenizer, f"VQGAN: {config.name}", validation.pixels(spread(len(validation), 200)))


def load_editor(source: str | Path) -> TokenEditor:
    """The same of an exported pipeline, here or on the hub, with images that it draws of the first classes."""
    pipeline = load_pipeline(source)
    return open_editor(pipeline.tokenizer, f"VQGAN: {source}", pipeline.tensors(range(len(pipeline.class_names))[:20]))


def _bits(tokenizer: VQGAN) -> int:
    """Of a token's number, where its code is its bits; else 0."""
    binary = isinstance(tokenizer.settings.quantizer, BitsConfig)
    return tokenizer.codebook_sizes[0].bit_length() - 1 if binary else 0
