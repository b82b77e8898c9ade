"""Keys and values of all positions, rewritten where a position ran again."""

import torch

from _support.mutants import catches
from _support.strategies import seeded
from vistok.generators.layers._position_cache import PositionCache

SUBJECT = "vistok.generators.layers._position_cache"


@catches(SUBJECT, "self.values.scatter_(2, index, value)", "self.values.scatter_(2, index, key)")
@catches(SUBJECT, "self.keys.scatter_(2, index, key)", "self.keys.scatter_(2, index[:1].expand_as(index), key)")
def test_each_sample_rewrites_its_own_positions_and_keeps_the_others():
    key, value = torch.randn(2, 2, 3, 5, 4, generator=seeded(0))
    cache = PositionCache()
    assert all(map(torch.equal, cache.update(key, value, None), (key, value)))
    before = key.clone(), value.clone()
    positions = torch.tensor([[0, 4], [3, 1]])
    fresh = torch.randn(2, 2, 3, 2, 4, generator=seeded(1))
    after = cache.update(*fresh, positions)
    for kept, new, found in zip(before, fresh, after, strict=True):
        for sample, written in enumerate(positions.tolist()):
            for position in range(5):
                column = written.index(position) if position in written else None
                expected = kept[sample, :, position] if column is None else new[sample, :, column]
                assert torch.equal(found[sample, :, position], expected)


@catches(SUBJECT, "key.contiguous(), value.contiguous()", "key, value")
def test_what_is_kept_is_no_view_of_queries():
    """Queries, keys and values come from one product, which would stay in memory with a view of it."""
    queries, keys, values = torch.randn(3, 5, 3, 2, 4, generator=seeded(0)).permute(2, 0, 3, 1, 4)
    kept = PositionCache().update(keys, values, None)
    assert all(part.untyped_storage().data_ptr() != queries.untyped_storage().data_ptr() for part in kept)
