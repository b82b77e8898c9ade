"""The kinds of generators: what they are by default, and that each has at least one set of samples."""

import pytest
from pydantic import ValidationError

from _support.mutants import catches
from vistok.workbench.generator_settings import FARConfig, MaskedConfig, XARConfig, check_guidance

SUBJECT = "vistok.workbench.generator_settings"
TRAIN = {"steps": 1, "batch_size": 1}


def kinds():
    return (XARConfig, "xar"), (FARConfig, "far"), (MaskedConfig, "masked")


@catches(SUBJECT, '"gelu", "silu"] = "gelu"', '"gelu", "silu"] = "silu"')
@catches(SUBJECT, '"identity", "zero"] = "zero"', '"identity", "zero"] = "identity"')
@catches(SUBJECT, "integer_time: bool = True", "integer_time: bool = False")
@catches(SUBJECT, "refresh_every: int = Field(1,", "refresh_every: int = Field(2,")
def test_by_default_they_are_the_published_networks_and_their_exact_samplers():
    xar, far, masked = (
        kind(kind=name, train=TRAIN)
        for kind, name in ((XARConfig, "xar"), (FARConfig, "far"), (MaskedConfig, "masked"))
    )
    assert (xar.gate, xar.integer_time, xar.samples["default"].guidance_schedule) == ("gelu", True, "linear")
    assert (far.head_depth, far.prefix_rotation) == (3, "zero")
    assert masked.samples["default"].refresh_every == 1


@catches(SUBJECT, """"default": FARSampleConfig()}, min_length=1""", """"default": FARSampleConfig()}""")
def test_each_has_its_own_kind_and_at_least_one_set_of_samples():
    with pytest.raises(ValidationError, match="kind"):
        FARConfig(kind="xar", train=TRAIN)
    for kind, name in kinds():
        with pytest.raises(ValidationError, match="samples"):
            kind(kind=name, train=TRAIN, samples={})


@catches(SUBJECT, "not generator.label_dropout and", "")
@catches(SUBJECT, "and drawing.guidance != 1", "and drawing.guidance > 3")
def test_no_set_is_guided_against_what_was_never_trained():
    for kind, name in kinds():
        for dropout, guidance in ((0.1, 2.5), (0, 1)):
            plain = kind(kind=name, train=TRAIN, label_dropout=dropout, samples={"few": {"guidance": guidance}})
            check_guidance("generators.mine", plain, plain.samples)
        guided = kind(kind=name, train=TRAIN, label_dropout=0, samples={"few": {"guidance": 2.5}})
        key = r"generators\.mine"
        said = rf"^{key}\.samples\.few\.guidance: expected 1 with {key}\.label_dropout 0, .*, got 2\.5$"
        with pytest.raises(ValueError, match=said):
            check_guidance("generators.mine", guided, guided.samples)
