"""Tokens of the validation images; some of these beside their reconstructions, whole and from parts (Fig. 4)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from glotok.config import GloTokConfig
from glotok.encode import token_coder
from glotok.model import GloTok, Tokens
from glotok.paths import RunPaths
from vistok.metrics import to_uint8
from vistok.workbench.evaluation.sampling import spread
from vistok.workbench.run.devices import best_device
from vistok.workbench.run.processes import process_index
from vistok.workbench.run.tensor_files import load_tensors, save_tensors
from vistok.workbench.tokens.encoding import encode_images

SHOWN = 24
RETENTION = (0.25, 0.5, 0.75, 1.0)
RETENTION_IMAGES = 6


@torch.no_grad()
def reconstruct_validation(config: GloTokConfig, paths: RunPaths) -> None:
    """Write the tokens of all validation images, some originals and reconstructions, and the study."""
    tokenizer = GloTok.from_pretrained(paths.tokenizer).eval().to(best_device())
    _, validation = config.data.load()
    tokens = encode_images(token_coder(tokenizer), validation)
    if process_index() > 0:
        return
    shown, studied = (validation.batch(spread(len(validation), count)) for count in (SHOWN, RETENTION_IMAGES))
    tensors = {
        **tokens,
        "labels": validation.labels,
        "originals": to_uint8(shown),
        "reconstructions": to_uint8(tokenizer.reconstruct(shown)),
        "studied": to_uint8(studied),
        "retention": to_uint8(retention_study(tokenizer, studied, config.seed)),
    }
    save_tensors(paths.reconstructions, {name: tensor.cpu() for name, tensor in tensors.items()})


def retention_study(tokenizer: GloTok, images: Tensor, seed: int) -> Tensor:
    """As :func:`decode_retained`, of images, with the parts of :data:`RETENTION`."""
    return decode_retained(tokenizer, tokenizer.encode(images), RETENTION, seed)


@torch.no_grad()
def decode_retained(tokenizer: GloTok, tokens: Tokens, parts: Sequence[float], seed: int) -> Tensor:
    """Decode with a part of the visual features, the rest set to 0, with and without the semantic ones.

    Which positions stay is drawn once, and a larger part contains the smaller ones.

    Returns:
        ``(n, 2, len(parts), 3, H, W)``: images, without / with semantic features, parts kept.
    """
    semantic, visual = tokenizer.recovered(*tokenizer.codes(tokens))
    height, width = visual.shape[-2:]
    rank = torch.randperm(height * width, generator=torch.Generator().manual_seed(seed)).view(height, width)
    rows = []
    for with_semantic in (0.0, 1.0):
        kept = [(rank < round(part * height * width)).to(visual) for part in parts]
        rows.append(
            torch.stack([tokenizer.decode_recovered(with_semantic * semantic, visual * mask) for mask in kept], dim=1)
        )
    return torch.stack(rows, dim=1)


def load_reconstructions(paths: RunPaths) -> dict[str, Tensor]:
    """What :func:`reconstruct_validation` wrote."""
    return load_tensors(paths.reconstructions)
