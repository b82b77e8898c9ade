"""What the page and the app that look into the codes show of a run: the sequence, its beginning, a generation."""

from pathlib import Path

import torch
from torch import Tensor

from semtok.config import SemTokConfig
from semtok.generator import generate, token_groups
from semtok.generator_config import AnySampleConfig, MaskedSampleConfig
from semtok.model import LatentSpace, SemTok
from semtok.paths import RunPaths
from semtok.pipeline import load_pipeline, open_pipeline
from semtok.reconstruct import last_stage, load_reconstructions
from semtok.trained import trained_tokenizer
from vistok.metrics import to_uint8
from vistok.workbench.evaluation.sampling import spread
from vistok.workbench.inspection.contents import Book, Inspection, Strip, choose_shown, occurring_book, whole_book
from vistok.workbench.inspection.editor import EditedBook, TokenEditor
from vistok.workbench.inspection.strips import SAMPLES, STATES, generation_strip
from vistok.workbench.recipe_config import Choice

LENGTHS = 9  # of the beginning of a sequence, from nothing to all


@torch.no_grad()
def gather(config: SemTokConfig, paths: RunPaths, choice: Choice, space: LatentSpace | None = None) -> Inspection:
    """All that the page is made of."""
    tokenizer = trained_tokenizer(config, paths, space)
    _, validation = config.data.load()
    stored = load_reconstructions(paths)
    tokens = stored["tokens"].long()
    shown = choose_shown(validation, 2 * LENGTHS)
    strips, missing = [length_strip(tokenizer, tokens[shown], config.seed)], []
    if paths.generator(choice.generator).exists():
        strips.append(generation(config, paths, choice, space))
    else:
        missing.append(f"Generation step by step: {choice.generator} is not trained.")
    sizes = config.tokenizer
    tokens_line = f"{sizes.num_tokens} tokens of {sizes.token_words}; seed {config.seed}."
    return Inspection(
        f"SemTok: {config.name}, token by token",
        (
            f"{validation.name} at {config.data.image_size} px; {tokens_line}",
            f"Every image is decoded by {last_stage(stored)} from the same noise.",
            validation.attribution,
        ),
        validation,
        shown,
        [token_book(tokenizer, tokens)],
        lambda tokens: decode_alike(tokenizer, tokens[0], config.seed),
        strips,
        missing=missing,
    )


def token_book(tokenizer: SemTok, tokens: Tensor) -> Book:
    """The codes of tokens: the patterns of bits that occur, or all codes."""
    if tokenizer.settings.quantizer.binary:
        return occurring_book("binary", tokens, tokenizer.settings.bits)
    return whole_book("codes", tokens, every_code(tokenizer))


@torch.no_grad()
def every_code(tokenizer: SemTok) -> Tensor:
    """All codes ``(K, L)`` of a quantizer whose tokens are not bits, on the CPU."""
    numbers = torch.arange(tokenizer.settings.codebook_size, device=tokenizer.device)
    codes: Tensor = tokenizer.quantizer.indices_to_codes(numbers)
    return codes.detach().cpu()


@torch.no_grad()
def decode_alike(
    tokenizer: SemTok, tokens: Tensor, seed: int, *, hidden: Tensor | None = None, refined: bool = True
) -> Tensor:
    """Images of tokens, all from the same noise: they differ by their tokens alone. By stage II (if there is one,
    and it is asked for), or by stage I.
    """
    sizes, draws = tokenizer.settings, torch.Generator().manual_seed(seed)
    noise = torch.randn(1, sizes.channels, sizes.working_size, sizes.working_size, generator=draws)
    start = noise.expand(len(tokens), -1, -1, -1).to(tokenizer.device)
    if refined and tokenizer.refiner is not None:
        return tokenizer.refine_from(tokens, start, hidden=hidden)
    return tokenizer.from_space(tokenizer.solve(tokenizer.codes(tokens), start, hidden=hidden)).clamp(-1, 1)


def length_strip(tokenizer: SemTok, tokens: Tensor, seed: int) -> Strip:
    """Images from the first tokens of their sequence, the others hidden, by each stage that there is."""
    length = tokens.shape[1]
    firsts = spread(length + 1, LENGTHS)
    hidden = (torch.arange(length) >= firsts[:, None])[:, None].expand(-1, len(tokens), -1)
    rows = [
        torch.stack(
            [to_uint8(decode_alike(tokenizer, tokens, seed, hidden=each, refined=refined)) for each in hidden], 1
        )
        for refined in ((False,) if tokenizer.refiner is None else (False, True))
    ]
    values = [f"the first {first} of {length} tokens" for first in firsts.tolist()]
    note = "Decoded from the first tokens alone, the others hidden from the decoder."
    return Strip(
        "Keep the beginning of the sequence",
        note,
        ("stage I", "stage II")[: len(rows)],
        values,
        torch.stack(rows, 1).cpu(),
    )


@torch.no_grad()
def generation(config: SemTokConfig, paths: RunPaths, choice: Choice, space: LatentSpace | None = None) -> Strip:
    """Samples of the first classes by the last stage, from the tokens that are known so far.

    FAR never changes what it has generated: its states follow from the last one.
    """
    pipeline = open_pipeline(config, paths, choice.generator, choice.samples, space)
    tokenizer, groups = pipeline.tokenizer, token_groups(config, choice.generator)
    settings: AnySampleConfig = pipeline.settings  # type: ignore[assignment]  # the pipeline knows no recipe's kinds
    classes = pipeline.class_names[:SAMPLES]
    labels = torch.arange(len(classes)).to(tokenizer.device)
    seen: list[tuple[Tensor, Tensor]] = []
    tokens = generate(
        *(pipeline.generator, labels, groups, settings, torch.Generator().manual_seed(config.seed)),
        observe=lambda units, mask: seen.append((groups.join(units), mask.any(dim=-1))),
    )
    if isinstance(settings, MaskedSampleConfig):
        states = [(seen[0][0], torch.ones_like(seen[0][1])), *seen]
    else:
        length = tokens.shape[1]
        hidden = torch.arange(length) >= torch.arange(length + 1)[:, None]
        states = [(tokens, each.expand(len(classes), -1)) for each in hidden]
    some = [states[index] for index in spread(len(states), STATES).tolist()]
    images = [decode_alike(tokenizer, known, config.seed, hidden=hidden) for known, hidden in some]
    shares = [1 - hidden.float().mean().item() for _, hidden in some]
    return generation_strip(choice.generator, classes, images, shares)


def open_editor(tokenizer: SemTok, title: str, examples: Tensor) -> TokenEditor:
    """A tokenizer as the app takes it; ``examples (n, C, H, W)`` uint8 are images to begin with."""
    sizes = tokenizer.settings
    book = (
        EditedBook("binary", sizes.codebook_size)
        if sizes.quantizer.binary
        else EditedBook("codes", sizes.codebook_size, every_code(tokenizer))
    )
    return TokenEditor(
        title,
        lambda images: [tokenizer.encode(images)],
        lambda tokens: decode_alike(tokenizer, tokens[0], 0),
        [book],
        examples,
    )


def run_editor(config: SemTokConfig, paths: RunPaths, space: LatentSpace | None = None) -> TokenEditor:
    """The same of a run, with its held-out images."""
    tokenizer = trained_tokenizer(config, paths, space)
    _, validation = config.data.load()
    return open_editor(tokenizer, f"SemTok: {config.name}", validation.pixels(spread(len(validation), 200)))


def load_editor(source: str | Path) -> TokenEditor:
    """The same of an exported pipeline, here or on the hub, with images that it draws of the first classes."""
    pipeline = load_pipeline(source)
    return open_editor(pipeline.tokenizer, f"SemTok: {source}", pipeline.tensors(range(len(pipeline.class_names))[:20]))
