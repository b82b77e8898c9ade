"""Training steps of other projects from a checkout of theirs, with our sizes. None of their code is kept here."""

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from steps import sizes
from steps.sizes import Shape, TrainingStep

#: Where each project lies, and the file that a checkout of it must have.
ADDRESSES = {
    "llamagen": ("https://github.com/FoundationVision/LlamaGen", "tokenizer/tokenizer_image/vq_model.py"),
    "flowmo": ("https://github.com/kylesargent/FlowMo", "flowmo/models.py"),
}


def missing(name: str, checkout: Path | None) -> str | None:
    """Why a project's rows cannot be measured, if they cannot."""
    address, file = ADDRESSES[name]
    if checkout is None:
        return f"no checkout given: git clone {address}, then --{name} PATH"
    return None if (checkout / file).is_file() else f"--{name} {checkout}: no {file} in it"


def llamagen(shape: Shape, precision: str, checkout: Path, *, entropy: bool) -> TrainingStep:
    """LlamaGen's tokenizer step, with the terms of `ours.vqgan`: squared error and quantization.

    Without ``entropy`` a term that its configuration weighs with 0, and that it computes all the same, is left out.
    """
    theirs = _module("llamagen_vq_model", checkout / ADDRESSES["llamagen"][1])
    if not entropy:
        theirs.compute_entropy_loss = lambda affinity: 0.0
    model = theirs.VQModel(theirs.ModelArgs(sizes.CODES, sizes.CODE_DIM, z_channels=sizes.LATENTS))
    multipliers = list(sizes.MULTIPLIERS[shape.size])
    widths: dict[str, Any] = {"ch": sizes.BASE, "ch_mult": multipliers, "num_res_blocks": sizes.BLOCKS}
    model.encoder = theirs.Encoder(**widths, z_channels=sizes.LATENTS)
    model.decoder = theirs.Decoder(**widths, z_channels=sizes.LATENTS)
    # On a GPU the move there makes of this parameter, which it writes in place, a plain tensor; on a CPU nothing does.
    model.quantize.codebook_used = model.quantize.codebook_used.detach()
    images = shape.images()

    def loss() -> Tensor:
        reconstruction, (codebook, commitment, weighted_entropy, _) = model(images)
        return F.mse_loss(images, reconstruction) + codebook + commitment + weighted_entropy

    optimizer = torch.optim.Adam(model.parameters(), lr=sizes.RATE, betas=sizes.BETAS)
    return TrainingStep((model,), _update(model, optimizer, loss, precision))


def flowmo(shape: Shape, precision: str, checkout: Path) -> TrainingStep:
    """FlowMo's step of its first stage, without its perceptual term; not compiled, as all rows."""
    os.environ["TORCHDYNAMO_DISABLE"] = "1"
    if "mup" not in sys.modules and importlib.util.find_spec("mup") is None:
        sys.modules["mup"] = _stand_in_for_mup()
    sys.path.insert(0, str(checkout))
    from flowmo import models as theirs  # type: ignore[import-not-found]

    settings = SimpleNamespace(
        code_length=sizes.NUM_TOKENS[shape.size],
        context_dim=sizes.BITS,
        enc_depth=sizes.ENCODER_DEPTH,
        dec_depth=sizes.DECODER_DEPTH,
        patch_size=sizes.PATCH[shape.size],
        quantization_type="lfq",
        codebook_size_for_entropy=sizes.GROUP_BITS,
        entropy_loss_weight=0.0025,
        commit_loss_weight=0.000625,
        enc_mup_width=None,
        enable_cfg=True,
        posttrain_sample=False,
    )
    config = SimpleNamespace(
        model=settings,
        data=SimpleNamespace(image_size=shape.size),
        opt=SimpleNamespace(schedule="fat_lognormal", lpips_weight=0.0),
    )
    model = theirs.FlowMo(2, config)  # 192 channels each
    batch = {"image": shape.images()}

    def loss() -> Tensor:
        total: Tensor = theirs.rf_loss(config, model, batch, {})[0]
        return total

    optimizer = torch.optim.Adam(model.parameters(), lr=sizes.RATE, betas=sizes.BETAS, fused=True)
    return TrainingStep((model,), _update(model, optimizer, loss, precision))


def _update(
    model: nn.Module, optimizer: torch.optim.Optimizer, loss: Callable[[], Tensor], precision: str
) -> Callable[[int], None]:
    """The loop of LlamaGen's and FlowMo's trainings: autocast around network and loss, clipping, step."""

    def step(index: int) -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            total = loss()
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), sizes.CLIP)
        optimizer.step()

    return step


def _module(name: str, file: Path) -> Any:
    """A module of a file, without its folder on the path."""
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ValueError(f"{file}: expected a Python file")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _stand_in_for_mup() -> ModuleType:
    """What FlowMo takes of the package mup, where that is not installed: an output layer, here a plain linear one."""

    class MuReadout(nn.Linear):
        def __init__(self, *arguments: Any, readout_zero_init: bool = False, **options: Any) -> None:
            super().__init__(*arguments, **options)

    module = ModuleType("mup")
    module.MuReadout = MuReadout  # type: ignore[attr-defined]
    return module
