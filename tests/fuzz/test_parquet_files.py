"""Damaged Parquet files: images or one line, in a moment, in bounded memory."""

import resource
import shutil

import datasets
import pytest
from hypothesis import given
from hypothesis import strategies as st

from _support.damage import damaged
from _support.fuzzing import cases, succeeds_or_is_told
from _support.image_files import png, write_table
from vistok.workbench.data import describe_source, load_images


@pytest.fixture(scope="module", autouse=True)
def no_progress_bars():
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Small tables: classes, texts, compressed and not."""
    folder = tmp_path_factory.mktemp("tables")
    contents = [png((n, 0, 0)) for n in range(8)]
    numbers = [n % 2 for n in range(8)]
    classes = {"label": datasets.ClassLabel(names=["even", "odd"])}
    paths = [
        write_table(folder / "classes.parquet", contents, {"label": numbers}, classes),
        write_table(
            folder / "numbers.parquet", contents, {"cls": numbers, "caption": [f"image {n}" for n in range(8)]}
        ),
        write_table(folder / "texts.parquet", contents, {"label": ["even", "odd"] * 4}),
    ]
    return [path.read_bytes() for path in paths]


@cases(40)
@given(st.data())
def test_a_damaged_table_is_images_or_one_line(tables, tmp_path_factory, data):
    content = data.draw(st.sampled_from(tables).flatmap(damaged))
    folder = tmp_path_factory.mktemp("case")
    source = folder / "damaged.parquet"
    source.write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        with succeeds_or_is_told(ValueError, mentions="data"):
            describe_source(source, cache_dir=folder / "cache")
        with succeeds_or_is_told(ValueError, mentions="data"):
            for images in load_images(source, image_size=8, cache_dir=folder / "cache"):
                assert images.batch([0]).shape == (1, 3, 8, 8)
                assert len(images.labels) == len(images)
    finally:
        shutil.rmtree(folder)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 400_000, f"{grown} kB"
