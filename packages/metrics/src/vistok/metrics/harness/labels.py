"""How tables call a measure: as the field does, with the network that it was measured in."""

#: Of a network's features: in words, and the name that Inception alone gives them.
_OF_FEATURES = {
    "frechet_distance": ("Frechet distance", "FID"),
    "spatial_frechet_distance": ("spatial Frechet distance", "sFID"),
    "kernel_distance": ("kernel distance", "KID"),
    "inception_score": ("Inception Score", "Inception Score"),
    **{name: (name, name) for name in ("precision", "recall", "density", "coverage")},
}
_OF_PIXELS = {"psnr": "PSNR (dB)", "pooled_psnr": "pooled PSNR (dB)", "ssim": "SSIM"}
_OF_PIXELS["ssim_uniform_window"] = "SSIM (uniform window)"


def label(name: str, network: str) -> str:
    """What a table calls the measure of this name.

    Args:
        name: As in an evaluation's ``measures``.
        network: The one that features were measured in.

    Example:
        >>> label("psnr", "Lite0"), label("frechet_distance_at_infinity", "Lite0")
        ('PSNR (dB)', 'Frechet distance at infinity on Lite0')
    """
    for stem, (words, on_inception) in _OF_FEATURES.items():
        if name == stem or name.startswith(f"{stem}_"):
            further = name.removeprefix(stem).replace("_", " ")
            return on_inception + further if network.startswith("Inception") else f"{words}{further} on {network}"
    return _OF_PIXELS.get(name, name.replace("_", " "))
