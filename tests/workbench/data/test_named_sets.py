"""Sets by name heed what is asked of their images, and refuse what only files and tables have."""

from itertools import product

import pytest

from _support.mutants import catches
from vistok.workbench.data import describe_source, load_images

SUBJECT = "vistok.workbench.data.named_sets"


@catches(SUBJECT, "not in (DIGITS, OPENMOJI)", "not in (DIGITS,)")
@catches(SUBJECT, '"label_column": label_column}', "}")
@catches(SUBJECT, '"image_column": image_column, ', "")
@catches("vistok.workbench.data.loading", "is_named(name, image_column, label_column", "is_named(name, None, None")
@catches("vistok.workbench.data.description", "is_named(name, image_column, label_column", "is_named(name, None, None")
def test_a_set_by_name_has_no_columns():
    asked = (("image_column", "img"), ("label_column", "kind"), ("label_column", "none"))
    for load, name, (key, column) in product((load_images, describe_source), ("digits", "openmoji"), asked):
        words = rf"\Adata\.{key}: expected null for '{name}', which is no table, got '{column}'\Z"
        with pytest.raises(ValueError, match=words):
            load(name, **{key: column})


@catches(SUBJECT, "if streaming_limit is not None:", "if streaming_limit:")
def test_a_set_by_name_is_not_streamed():
    for load in (load_images, describe_source):
        with pytest.raises(ValueError, match=r"\Adata 'digits': expected Parquet or tar files for streaming\Z"):
            load("digits", streaming_limit=0)
