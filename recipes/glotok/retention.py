"""What images decoded from a part of their features keep of the originals (Fig. 4 of the paper, with numbers)."""

from dataclasses import dataclass

import torch

from glotok.config import EvaluateConfig
from glotok.model import GloTok
from glotok.reconstruct import RETENTION, retention_study
from vistok.metrics import FrequencyBands, PeakSignalNoiseRatio, to_uint8
from vistok.workbench.data import Images
from vistok.workbench.data.image_set import at_a_time
from vistok.workbench.evaluation.sampling import spread

BOOKS = ("visual_only", "with_semantic")  # what else is decoded, where visual features are set to 0
SIDES = ("semantic_only", "visual_only", "both")  # which features are decoded, all of them
_BATCH = 50  # at most: each is decoded from many parts
_BANDS = 8  # of the spectrum, at most: 2 cycles an image are the narrowest that hold every direction


@dataclass(frozen=True)
class FeatureParts:
    """Streams over the images: PSNR by what is decoded and the percentage kept, bands of frequency by what is decoded.

    Attributes:
        psnr: ``visual_only_25`` and so on.
        bands: Low and high frequencies, of each of :data:`SIDES`.
        spectrum: Bands of equal width up to Nyquist's frequency, and one for the corners above, of each of them.
    """

    psnr: dict[str, PeakSignalNoiseRatio]
    bands: dict[str, FrequencyBands]
    spectrum: dict[str, FrequencyBands]

    def retention_measures(self) -> dict[str, float]:
        """How many images there were, and the mean PSNR of each part."""
        count = next(iter(self.psnr.values())).count
        return {"images": float(count), **{name: stream.compute() for name, stream in self.psnr.items()}}

    def frequency_measures(self) -> dict[str, float]:
        """The energy below the cut, and what of each band's energy each side keeps."""
        found = {side: stream.compute() for side, stream in self.bands.items()}
        shares = found["both"].share.tolist()
        measures = {"cut": self.bands["both"].edges[0], "low_share": shares[0], "high_share": shares[1]}
        for side, figures in found.items():
            for name in ("energy", "explained", "correlation"):
                low, high = getattr(figures, name).tolist()
                measures |= {f"{side}_low_{name}": low, f"{side}_high_{name}": high}
        return measures

    def spectrum_measures(self) -> dict[str, list[float]]:
        """The correlation with the originals in each band, and the bands' middles; those of the corners left out."""
        width = self.spectrum["both"].edges[0]
        middles = [edge - width / 2 for edge in self.spectrum["both"].edges]
        return {"radius": middles} | {
            side: stream.compute().correlation[:-1].tolist() for side, stream in self.spectrum.items()
        }


@torch.no_grad()
def decode_parts(tokenizer: GloTok, validation: Images, settings: EvaluateConfig, *, seed: int) -> FeatureParts:
    """Decode validation images, spread over the set, from parts of their features; the others are set to 0."""
    count = min(_BANDS, tokenizer.settings.image_size // 4)
    edges = [(band + 1) / count for band in range(count)]
    parts = FeatureParts(
        {f"{book}_{100 * part:.0f}": PeakSignalNoiseRatio() for book in BOOKS for part in RETENTION},
        {side: FrequencyBands((settings.frequency_cut,)) for side in SIDES},
        {side: FrequencyBands(edges) for side in SIDES},
    )
    shown, batch = spread(len(validation), settings.retention_images), min(_BATCH, at_a_time(validation.image_size))
    for chosen in shown.split(batch):
        images = validation.batch(chosen)
        originals = to_uint8(images)
        study = to_uint8(retention_study(tokenizer, images, seed).cpu())
        for stream, decoded in zip(parts.psnr.values(), study.flatten(1, 2).unbind(1), strict=True):
            stream.update(decoded.contiguous(), originals)
        semantic, visual = tokenizer.recovered(*tokenizer.codes(tokenizer.encode(images)))
        alone = to_uint8(tokenizer.decode_recovered(semantic, torch.zeros_like(visual)).cpu())
        for side, decoded in zip(SIDES, (alone, study[:, 0, -1], study[:, 1, -1]), strict=True):
            parts.bands[side].update(decoded, originals)
            parts.spectrum[side].update(decoded, originals)
    return parts
