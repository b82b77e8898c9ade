"""Tokens of the validation images, and some of these beside their reconstructions."""

import torch
from torch import Tensor

from vistok.metrics import to_uint8
from vistok.workbench.evaluation.sampling import spread
from vistok.workbench.run.devices import best_device
from vistok.workbench.run.paths import RunPaths
from vistok.workbench.run.processes import process_index
from vistok.workbench.run.tensor_files import load_tensors, save_tensors
from vistok.workbench.tokens.encoding import encode_images
from vqgan.config import VQGANConfig
from vqgan.encode import STREAMS, token_coder
from vqgan.model import VQGAN

SHOWN = 24


@torch.no_grad()
def reconstruct_validation(config: VQGANConfig, paths: RunPaths) -> None:
    """Write the tokens of all validation images, and some originals and reconstructions."""
    tokenizer = VQGAN.from_pretrained(paths.tokenizer).eval().to(best_device())
    _, validation = config.data.load()
    streams = encode_images(token_coder(tokenizer), validation)[STREAMS].transpose(0, 1)
    if process_index() > 0:
        return
    shown = validation.batch(spread(len(validation), SHOWN))
    tensors = {
        "streams": streams,
        "labels": validation.labels,
        "originals": to_uint8(shown),
        "reconstructions": to_uint8(tokenizer.reconstruct(shown)),
    }
    save_tensors(paths.reconstructions, {name: tensor.cpu() for name, tensor in tensors.items()})


def load_reconstructions(paths: RunPaths) -> dict[str, Tensor]:
    """What :func:`reconstruct_validation` wrote."""
    return load_tensors(paths.reconstructions)
