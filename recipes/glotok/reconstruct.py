"""Reconstruct the validation images, whole and with part of the visual features only (the study of Fig. 4)."""

import torch
from torch import Tensor
from tqdm import tqdm

from glotok.config import GloTokConfig
from glotok.model import GloTok
from glotok.paths import RunPaths
from vistok.metrics import to_uint8
from vistok.workbench.run.devices import best_device
from vistok.workbench.run.tensor_files import load_tensors, save_tensors

RETENTION = (0.25, 0.5, 0.75, 1.0)
RETENTION_IMAGES = 6


@torch.no_grad()
def reconstruct_validation(config: GloTokConfig, paths: RunPaths, *, batch_size: int = 100) -> None:
    """Write originals, reconstructions and tokens of the validation images, and the study."""
    tokenizer = GloTok.from_pretrained(paths.tokenizer).eval().to(best_device())
    _, validation = config.data.load()
    columns: dict[str, list[Tensor]] = {"originals": [], "reconstructions": [], "semantic": [], "visual": []}
    for chunk in tqdm(torch.arange(len(validation)).split(batch_size), desc="reconstruct", unit="batch"):
        images = validation.batch(chunk)
        tokens = tokenizer.encode(images)
        columns["originals"].append(to_uint8(images))
        columns["reconstructions"].append(to_uint8(tokenizer.decode(tokens)))
        columns["semantic"].append(tokens.semantic.int())
        columns["visual"].append(tokens.visual.int())
    tensors = {name: torch.cat(parts) for name, parts in columns.items()}
    tensors["labels"] = validation.labels
    shown = torch.linspace(0, len(validation) - 1, min(RETENTION_IMAGES, len(validation))).long()
    tensors["retention"] = to_uint8(retention_study(tokenizer, validation.batch(shown), config.seed))
    save_tensors(paths.reconstructions, tensors)


@torch.no_grad()
def retention_study(tokenizer: GloTok, images: Tensor, seed: int) -> Tensor:
    """Decode with a part of the visual features, the rest set to 0, with and without the semantic ones.

    Which positions stay is drawn once, and a larger part contains the smaller ones.

    Returns:
        ``(n, 2, len(RETENTION), 3, H, W)``: images, without / with semantic features, parts kept.
    """
    semantic, visual = tokenizer.recovered(*tokenizer.codes(tokenizer.encode(images)))
    height, width = visual.shape[-2:]
    rank = torch.randperm(height * width, generator=torch.Generator().manual_seed(seed)).view(height, width)
    rows = []
    for with_semantic in (0.0, 1.0):
        kept = [(rank < round(part * height * width)).to(visual) for part in RETENTION]
        rows.append(
            torch.stack([tokenizer.decode_recovered(with_semantic * semantic, visual * mask) for mask in kept], dim=1)
        )
    return torch.stack(rows, dim=1)


def load_reconstructions(paths: RunPaths) -> dict[str, Tensor]:
    """What :func:`reconstruct_validation` wrote."""
    return load_tensors(paths.reconstructions)
