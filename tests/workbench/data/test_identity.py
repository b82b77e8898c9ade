"""What tells the images of a source from others."""

from _support.image_files import png, write_folder, write_parquet
from _support.mutants import catches
from _support.tar_files import records, write_archive
from vistok.workbench.data import load_images

SUBJECT = "vistok.workbench.data._identity"
LOADING = "vistok.workbench.data.loading"


def load(source, tmp_path, **options):
    return load_images(source, cache_dir=tmp_path / "cache", image_size=8, **options)


@catches(SUBJECT, "file.removeprefix(folder)", "file")
@catches(SUBJECT, '"\\n".join(_names(table))', '"\\n".join(sorted(_names(table))[:5])')
def test_the_checksum_of_a_folder_follows_its_names_wherever_it_lies(tmp_path):
    before = load(write_folder(tmp_path / "here"), tmp_path).checksum
    assert before == load(write_folder(tmp_path / "there"), tmp_path).checksum
    (tmp_path / "here" / "odd" / "001.png").rename(tmp_path / "here" / "even" / "001.png")
    moved = load(tmp_path / "here", tmp_path).checksum
    (tmp_path / "there" / "odd" / "029.png").unlink()
    assert len({before, moved, load(tmp_path / "there", tmp_path).checksum}) == 3


@catches(SUBJECT, "{file.removeprefix(folder)} {size}", "{file.removeprefix(folder)}")
@catches(LOADING, "images_checksum(table for table in tables if table is not None)", "images_checksum(tables[:1])")
def test_the_checksum_of_a_table_follows_the_lengths_of_what_it_holds_in_order_on_both_sides(tmp_path):
    contents = [png((n, 0, 0)) for n in range(12)]
    seen = {load_images().checksum}
    for name, train, validation in [
        ("as it was", contents[:9], contents[9:]),
        ("other", [*contents[:8], contents[8] + b"0"], contents[9:]),
        ("turned", [contents[8] + b"0", *contents[:8]], contents[9:]),
        ("validation", contents[:9], [contents[9] + b"00", *contents[10:]]),
    ]:
        for side, images in (("train", train), ("validation", validation)):
            write_parquet(tmp_path / name / f"{side}.parquet", [(content, 0) for content in images])
        seen.add(load(tmp_path / name, tmp_path).checksum)
    assert len(seen) == 5


@catches(SUBJECT, '.rpartition("::") if table.in_archives else', '.rpartition("::") if False else')
@catches(SUBJECT, 'first.rfind("/", 0, differ) + 1', "0")
def test_the_checksum_of_archives_is_that_of_their_members_wherever_they_lie_streamed_or_not(tmp_path):
    for place in ("here", "far/away"):
        for number in range(2):
            write_archive(tmp_path / place / f"train-{number}.tar", records(12 * number, 12 * number + 12))
    here, there = (load(tmp_path / place, tmp_path).checksum for place in ("here", "far/away"))
    pattern = load(str(tmp_path / "far" / "away" / "train-{0..1}.tar"), tmp_path).checksum
    streamed = load(tmp_path / "here", tmp_path, streaming_limit=1 << 20).checksum
    assert here == there == pattern == streamed
    write_archive(tmp_path / "here" / "train-1.tar", records(12, 23))
    assert load(tmp_path / "here", tmp_path, streaming_limit=1 << 20).checksum != here
