"""Keys and values in memory that is taken once."""

import pytest
import torch

from _support.mutants import catches
from _support.strategies import normal
from vistok.generators import KVCache

SUBJECT = "vistok.generators.layers.kv_cache"
CPU = torch.device("cpu")


@catches(SUBJECT, "self.values[:batch, :, start:end] = value", "self.values[:batch, :, start:end] = key")
@catches(SUBJECT, "self.keys[:batch, :, :end], self.values", "self.keys[:batch, :, start:end], self.values")
def test_what_was_written_is_returned_up_to_the_end_of_the_write():
    cache = KVCache(3, 2, 6, 4, dtype=torch.float32, device=CPU)
    key, value = normal(0, 2, 2, 5, 4), normal(1, 2, 2, 5, 4)
    cache.update(key[:, :, :2], value[:, :, :2], start=0)
    keys, values = cache.update(key[:, :, 2:], value[:, :, 2:], start=2)
    assert torch.equal(keys, key)
    assert torch.equal(values, value)


@catches(SUBJECT, "return self.keys[:batch, :, :end], ", "return self.keys[:batch, :, :end].clone(), ")
def test_the_cache_takes_its_memory_once():
    cache = KVCache(2, 1, 8, 4, dtype=torch.float32, device=CPU)
    for start in range(8):
        keys, values = cache.update(torch.ones(2, 1, 1, 4), torch.ones(2, 1, 1, 4), start=start)
        assert keys.untyped_storage().data_ptr() == cache.keys.untyped_storage().data_ptr()
        assert values.untyped_storage().data_ptr() == cache.values.untyped_storage().data_ptr()
        assert keys.shape == (2, 1, start + 1, 4)


@catches(SUBJECT, "end > self.keys.shape[2] or ", "")
def test_a_write_outside_is_refused():
    cache = KVCache(1, 1, 2, 4, dtype=torch.float32, device=CPU)
    with pytest.raises(ValueError, match="cache holds 1 samples and 2 positions"):
        cache.update(torch.zeros(1, 1, 1, 4), torch.zeros(1, 1, 1, 4), start=2)
