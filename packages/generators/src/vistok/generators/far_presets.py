"""FAR and LlamaGen at the published sizes."""

from collections.abc import Sequence

from vistok.generators.far import FAR, FAROptions


def published_far_options(head_depth: int, *, dropout: float = 0.1) -> FAROptions:
    """The :class:`FAROptions` of the published networks: zero rotation of the class token, dropout 0.1.

    Example:
        >>> published_far_options(3).prefix_rotation
        'zero'
    """
    return FAROptions(dropout=dropout, prefix_rotation="zero", head_depth=head_depth)


def far_base(
    codebook_sizes: Sequence[int] = (16384, 16384),
    grid_size: int | tuple[int, int] = 16,
    num_classes: int = 1000,
    *,
    options: FAROptions | None = None,
) -> FAR:
    """FAR-B, a :class:`FAR`: 24 blocks and a head of 3, 417M parameters with two streams of 16384 codes.

    Source:
        FQGAN (arXiv:2411.16681), the published network (the paper says 415M).

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     model = far_base()
        >>> sum(p.numel() for p in model.parameters()) // 10**6
        417
    """
    options = options or published_far_options(3)
    return FAR(codebook_sizes, grid_size, num_classes, width=1024, depth=24, num_heads=16, options=options)


def far_large(
    codebook_sizes: Sequence[int] = (16384, 16384),
    grid_size: int | tuple[int, int] = 16,
    num_classes: int = 1000,
    *,
    options: FAROptions | None = None,
) -> FAR:
    """FAR-L, a :class:`FAR`: 36 blocks and a head of 4, 901M parameters; otherwise as :func:`far_base`."""
    options = options or published_far_options(4)
    return FAR(codebook_sizes, grid_size, num_classes, width=1280, depth=36, num_heads=20, options=options)


def _llamagen(width: int, depth: int, num_heads: int, codebook_size: int, grid_size: int, num_classes: int) -> FAR:
    options = published_far_options(0)
    sizes = {"width": width, "depth": depth, "num_heads": num_heads}
    return FAR((codebook_size,), grid_size, num_classes, **sizes, options=options)


def llamagen_b(codebook_size: int = 16384, grid_size: int = 16, num_classes: int = 1000) -> FAR:
    """LlamaGen-B, a :class:`FAR` with 111M parameters, one stream, no factorised head.

    Source:
        LlamaGen (arXiv:2406.06525), Table 1 and the published network.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     model = llamagen_b()
        >>> sum(p.numel() for p in model.parameters()) // 10**6
        110
    """
    return _llamagen(768, 12, 12, codebook_size, grid_size, num_classes)


def llamagen_l(codebook_size: int = 16384, grid_size: int = 16, num_classes: int = 1000) -> FAR:
    """LlamaGen-L, a :class:`FAR` with 343M parameters; otherwise as :func:`llamagen_b`."""
    return _llamagen(1024, 24, 16, codebook_size, grid_size, num_classes)


def llamagen_xl(codebook_size: int = 16384, grid_size: int = 16, num_classes: int = 1000) -> FAR:
    """LlamaGen-XL, a :class:`FAR` with 775M parameters; otherwise as :func:`llamagen_b`."""
    return _llamagen(1280, 36, 20, codebook_size, grid_size, num_classes)


def llamagen_xxl(codebook_size: int = 16384, grid_size: int = 16, num_classes: int = 1000) -> FAR:
    """LlamaGen-XXL, a :class:`FAR` with 1.4B parameters; otherwise as :func:`llamagen_b`."""
    return _llamagen(1536, 48, 24, codebook_size, grid_size, num_classes)


def llamagen_3b(codebook_size: int = 16384, grid_size: int = 16, num_classes: int = 1000) -> FAR:
    """LlamaGen-3B, a :class:`FAR` with 3.1B parameters; otherwise as :func:`llamagen_b`."""
    return _llamagen(3200, 24, 32, codebook_size, grid_size, num_classes)
