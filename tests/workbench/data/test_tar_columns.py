"""Columns of tar archives, whatever their records have: images of several endings, labels, odd values."""

import json

import pytest

from _support.image_files import numbers, png
from _support.mutants import catches
from _support.tar_files import write_archive
from vistok.workbench.data import load_images
from vistok.workbench.data._tar_columns import alike, json_entries, table_of

SUBJECT = "vistok.workbench.data._tar_columns"
ARCHIVES = "vistok.workbench.data._tar_archives"


def load(source, tmp_path, **options):
    return load_images(source, cache_dir=tmp_path / "cache", image_size=8, **options)


def image_of(number, ending):
    """A picture with its number, under any ending: what it is, its content says."""
    return f"{number:03}.{ending}", png((number, 0, 0))


def label_of(number, ending="cls"):
    return f"{number:03}.{ending}", str(number % 2).encode()


@catches(SUBJECT, "pc.coalesce(*(table[each] for each in names))", "table[names[0]]")
@catches("vistok.workbench.data._table", "splits = one_image_column(splits)", "pass")
@pytest.mark.parametrize("streaming", [None, 1 << 30])
def test_images_of_several_endings_are_one_column_where_no_record_has_two(tmp_path, streaming):
    endings = ["jpg"] * 4 + ["png", "left.webp"] * 2 + ["jpg", "png"] * 2
    members = [
        member for number, ending in enumerate(endings) for member in (image_of(number, ending), label_of(number))
    ]
    write_archive(tmp_path / "data" / "train-0.tar", members[:8])
    write_archive(tmp_path / "data" / "train-1.tar", members[8:])
    write_archive(tmp_path / "data" / "val-0.tar", [image_of(20, "jpeg"), label_of(20)])
    splits = load(tmp_path / "data", tmp_path, streaming_limit=streaming)
    assert (numbers(splits.train), numbers(splits.validation)) == (list(range(12)), [20])
    assert splits.train.labels.tolist() == [number % 2 for number in range(12)]
    assert splits.train.skipped == ()


@catches(SUBJECT, "pc.any(pc.and_(seen, valid)).as_py()", "False")
@catches("vistok.workbench.data._table", "if in_archives and image_column is None", "if in_archives")
def test_images_of_two_endings_in_a_record_and_of_one_that_is_asked_for_stay_apart(tmp_path):
    pairs = [
        member
        for number in range(6)
        for member in ((f"{number:03}.seg.png", png((number + 50, 0, 0))), image_of(number, "jpg"))
    ]
    masked = write_archive(tmp_path / "masked.tar", pairs)
    splits = load(masked, tmp_path, image_column="seg.png", validation_fraction=0.4)
    assert sorted(numbers(splits.train) + numbers(splits.validation)) == list(range(50, 56))
    splits = load(masked, tmp_path, validation_fraction=0.4)
    assert sorted(numbers(splits.train) + numbers(splits.validation)) == list(range(6))
    write_archive(tmp_path / "mixed" / "train.tar", [image_of(n, ("jpg", "png")[n % 2]) for n in range(8)])
    write_archive(tmp_path / "mixed" / "val.tar", [image_of(9, "png")])
    splits = load(tmp_path / "mixed", tmp_path, image_column="png")
    assert (numbers(splits.train), numbers(splits.validation)) == ([1, 3, 5, 7], [9])


@catches(SUBJECT, "for rows in splits.values() for ending in", "for rows in [*splits.values()][:1] for ending in")
def test_each_split_may_be_of_one_ending_of_its_own(tmp_path):
    write_archive(tmp_path / "data" / "train.tar", [image_of(number, "jpg") for number in range(3)])
    write_archive(tmp_path / "data" / "val.tar", [image_of(9, "png")])
    splits = load(tmp_path / "data", tmp_path)
    assert (numbers(splits.train), numbers(splits.validation)) == ([0, 1, 2], [9])


@catches(ARCHIVES, "            ending = ending.lower()\n", "")
def test_endings_in_capitals_are_those_in_small_letters(tmp_path):
    for ending, content in (("CLS", b"%d"), ("JSON", b'{"label": %d}')):
        members = [image_of(number, "PNG") for number in range(8)]
        members += [(f"{number:03}.{ending}", content % (number % 2)) for number in range(8)]
        train = load(write_archive(tmp_path / f"{ending}.tar", members), tmp_path, validation_fraction=0.3).train
        assert train.class_names == ("0", "1")
        assert train.labels.tolist() == [number % 2 for number in numbers(train)]


@catches(ARCHIVES, 'None if ending == "cls" and not text else text', "text")
def test_an_empty_cls_is_no_label(tmp_path):
    members = [member for number in range(8) for member in (image_of(number, "png"), label_of(number))]
    members[7] = ("003.cls", b" \n")
    source = write_archive(tmp_path / "one.tar", members)
    with pytest.raises(ValueError, match=r"\Aimage one\.tar/003\.png has the label None, that is none, as 1 of 8"):
        load(source, tmp_path)


ODD = {
    "mixed": (["1", 1, None], ["1", "1", None]),
    "truths": ([True, 0, 2.0], ["true", "0", "2"]),
    "large": ([2**64, 1, None], ["18446744073709551616", "1", None]),
    "inexact": ([0.5, 2**60 + 1, 3.0], ["0.5", "1152921504606846977", "3"]),
    "numbers": ([1, 0.5, None], [1.0, 0.5, None]),
    "texts": (["a", None, "1"], ["a", None, "1"]),
}


@catches(SUBJECT, "len(kinds) < 2 or kinds == {int, float}", "True")
@catches(
    SUBJECT, "with contextlib.suppress(OverflowError, pa.ArrowInvalid)", "with contextlib.suppress(pa.ArrowInvalid)"
)
@catches(SUBJECT, "with contextlib.suppress(OverflowError, pa.ArrowInvalid)", "with contextlib.suppress(OverflowError)")
@catches(SUBJECT, " and value.is_integer()", " and False")
def test_a_column_of_values_of_several_kinds_or_out_of_range_is_of_texts():
    rows = [{"json": {name: values[row] for name, (values, _) in ODD.items()}} for row in range(3)]
    assert table_of(rows).to_pydict() == {name: expected for name, (_, expected) in ODD.items()}


@catches(SUBJECT, "    if len(kinds) < 2:\n", "    if True:\n")
@catches(SUBJECT, "    if kinds == {pa.int64(), pa.float64()}:\n", "    if False:\n")
@catches(SUBJECT, "        with contextlib.suppress(pa.ArrowInvalid):\n", "        if True:\n")
@catches(SUBJECT, "if not table.schema.metadata", "if True")
def test_columns_of_several_archives_are_of_one_type():
    def types(*values, **columns):
        tables = [table_of([{"json": {"a": value}}]) for value in values]
        return [table["a"].to_pylist()[0] for table in alike(tables)]

    assert types("x", 3, True, 2.0, None) == ["x", "3", "true", "2", None]
    assert types(1, 0.5, None) == [1.0, 0.5, None]
    assert types(2**60 + 1, 0.5) == ["1152921504606846977", "0.5"]
    assert types(1, 2, None) == [1, 2, None]
    declared = [table_of([{"json": {"a": value}}]).replace_schema_metadata({"huggingface": "{}"}) for value in (1, "x")]
    assert alike(declared) == declared


@catches(SUBJECT, "all(map(_is_whole_numbers, columns))", "_is_whole_numbers(columns[0])")
@catches(SUBJECT, "{1,18}", "*")
@catches(SUBJECT, "counts=name in _TEXTS", "counts=False")
def test_classes_are_whole_numbers_where_those_of_all_archives_are():
    def labels(*texts):
        return [table["cls"].to_pylist()[0] for table in alike([table_of([{"cls": text}]) for text in texts])]

    assert labels("007", "-5", None) == [7, -5, None]
    assert labels("007", "cat") == ["007", "cat"]
    for text in ("\u00b2", "--5", "-", "9" * 20):
        assert labels("1", text) == ["1", text]


@catches(SUBJECT, "if key not in names and not is_image(key)", "if not is_image(key)")
@catches(SUBJECT, "if key not in names and not is_image(key)", "if key not in names")
def test_an_entry_of_a_json_takes_no_place_of_a_file(tmp_path):
    entries = {"png": "https://example.org/1.png", "jpg": "1.jpg", "cls": 9, "score": 0.5}
    members = [member for number in range(8) for member in (image_of(number, "png"), label_of(number))]
    members += [(f"{number:03}.json", json.dumps(entries).encode()) for number in range(8)]
    train = load(write_archive(tmp_path / "one.tar", members), tmp_path, validation_fraction=0.3).train
    assert train.skipped == ()
    assert train.labels.tolist() == [number % 2 for number in numbers(train)]
    assert table_of([{"json": {"cls": 9}, "png": "here"}]).to_pydict() == {"png": ["here"], "cls": [9]}


@pytest.mark.parametrize("streaming", [None, 1 << 30])
def test_an_odd_entry_of_a_json_leaves_the_set_readable(tmp_path, streaming):
    odd = [{"note": "a", "hash": 2**64}, {"note": 3}, {"note": [1]}, {"hash": True}, {"hash": "\ud800"}, [1]]
    for shard in range(2):
        numbered = range(6 * shard, 6 * shard + 6)
        members = [member for number in numbered for member in (image_of(number, "png"), label_of(number))]
        members += [(f"{number:03}.json", json.dumps(odd[number % 6] if shard else {}).encode()) for number in numbered]
        write_archive(tmp_path / "data" / f"train-{shard}.tar", members)
    splits = load(tmp_path / "data", tmp_path, streaming_limit=streaming, validation_fraction=0.3)
    assert sorted(numbers(splits.train) + numbers(splits.validation)) == list(range(12))
    assert splits.train.labels.tolist() == [number % 2 for number in numbers(splits.train)]


@catches(SUBJECT, 'text.encode(errors="replace").decode()', "text")
def test_halves_of_characters_are_replaced_since_no_table_holds_them():
    assert json_entries('{"a\\ud800": "\\udc00b", "c": [1], "d": null, "e": 1}') == {"a?": "?b", "e": 1}
    assert json_entries("[1]") == {}


@catches(ARCHIVES, "except (ValueError, RecursionError):", "except ValueError:")
def test_what_is_no_json_is_named(tmp_path):
    for content in (b"{", b"[" * 100_000):
        source = write_archive(tmp_path / "one.tar", [image_of(1, "png"), ("001.json", content)])
        with pytest.raises(
            ValueError, match=r"\Adata '[^\n]*' could not be read: [^\n]*/one\.tar/001\.json is no JSON\Z"
        ):
            load(source, tmp_path)
