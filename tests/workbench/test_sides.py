"""Which sides of images a configuration can be made for; what recipes make of them is in their own tests."""

import pytest

from _support.mutants import catches
from vistok.workbench.config import ConfigError
from vistok.workbench.sides import check_side, token_stride

SUBJECT = "vistok.workbench.sides"


@catches(SUBJECT, "(begin - away, begin + away)", "(begin + away, begin - away)")
@catches(SUBJECT, "begin = max(side, 1)", "begin = 64")
def test_a_side_that_does_not_fit_is_told_with_the_nearest_that_does():
    check_side(96, lambda side: side % 8 == 0, "a multiple of 8")
    for side, nearest in {97: 96, 103: 104, 100: 96, 3: 8, -70: 8}.items():
        with pytest.raises(
            ConfigError, match=rf"^image_size: expected a multiple of 8, the nearest is {nearest}, got {side}$"
        ):
            check_side(side, lambda side: side % 8 == 0, "a multiple of 8")


@catches(SUBJECT, "wanted if side % wanted == 0 else least", "least")
@catches(SUBJECT, "side // wanted < smallest_grid", "side // wanted <= smallest_grid")
def test_a_stride_leaves_a_grid_of_the_smallest_size_or_up_to_twice_as_many_tokens():
    strides = {side: token_stride(side, largest=16, smallest_grid=8) for side in (8, 9, 16, 32, 60, 100, 128, 248, 512)}
    assert strides == {8: 1, 9: 1, 16: 2, 32: 4, 60: 4, 100: 4, 128: 16, 248: 8, 512: 16}
