"""What an error says of images that are others than a run was made of."""

from dataclasses import replace

import pytest

from _support.mutants import catches
from vistok.workbench.config import ConfigError
from vistok.workbench.run.inventory import Inventory, check_same, surely_same

SUBJECT = "vistok.workbench.run.inventory"
IMAGES = Inventory(1080, 120, ["cats", "dogs"], "a", "b")
MANY = replace(IMAGES, classes=[f"class {number}" for number in range(1000)])


def test_the_same_images_and_those_of_which_nothing_is_known_pass():
    for was, now in ((IMAGES, replace(IMAGES)), (None, IMAGES), (IMAGES, None)):
        check_same(was, now, "encode", "teacher")


@catches(SUBJECT, "{*classes} - {*others}", "{*classes}")
@catches(SUBJECT, "was.images != now.images else", "was.labels == now.labels else")
@catches(SUBJECT, "len(names) <= _LONGEST", "True")
def test_it_says_what_was_expected_and_what_came():
    more = replace(MANY, classes=[*MANY.classes, "ants"])
    for was, now, said in [
        (
            IMAGES,
            Inventory(1170, 130, ["ants", "cats", "dogs"], "c", "d"),
            "data: expected the 1,080 training and 120 validation images in the classes cats, dogs that encode was run "
            "with, got 1,170 and 130 in the classes ants, cats, dogs; --fresh with demo or teacher, or another --name, "
            "begins anew",
        ),
        (IMAGES, replace(IMAGES, images="c"), "got as many, but other ones;"),
        (IMAGES, replace(IMAGES, images="c", labels="d"), "got as many, but other ones;"),
        (IMAGES, replace(IMAGES, labels="d"), "got these with other labels;"),
        (IMAGES, replace(IMAGES, classes=["cats", "hens"]), "got as many in the classes cats, hens;"),
        (IMAGES, replace(IMAGES, classes=["all"]), "got as many in 1 class;"),
        (MANY, more, "in 1,000 classes that encode was run with, got as many in 1,001 classes (ants among them);"),
        (more, MANY, "in 1,001 classes (ants among them) that encode was run with, got as many in 1,000 classes;"),
        (MANY, replace(MANY, classes=MANY.classes[::-1]), "got as many in 1,000 classes in another order;"),
    ]:
        with pytest.raises(ConfigError) as caught:
            check_same(was, now, "encode", "teacher")
        assert said in str(caught.value)


@catches(SUBJECT, "bool(was.images) and", "")
@catches(SUBJECT, "bool(was.images) and was == now", "was.images == now.images")
def test_images_are_surely_the_same_where_their_names_and_labels_are_known_and_equal():
    assert surely_same(IMAGES, replace(IMAGES))
    for was, now in (
        (None, IMAGES),
        (IMAGES, None),
        (replace(IMAGES, images=""), replace(IMAGES, images="")),
        (IMAGES, replace(IMAGES, labels="c")),
    ):
        assert not surely_same(was, now)
