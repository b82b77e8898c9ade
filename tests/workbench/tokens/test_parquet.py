"""Cached tokens go to Parquet and come back byte for byte; what is not such an export is told."""

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
@catches(SUBJECT, "            if beside not in files:\n", "            if False:\n")
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
