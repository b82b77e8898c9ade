"""Cut all pairs of n rows into cache-sized blocks, each unordered pair once."""

from collections.abc import Iterator

# Similarities held at a time: a block and its few temporaries stay in the cache of a core, far below any memory bound.
BLOCK_ELEMENTS = 1 << 18


def pair_blocks(n: int, block_elements: int = BLOCK_ELEMENTS) -> Iterator[tuple[slice, slice]]:
    """Yield ``(rows, columns)``: equal slices on the diagonal, columns after the rows elsewhere."""
    side = max(1, int(block_elements**0.5))
    for start in range(0, n, side):
        rows = slice(start, min(start + side, n))
        yield rows, rows
        for left in range(rows.stop, n, side):
            yield rows, slice(left, min(left + side, n))
