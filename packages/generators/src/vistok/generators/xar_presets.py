"""xAR at the published sizes."""

from vistok.generators.xar import XAR, XAROptions

PUBLISHED_XAR = XAROptions(dropout=0.1, gate="gelu", integer_time=True)


def xar_base(in_channels: int = 16, *, num_classes: int = 1000, options: XAROptions = PUBLISHED_XAR) -> XAR:
    """xAR-B, an :class:`XAR` with 172M parameters, on a 16x16 grid in cells of 8x8.

    Source:
        xAR (arXiv:2502.20388), Table 6 and the published network.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     model = xar_base()
        >>> sum(p.numel() for p in model.parameters()) // 10**6
        172
    """
    return XAR(in_channels, 16, 8, num_classes, width=768, depth=16, num_heads=12, options=options)


def xar_large(in_channels: int = 16, *, num_classes: int = 1000, options: XAROptions = PUBLISHED_XAR) -> XAR:
    """xAR-L, an :class:`XAR` with 608M parameters; otherwise as :func:`xar_base`."""
    return XAR(in_channels, 16, 8, num_classes, width=1024, depth=32, num_heads=16, options=options)


def xar_huge(in_channels: int = 16, *, num_classes: int = 1000, options: XAROptions = PUBLISHED_XAR) -> XAR:
    """xAR-H, an :class:`XAR` with 1.1B parameters; otherwise as :func:`xar_base`."""
    return XAR(in_channels, 16, 8, num_classes, width=1280, depth=40, num_heads=16, options=options)
