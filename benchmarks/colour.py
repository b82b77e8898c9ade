"""Whether the reconstructions of finished runs have the right colours.

    python benchmarks/colour.py runs/emoji64 runs/semtok-emoji64 ...

Reads what `glotok reconstruct` or `semtok reconstruct` wrote, and prints a row a reconstruction: PSNR; mean absolute
error of brightness (Y) and of colour (Cb and Cr), of 255, over the pixels that are not background (white); and, over
the pixels that have a colour (a chroma above 40), the share whose hue is off by more than 30 degrees or whose chroma is
less than 0.4 of what it should be (orange for yellow, grey for green), and the chroma kept on average.
"""

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from vistok.metrics import psnr

BACKGROUND = 235  # the least channel of a pixel that counts as white
COLOURED = 40.0  # chroma, of 127.5 at most in each of Cb and Cr
HUE_DEGREES, FAINT = 30.0, 0.4
TO_YCBCR = torch.tensor([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])


def colour_figures(originals: Tensor, reconstructions: Tensor) -> dict[str, float]:
    """The figures of 8-bit images ``(N, 3, H, W)``."""
    wanted, got = (torch.einsum("kc,nchw->nkhw", TO_YCBCR, x.float()) for x in (originals, reconstructions))
    drawn = originals.amin(1) < BACKGROUND
    error = (wanted - got).abs()
    chroma_wanted, chroma_got = wanted[:, 1:].norm(dim=1), got[:, 1:].norm(dim=1)
    coloured = chroma_wanted > COLOURED
    cosine = (wanted[:, 1:] * got[:, 1:]).sum(1) / (chroma_wanted * chroma_got).clamp_min(1e-6)
    hue_off = cosine < torch.tensor(HUE_DEGREES).deg2rad().cos()
    wrong = (hue_off | (chroma_got < FAINT * chroma_wanted))[coloured]
    return {
        "psnr": float(psnr(reconstructions, originals).mean()),
        "brightness": float(error[:, 0][drawn].mean()),
        "colour": float(error[:, 1:].mean(1)[drawn].mean()),
        "wrong": float(wrong.float().mean()),
        "chroma": float(chroma_got[coloured].mean() / chroma_wanted[coloured].mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    print(
        "| run | PSNR, dB | brightness error | colour error | wrong colours | chroma kept |\n|---|---|---|---|---|---|"
    )
    for run in parser.parse_args().runs:
        tensors = load_file(run / "reconstructions.safetensors")
        originals = tensors.pop("originals")
        for kind, images in tensors.items():
            if images.shape == originals.shape:
                f = colour_figures(originals, images)
                print(
                    f"| {run.name}: {kind} | {f['psnr']:.2f} | {f['brightness']:.1f} | {f['colour']:.1f} "
                    f"| {f['wrong']:.1%} | {f['chroma']:.0%} |"
                )


if __name__ == "__main__":
    main()
