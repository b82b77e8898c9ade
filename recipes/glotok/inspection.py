"""What the page and the app that look into the codes show of a run: both books, parts of them, a generation."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from glotok.config import AnySampleConfig, GloTokConfig
from glotok.encode import CODES
from glotok.generator import draw, from_streams
from glotok.model import GloTok, Tokens
from glotok.paths import RunPaths
from glotok.pipeline import load_pipeline, open_pipeline
from glotok.reconstruct import decode_retained, load_reconstructions
from glotok.teacher import load_teacher, teacher_histogram
from vistok.metrics import to_uint8
from vistok.workbench.evaluation.sampling import spread
from vistok.workbench.generator_settings import MaskedSampleConfig, XARSampleConfig
from vistok.workbench.inspection.contents import Inspection, Strip, choose_shown, whole_book
from vistok.workbench.inspection.editor import EditedBook, TokenEditor
from vistok.workbench.inspection.strips import SAMPLES, STATES, generation_strip, raster_masks
from vistok.workbench.pipelines.pipeline import Pipeline
from vistok.workbench.recipe_config import Choice
from vistok.workbench.run.devices import best_device
from vistok.workbench.tokens.latent_scale import LatentScale
from vistok.workbench.training.precision import mixed_precision

PARTS = tuple(part / 8 for part in range(9))  # of the visual tokens


@torch.no_grad()
def gather(config: GloTokConfig, paths: RunPaths, choice: Choice) -> Inspection:
    """All that the page is made of."""
    tokenizer = GloTok.from_pretrained(paths.tokenizer).eval().to(best_device())
    _, validation = config.data.load()
    stored, histogram = load_reconstructions(paths), config.losses.alignment == "histogram"
    shown = choose_shown(validation, 2 * len(PARTS))
    books = book_codes(tokenizer)
    histograms = {"teacher": load_teacher(paths, config.losses)} if histogram else {}
    histograms |= {f"{name} codebook": teacher_histogram(codes, config.losses).cpu() for name, codes in books.items()}
    tokens = Tokens(stored["semantic"][shown].long(), stored["visual"][shown].long())
    strips, missing = [retention_strip(tokenizer, tokens, config.seed)], []
    if paths.generator(choice.generator).exists():
        strips.append(generation(config, paths, choice))
    else:
        missing.append(f"Generation step by step: {choice.generator} is not trained.")
    return Inspection(
        f"GloTok: {config.name}, token by token",
        (f"{validation.name} at {config.data.image_size} px; seed {config.seed}.", validation.attribution),
        validation,
        shown,
        [whole_book(name, stored[name], codes) for name, codes in books.items()],
        lambda tokens: tokenizer.decode(Tokens(*tokens)),
        strips,
        histograms,
        missing,
    )


def book_codes(tokenizer: GloTok) -> dict[str, Tensor]:
    """The codes ``(K, d)`` of each book, as the decoder sees them, on the CPU."""
    books = zip(Tokens._fields, (tokenizer.quantizer.semantic, tokenizer.quantizer.visual), strict=True)
    return {
        name: book.indices_to_codes(torch.arange(book.codebook_size, device=tokenizer.device)[None])[0].T.detach().cpu()
        for name, book in books
    }


def retention_strip(tokenizer: GloTok, tokens: Tokens, seed: int) -> Strip:
    """Images from a part of their visual tokens, without and with the semantic ones."""
    note = (
        "Features of the visual tokens that are not kept are set to 0. Which are kept is drawn once, as in the report."
    )
    images = to_uint8(decode_retained(tokenizer, tokens, PARTS, seed)).cpu()
    rows, values = (
        ("visual tokens alone", "with all semantic tokens"),
        [f"{part:.0%} of the visual tokens" for part in PARTS],
    )
    return Strip("Keep a part of the visual tokens", note, rows, values, images)


@torch.no_grad()
def generation(config: GloTokConfig, paths: RunPaths, choice: Choice) -> Strip:
    """Samples of the first classes, from the codes that are known so far; features of all others are 0."""
    pipeline = open_pipeline(config, paths, choice.generator, choice.samples)
    scale = LatentScale.load(paths.tokens / CODES)
    classes = pipeline.class_names[:SAMPLES]
    draws = torch.Generator().manual_seed(config.seed)
    states = generation_states(pipeline, scale, torch.arange(len(classes)), draws)
    some = [states[index] for index in spread(len(states), STATES).tolist()]
    images = [decode_known(pipeline.tokenizer, codes, known) for codes, known in some]
    return generation_strip(choice.generator, classes, images, [known.float().mean().item() for _, known in some])


@torch.no_grad()
def generation_states(
    pipeline: Pipeline, scale: LatentScale, labels: Tensor, draws: torch.Generator
) -> list[tuple[Tensor, Tensor]]:
    """Codes ``(B, 2 d, h, w)`` and which of them are known ``(B, 2, h, w)``, both [visual, semantic], step by step.

    xAR and FAR never change what they have generated: their states follow from the last one.
    """
    tokenizer, grid = pipeline.tokenizer, pipeline.tokenizer.settings.grid_size
    settings: AnySampleConfig = pipeline.settings  # type: ignore[assignment]  # the pipeline knows no recipe's kinds
    seen: list[tuple[Tensor, Tensor]] = []
    with mixed_precision(tokenizer.device, settings.mixed_precision):
        on_device = labels.to(tokenizer.device)
        drawn = draw(pipeline.generator, on_device, settings, draws, observe=lambda *state: seen.append(state))
    if isinstance(settings, MaskedSampleConfig):
        start = (seen[0][0], torch.ones_like(seen[0][1]))
        return [
            (tokenizer.latents(from_streams(tokens, grid)), ~hidden.mT.unflatten(2, (grid, grid)))
            for tokens, hidden in (start, *seen)
        ]
    if isinstance(settings, XARSampleConfig):
        latents = scale.unscale(drawn.cpu()).to(tokenizer.device)
        halves = [F.normalize(half, dim=1) for half in latents.chunk(2, dim=1)]
        codes = tokenizer.latents(tokenizer.snap(latents)) if settings.snap else torch.cat(halves, dim=1)
        masks = raster_masks(grid, pipeline.generator.cell_size[1])
    else:
        codes, masks = tokenizer.latents(from_streams(drawn, grid)), raster_masks(grid)
    return [(codes, mask.expand(len(labels), 2, -1, -1)) for mask in masks]


@torch.no_grad()
def decode_known(tokenizer: GloTok, codes: Tensor, known: Tensor) -> Tensor:
    """Codes ``(B, 2 d, h, w)`` to images; what is not known ``(B, 2, h, w)`` is 0 before recovery and after."""
    visual, semantic = codes.chunk(2, dim=1)
    keep_visual, keep_semantic = known.to(codes).chunk(2, dim=1)
    features = tokenizer.recovered(semantic * keep_semantic, visual * keep_visual)
    return tokenizer.decode_recovered(features[0] * keep_semantic, features[1] * keep_visual).float().clamp(-1, 1)


def open_editor(tokenizer: GloTok, title: str, examples: Tensor) -> TokenEditor:
    """A tokenizer as the app takes it; ``examples (n, C, H, W)`` uint8 are images to begin with."""
    books = [EditedBook(name, len(codes), codes) for name, codes in book_codes(tokenizer).items()]
    return TokenEditor(title, tokenizer.encode, lambda tokens: tokenizer.decode(Tokens(*tokens)), books, examples)


def run_editor(config: GloTokConfig, paths: RunPaths) -> TokenEditor:
    """The same of a run, with its held-out images."""
    tokenizer = GloTok.from_pretrained(paths.tokenizer).eval().to(best_device())
    _, validation = config.data.load()
    return open_editor(tokenizer, f"GloTok: {config.name}", validation.pixels(spread(len(validation), 200)))


def load_editor(source: str | Path) -> TokenEditor:
    """The same of an exported pipeline, here or on the hub, with images that it draws of the first classes."""
    pipeline = load_pipeline(source)
    return open_editor(pipeline.tokenizer, f"GloTok: {source}", pipeline.tensors(range(len(pipeline.class_names))[:20]))
