"""Images as rows of patches, and where the patches are."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.strategies import normal
from vistok.generators import rotary_table_2d
from vistok.tokenizers import PatchPositions, patchify, unpatchify

SUBJECT = "vistok.tokenizers.patches"


@catches(SUBJECT, "-> b (h w) (c p q)", "-> b (w h) (c p q)")
@catches(SUBJECT, "-> b (h w) (c p q)", "-> b (h w) (p q c)")
@catches(SUBJECT, "-> b (h w) (c p q)", "-> b (h w) (c q p)")
def test_by_hand_patches_go_row_by_row_and_hold_channel_after_channel():
    image = torch.arange(32.0).reshape(1, 2, 4, 4)
    assert patchify(image, 2)[0].tolist() == [
        [0, 1, 4, 5, 16, 17, 20, 21],
        [2, 3, 6, 7, 18, 19, 22, 23],
        [8, 9, 12, 13, 24, 25, 28, 29],
        [10, 11, 14, 15, 26, 27, 30, 31],
    ]


@catches(SUBJECT, '"b (h w) (c p q) ->', '"b (w h) (c p q) ->')
@catches(SUBJECT, "-> b c (h p) (w q)", "-> b c (p h) (q w)")
@given(st.tuples(*[st.integers(1, 3)] * 5))
def test_unpatchify_is_the_inverse(sizes):
    batch, channels, rows, columns, side = sizes
    images = normal(0, batch, channels, rows * side, columns * side)
    patches = patchify(images, side)
    assert patches.shape == (batch, rows * columns, channels * side**2)
    assert torch.equal(unpatchify(patches, (rows, columns), side), images)


@catches(SUBJECT, "images.ndim != 4 or ", "")
@catches(SUBJECT, "images.shape[-2] % patch_size or ", "")
@catches(SUBJECT, " or images.shape[-1] % patch_size", "")
def test_images_that_the_patches_do_not_fill_are_refused():
    for shape in ((2, 3, 6, 8), (2, 3, 8, 6), (3, 8, 8)):
        with pytest.raises(ValueError, match=r"images: expected \(B, C, H, W\) with sides divisible by 4, got \("):
            patchify(torch.zeros(shape), 4)


@catches(SUBJECT, 'check_sizes("patchify", {"patch_size": patch_size})', "pass")
@catches(SUBJECT, 'check_sizes("unpatchify", {"grid": grid, "patch_size": patch_size})', "pass")
def test_patches_of_no_size_are_refused():
    for side in (0, -2):
        with pytest.raises(ValueError, match=f"^patchify: expected sizes of at least 1, got patch_size={side}$"):
            patchify(torch.zeros(1, 3, 4, 4), side)
        with pytest.raises(ValueError, match=f"^unpatchify: expected sizes of at least 1, got patch_size={side}$"):
            unpatchify(torch.zeros(1, 4, 12), (2, 2), side)
    with pytest.raises(ValueError, match=r"^unpatchify: expected sizes of at least 1, got grid=\(-2, -2\)$"):
        unpatchify(torch.zeros(1, 4, 12), (-2, -2), 2)


@catches(SUBJECT, "patches.ndim != 3 or ", "")
@catches(SUBJECT, "patches.shape[1] != count or ", "")
@catches(SUBJECT, " or patches.shape[2] % pixels", "")
def test_patches_that_the_grid_does_not_hold_are_one_line():
    assert unpatchify(torch.zeros(0, 6, 12), (2, 3), 2).shape == (0, 3, 4, 6)
    for shape in ((1, 5, 12), (1, 6, 10), (6, 12), (1, 6, 12, 1)):
        with pytest.raises(ValueError, match=r"^patches: expected") as caught:
            unpatchify(torch.zeros(shape), (2, 3), 2)
        assert str(caught.value) == f"patches: expected (B, 6, C * 4) for grid (2, 3), got {shape}"


@catches(SUBJECT, "positions.flatten(2).transpose(1, 2)", "positions.transpose(2, 3).flatten(2).transpose(1, 2)")
@catches(
    SUBJECT, "rotary_table_2d((grid_size, grid_size), self.head_dim)", "rotary_table_2d((1, grid_size), self.head_dim)"
)
@catches(SUBJECT, "width // num_heads", "width")
def test_on_the_grid_that_it_was_learned_for_each_patch_has_its_place():
    module = PatchPositions(3, 8, 2)
    positions, table = module((3, 3))
    for row in range(3):
        for column in range(3):
            assert torch.equal(positions[0, 3 * row + column], module.learned[0, :, row, column])
    assert torch.equal(table, rotary_table_2d((3, 3), 4))


@catches(SUBJECT, "if positions.shape[-2:] != grid:", "if positions.shape[-1] != grid[1]:")
@catches(SUBJECT, "size=grid", "size=grid[::-1]")
@catches(SUBJECT, 'mode="bicubic"', 'mode="bilinear"')
@catches(SUBJECT, "rotary_table_2d(grid, self.head_dim)", "rotary_table_2d(grid[::-1], self.head_dim)")
def test_on_another_grid_the_embedding_is_interpolated_and_the_angles_go_on():
    module = PatchPositions(3, 8, 2)
    for grid in ((5, 3), (2, 4)):
        positions, table = module(grid)
        expected = F.interpolate(module.learned, size=grid, mode="bicubic", align_corners=False)
        torch.testing.assert_close(positions[0].mT.reshape(8, *grid), expected[0])
        assert torch.equal(table, rotary_table_2d(grid, 4))


@catches(SUBJECT, "persistent=False", "persistent=True")
def test_only_the_embedding_is_saved_and_learned():
    module = PatchPositions(3, 8, 2)
    assert list(module.state_dict()) == ["learned"]
    positions, table = module((4, 2))
    positions.square().sum().backward()
    assert module.learned.grad.any()
    assert not table.requires_grad


def test_the_embedding_starts_standard_normal():
    torch.manual_seed(0)
    learned = PatchPositions(16, 64, 2).learned
    assert abs(learned.mean()) < 0.03
    assert abs(learned.std() - 1) < 0.03


@catches(SUBJECT, "if width % num_heads:", "if width < num_heads:")
@catches(SUBJECT, '{"grid_size": grid_size, "width": width,', '{"width": width,')
def test_sizes_below_one_and_heads_that_do_not_divide_are_refused():
    for grid_size, heads, message in (
        (2, 3, "num_heads must divide width, got 3 and 8"),
        (2, 4, "needs head_dim divisible by 4"),
        (0, 2, "PatchPositions: expected sizes of at least 1, got grid_size=0"),
        (2, 0, "PatchPositions: expected sizes of at least 1, got num_heads=0"),
    ):
        with pytest.raises(ValueError, match=message):
            PatchPositions(grid_size, 8, heads)
