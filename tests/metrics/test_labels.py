"""A table calls a number what the field calls it, and says the network where it is not Inception."""

from _support.mutants import catches
from vistok.metrics.harness.labels import label

SUBJECT = "vistok.metrics.harness.labels"
LABELS = (
    ("psnr", "PSNR (dB)", "PSNR (dB)"),
    ("pooled_psnr", "pooled PSNR (dB)", "pooled PSNR (dB)"),
    ("ssim_uniform_window", "SSIM (uniform window)", "SSIM (uniform window)"),
    ("frechet_distance", "FID", "Frechet distance on Lite0"),
    ("frechet_distance_margin_of_error", "FID margin of error", "Frechet distance margin of error on Lite0"),
    ("spatial_frechet_distance", "sFID", "spatial Frechet distance on Lite0"),
    ("kernel_distance_of_all_images", "KID of all images", "kernel distance of all images on Lite0"),
    ("inception_score_deviation", "Inception Score deviation", "Inception Score deviation on Lite0"),
    ("precision_k3", "precision k3", "precision k3 on Lite0"),
    ("codebook_0_usage", "codebook 0 usage", "codebook 0 usage"),
    ("densityness", "densityness", "densityness"),
    ("LPIPS (VGG16 of torchvision)", "LPIPS (VGG16 of torchvision)", "LPIPS (VGG16 of torchvision)"),
)


@catches(SUBJECT, 'name.startswith(f"{stem}_")', "name.startswith(stem)")
@catches(SUBJECT, 'network.startswith("Inception")', "True")
def test_labels():
    for name, on_inception, on_another in LABELS:
        assert label(name, "Inception (torch-fidelity)") == on_inception
        assert label(name, "Lite0") == on_another
