"""Cached tokens go to Parquet and come back byte for byte; what is not such an export is told."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from _support.mutants import catches
from vistok.workbench.config import ConfigError
from vistok.workbench.run.files import DamagedFileError
from vistok.workbench.tokens.parquet import export_tokens, import_tokens
from vistok.workbench.tokens.shards import about, shard_files, shard_metadata, write_index, write_shard

SUBJECT = "vistok.workbench.tokens.parquet"


@pytest.fixture
def cached(tmp_path):
    """Five images in two variants, two kinds of tokens, three shards, and codes beside them."""
    folder, what = tmp_path / "cache", about(5, 2, ["plain", "flipped"], {"ids": 100, "bits": 2**20}, "me")
    for number, path in enumerate(shard_files(folder, what)):
        images = torch.arange(2 * number, min(2 * number + 2, 5))[:, None, None, None]
        ids = 10 * images + torch.arange(2)[:, None, None] * 4 + torch.arange(4).view(2, 2)
        tokens = {"ids": ids.to(torch.uint16), "bits": (ids.flatten(2)[..., :1] * 1000).int()}
        write_shard(path, tokens, images.flatten() % 3, shard_metadata(what, number))
    (folder / "codes.safetensors").write_bytes(b"codes")
    write_index(folder, what)
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@catches(SUBJECT, '"label": held[LABELS].repeat(len(variants))', '"label": np.tile(held[LABELS], len(variants))')
@catches(SUBJECT, "np.arange(first, first + len(held[LABELS]))", "np.arange(len(held[LABELS]))")
@catches(SUBJECT, "np.tile(variants, len(images))", "variants.repeat(len(images))")
def test_a_row_is_a_variant_of_an_image_with_its_label_and_tokens_row_by_row(cached, tmp_path):
    export_tokens(cached, tmp_path / "out")
    rows = pq.read_table(sorted((tmp_path / "out").glob("*.parquet"))).to_pylist()
    assert [row["image"] for row in rows] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert [row["variant"] for row in rows] == ["plain", "flipped"] * 5
    assert [row["label"] for row in rows] == [0, 0, 1, 1, 2, 2, 0, 0, 1, 1]
    assert rows[7] == {"image": 3, "variant": "flipped", "label": 0, "ids": [34, 35, 36, 37], "bits": [34000]}
    assert rows[8] == {"image": 4, "variant": "plain", "label": 1, "ids": [40, 41, 42, 43], "bits": [40000]}
    schema = pq.read_schema(tmp_path / "out" / "00000.parquet")
    assert (schema.field("ids").type.value_type, schema.field("bits").type.value_type) == (pa.uint16(), pa.int32())
    assert (tmp_path / "out" / "codes.safetensors").read_bytes() == b"codes"


@catches(SUBJECT, 'table["label"].to_numpy()[:: len(variants)]', 'table["label"].to_numpy()[: len(images)]')
@catches(SUBJECT, "shutil.copyfile(source / name, aside / name)", "pass")
def test_what_comes_back_is_the_same_files(cached, tmp_path):
    export_tokens(cached, tmp_path / "out")
    before = contents(cached)
    import_tokens(tmp_path / "out", tmp_path / "back", made_by="me")
    assert contents(tmp_path / "back") == before
    import_tokens(tmp_path / "out", cached, made_by="me")
    assert contents(cached) == before


@catches(SUBJECT, "with new_folder(target) as aside:", "for aside in [target]:")
def test_an_export_is_not_mixed_with_another(cached, tmp_path):
    export_tokens(cached, tmp_path / "out")
    before = contents(tmp_path / "out")
    with pytest.raises(ConfigError, match="out: expected a new or empty folder"):
        export_tokens(cached, tmp_path / "out")
    assert contents(tmp_path / "out") == before


@catches(SUBJECT, "verify=True", "verify=False")
def test_a_damaged_cache_is_not_exported(cached, tmp_path):
    path = cached / "00001.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"00001\.safetensors"):
        export_tokens(cached, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@catches(SUBJECT, 'if about["made_by"] != made_by:', "if not made_by:")
@catches(SUBJECT, "if [file.stem for file in files] != wanted:", "if len(files) > len(wanted):")
@catches(SUBJECT, "if about is None:", "if not files:")
def test_an_export_of_something_else_or_a_part_of_one_is_told_and_nothing_is_replaced(cached, tmp_path):
    export_tokens(cached, tmp_path / "out")
    before = contents(cached)
    with pytest.raises(ValueError, match="out: tokens of another tokenizer than this run's"):
        import_tokens(tmp_path / "out", cached, made_by="you")
    (tmp_path / "out" / "00001.parquet").unlink()
    with pytest.raises(ValueError, match=r"out: expected 3 files from 00000\.parquet on, got 2"):
        import_tokens(tmp_path / "out", cached, made_by="me")
    for place in ("empty", "foreign"):
        (tmp_path / place).mkdir()
    pq.write_table(pa.table({"image": [1]}), tmp_path / "foreign" / "a.parquet")
    for place in ("empty", "foreign"):
        with pytest.raises(ValueError, match=f"{place}: expected Parquet files of an export of tokens"):
            import_tokens(tmp_path / place, cached, made_by="me")
    assert contents(cached) == before


@catches(SUBJECT, "not np.array_equal(rows[0], images.repeat(len(variants))) or", "")
@catches(SUBJECT, "with new_folder(folder, replaces=True) as aside:", "for aside in [folder]:")
def test_rows_in_another_order_are_told_and_the_cache_stays(cached, tmp_path):
    export_tokens(cached, tmp_path / "out")
    (cached / "00000.safetensors").write_bytes(b"others")
    before = contents(cached)
    path = tmp_path / "out" / "00001.parquet"
    table = pq.read_table(path)
    pq.write_table(table.take([2, 3, 0, 1]), path)
    with pytest.raises(ValueError, match=r"00001\.parquet: expected images 2 to 3 in order"):
        import_tokens(tmp_path / "out", cached, made_by="me")
    assert contents(cached) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "out"]


def edited(path, column, value):
    """Puts a value into the first row of a file, in a column of lists or of numbers."""
    table = pq.read_table(path)
    values = table[column].to_pylist()
    values[0] = [value, *values[0][1:]] if isinstance(values[0], list) else value
    number = table.schema.get_field_index(column)
    pq.write_table(table.set_column(number, column, pa.array(values)), path)


@catches(SUBJECT, '_check_range(file, name, indices, about["sizes"][name])', "pass")
@catches(SUBJECT, '_check_range(file, "label", labels, num_classes)', "pass")
@catches(SUBJECT, "(values >= 0) & ", "")
@catches(SUBJECT, " & (values % 1 == 0)", "")
@catches(SUBJECT, "if count is None else count) - 1", "if count is None else count)")
def test_what_is_no_token_or_label_is_told_with_its_column_and_range(cached, tmp_path):
    before = contents(cached)
    for number, (column, value, expected) in enumerate(
        [
            ("ids", 60000, "0 to 99, got 60000"),
            ("ids", 100, "0 to 99, got 100"),
            ("ids", -1, "0 to 99, got -1"),
            ("ids", 2.5, r"0 to 99, got 2\.5"),
            ("ids", None, "0 to 99, got nan"),
            ("bits", 2**40, "0 to 1048575, got 1099511627776"),
            ("label", 3, "0 to 2, got 3"),
            ("label", -1, "0 to 2, got -1"),
        ]
    ):
        out = tmp_path / f"out-{number}"
        export_tokens(cached, out)
        edited(out / "00001.parquet", column, value)
        with pytest.raises(ValueError, match=rf"\A[^\n]*00001\.parquet: {column}: expected {expected}\Z"):
            import_tokens(out, cached, made_by="me", num_classes=3)
    with pytest.raises(ValueError, match=r"label: expected at least 0, got -1"):
        import_tokens(out, cached, made_by="me")
    assert contents(cached) == before


@catches(SUBJECT, '.astype(kind["dtype"])', "")
@catches(SUBJECT, "labels.astype(np.int64)", "labels")
def test_whatever_holds_the_numbers_the_cache_has_its_own_type(cached, tmp_path):
    export_tokens(cached, tmp_path / "out")
    for path in (tmp_path / "out").glob("*.parquet"):
        table = pq.read_table(path)
        wide = [pa.array(table[name].to_pylist(), pa.list_(pa.int64())) for name in ("ids", "bits")]
        table = table.set_column(2, "label", table["label"].cast(pa.int32()))
        pq.write_table(table.set_column(3, "ids", wide[0]).set_column(4, "bits", wide[1]), path)
    import_tokens(tmp_path / "out", tmp_path / "back", made_by="me", num_classes=3)
    assert contents(tmp_path / "back") == contents(cached)


@catches(SUBJECT, "if not (source / name).is_file():", "if False:")
@catches(SUBJECT, "[Path(name).name for name in beside]", "beside")
def test_what_lay_beside_the_shards_must_be_beside_the_files(cached, tmp_path):
    export_tokens(cached, tmp_path / "out")
    (tmp_path / "out" / "codes.safetensors").rename(tmp_path / "codes.safetensors")
    before = contents(cached)
    told = r"\A[^\n]*out: expected codes\.safetensors beside the Parquet files, got none\Z"
    with pytest.raises(ValueError, match=told):
        import_tokens(tmp_path / "out", cached, made_by="me")
    marked(tmp_path / "out", lambda mark: mark | {"beside": ["../codes.safetensors"]})
    with pytest.raises(ValueError, match=told):  # nothing is taken from elsewhere
        import_tokens(tmp_path / "out", cached, made_by="me")
    assert contents(cached) == before


def marked(folder, change):
    """Writes another mark into the files of an export."""
    for path in folder.glob("*.parquet"):
        table = pq.read_table(path)
        mark = change(json.loads(table.schema.metadata[b"vistok"]))
        pq.write_table(table.replace_schema_metadata({b"vistok": json.dumps(mark)}), path)


@catches(SUBJECT, "_beside(source, []) if beside is None else", "[] if beside is None else")
def test_an_export_that_names_nothing_beside_it_is_taken_with_its_tensors(cached, tmp_path):
    export_tokens(cached, tmp_path / "out")
    marked(tmp_path / "out", lambda mark: {key: mark[key] for key in mark if key != "beside"})
    import_tokens(tmp_path / "out", tmp_path / "back", made_by="me")
    assert contents(tmp_path / "back") == contents(cached)


@catches(SUBJECT, "_beside(source, []) if beside is None else", "[p.name for p in source.iterdir()] if True else")
@catches(SUBJECT, 'folder.glob("*.safetensors")', 'folder.glob("*")')
def test_other_files_and_folders_are_left_where_they_are(cached, tmp_path):
    before = contents(cached)
    clutter(cached)
    export_tokens(cached, tmp_path / "out")
    assert not any(place.name in ("README.md", ".cache") for place in (tmp_path / "out").iterdir())
    clutter(tmp_path / "out")
    import_tokens(tmp_path / "out", tmp_path / "back", made_by="me")
    assert contents(tmp_path / "back") == before


def clutter(folder):
    """What a download from the hub leaves in a folder."""
    (folder / ".cache" / "huggingface").mkdir(parents=True)
    (folder / "README.md").write_text("tokens\n")
    (folder / ".gitattributes").write_text("")
