"""Learned queries gather what the patches know."""

import pytest
import torch
import torch.nn.functional as F

from _support.mutants import catches
from _support.strategies import normal
from vistok.generators import rotary_table_1d, rotary_table_2d
from vistok.tokenizers import QueryEncoder

SUBJECT = "vistok.tokenizers.query_encoder"


def encoder(depth=2, **changes):
    torch.manual_seed(0)
    sizes = {"image_channels": 2, "grid_size": 3, "patch_size": 2, "num_tokens": 5, "code_dim": 6}
    return QueryEncoder(**{**sizes, **changes}, width=16, depth=depth, num_heads=2)


def drawn(depth):
    """Every weight away from its start, in float64."""
    model = encoder(depth)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.double()


def layer_norm(x, norm):
    return F.layer_norm(x, x.shape[-1:]) * norm.weight + norm.bias


@catches(SUBJECT, "self.embed(rows) + positions", "self.embed(rows)")
@catches(SUBJECT, "self.to_bits(self.query_norm(queries))", "self.to_bits(queries)")
@catches(SUBJECT, "self.patch_norm(patches)", "patches")
@catches(SUBJECT, ".unflatten(1, grid)", ".unflatten(1, grid[::-1])")
@catches(SUBJECT, "first_rotary=table, second_rotary=self.table", "first_rotary=table")
@catches(SUBJECT, "first_rotary=table, second_rotary=self.table", "second_rotary=self.table")
def test_it_is_patches_and_queries_through_the_blocks_one_after_the_other():
    model = drawn(depth=2)
    images = normal(0, 2, 2, 4, 6).double()  # 2 x 3 patches
    positions = F.interpolate(model.positions.learned, size=(2, 3), mode="bicubic", align_corners=False)
    patches = torch.stack(
        [
            model.embed(images[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].flatten(1))
            + positions[0, :, row, column]
            for row in range(2)
            for column in range(3)
        ],
        dim=1,
    )
    queries = model.queries.repeat(2, 1, 1)
    tables = {"first_rotary": rotary_table_2d((2, 3), 8), "second_rotary": rotary_table_1d(5, 8)}
    patches, queries = model.blocks[0](patches, queries, **tables)
    patches, queries = model.blocks[1](patches, queries, **tables)
    encoded = model(images)
    expected = layer_norm(patches, model.patch_norm).reshape(2, 2, 3, 16)
    torch.testing.assert_close(encoded.patches, expected, atol=1e-6, rtol=1e-6)
    features = layer_norm(queries, model.query_norm) @ model.to_bits.weight.mT + model.to_bits.bias
    torch.testing.assert_close(encoded.features, features, atol=1e-6, rtol=1e-6)


def test_there_are_as_many_features_as_queries_whatever_the_number_of_patches():
    for shape, patches in (((1, 2, 6, 6), (3, 3)), ((3, 2, 4, 10), (2, 5))):
        encoded = encoder()(torch.zeros(shape))
        assert encoded.features.shape == (shape[0], 5, 6)
        assert encoded.patches.shape == (shape[0], *patches, 16)


def test_the_image_moves_every_feature():
    features = encoder()(normal(1, 8, 2, 6, 6)).features
    assert features.std(0).min() > 1e-4


@catches(SUBJECT, "0.02 * torch.randn", "torch.randn")
def test_queries_start_small():
    assert abs(encoder(num_tokens=200).queries.std() - 0.02) < 0.001


def test_both_outputs_together_train_every_parameter():
    model, images = encoder(), normal(2, 2, 2, 6, 6).requires_grad_()
    encoded = model(images)
    (encoded.features.square().sum() + encoded.patches.pow(3).sum()).backward()
    assert images.grad.any()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


@catches(SUBJECT, "persistent=False", "persistent=True")
def test_tables_are_not_saved():
    assert not [name for name in encoder().state_dict() if "table" in name]


@catches(SUBJECT, "check_images(images, self.patch_size, self.image_channels)", "check_images(images, self.patch_size)")
@catches(SUBJECT, "        check_images(images, self.patch_size, self.image_channels)\n", "")
def test_images_of_other_channels_or_whole_numbers_are_refused():
    with pytest.raises(ValueError, match=r"images: expected \(B, 2, H, W\) .* by 2, got \(1, 1, 6, 6\)"):
        encoder()(torch.zeros(1, 1, 6, 6))
    with pytest.raises(TypeError, match=r"^images: expected floats in \[-1, 1\], got torch.uint8$"):
        encoder()(torch.zeros(1, 2, 6, 6, dtype=torch.uint8))
    encoder()(torch.zeros(1, 2, 6, 6))


def test_images_that_the_patches_do_not_fill_and_heads_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match=r"images: expected \(B, 2, H, W\) with sides divisible by 2, got"):
        encoder()(torch.zeros(1, 2, 5, 6))
    for heads, message in ((3, "num_heads must divide width"), (8, "divisible by 4")):
        with pytest.raises(ValueError, match=message):
            QueryEncoder(2, 3, 2, 5, 6, width=16, depth=1, num_heads=heads)


@catches(SUBJECT, '"code_dim": code_dim, "depth": depth', '"code_dim": code_dim')
@catches(SUBJECT, '{**sizes, "code_dim": code_dim, "depth": depth}', '{"code_dim": code_dim, "depth": depth}')
def test_sizes_below_one_are_refused():
    for changes in ({"num_tokens": 0}, {"patch_size": 0}, {"code_dim": 0}, {"depth": 0}):
        (name,) = changes
        with pytest.raises(ValueError, match=f"^QueryEncoder: expected sizes of at least 1, got {name}=0$"):
            encoder(**changes)
