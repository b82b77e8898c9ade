"""A model card tells what there is, and only that."""

from dataclasses import replace

import yaml

from _support.mutants import catches
from vistok.workbench.pipelines.card import CardFacts, Paper, write_card

SUBJECT = "vistok.workbench.pipelines.card"
MEASURES = {
    "names": {"frechet_distance": "Lite0-FID", "perceptual_distance": "Lite0 perceptual distance"},
    "features": "Lite0 at 128 px",
    "images": {"validation": 50},
    "mean image": {"psnr": 13.0},
    "refined": {"psnr": 27.25, "ssim": 0.9, "mean_absolute_error": 9.0},
    "real images": {"count": 50.0, "frechet_distance": 14.0},
    "reference": {"count": 450, "of": "training", "real images": "held-out"},
    "samples xar, strong": {"count": 20.0, "frechet_distance": 70.5},
}
FACTS = CardFacts(
    program="toy",
    name="mine",
    generator="xar",
    parameters=(1_500_000, 23_400_000),
    data="450 images of shapes",
    class_names=("round", "square"),
    paper=Paper("doe2026", "A Title", "Doe, Jane", "2601.00001"),
    versions={"torch": "2.13"},
    licence="mit",
    measures=MEASURES,
    label="xar, strong",
)


def header(card):
    _, head, _ = card.split("---\n", 2)
    return yaml.safe_load(head)


@catches(SUBJECT, "first, second = facts.parameters", "second, first = facts.parameters")
@catches(SUBJECT, "if pictured:", "if not pictured:")
@catches(SUBJECT, "reconstruction_table(measures, section)", "reconstruction_table(measures)")
@catches(SUBJECT, "tables.append(sample_table(measures, facts.label))", "pass")
@catches(SUBJECT, "[names[0], names[-1]]", "[names[0], names[0]]")
def test_it_tells_what_it_is_how_it_is_used_and_how_good_it_is():
    card = write_card(FACTS, pictured=True)
    assert header(card) == {
        "library_name": "vistok",
        "tags": ["toy", "image-tokenizer", "image-generation"],
        "license": "mit",
    }
    for text in (
        "tokenizer (1.5 M parameters) and the generator `xar` (23.4 M parameters)",
        "450 images of shapes",
        "(samples.png)",
        "from toy.pipeline import load_pipeline  # vistok-recipes, from a checkout or wheels of vistok\n",
        "pipeline(['round', 'square'], seed=0)",
        "| PSNR | 27.25 |",
        "| Lite0-FID | 70.50 | 14.00 |",
        "Weights: mit.",
        "eprint = {2601.00001}",
        "year = {2026}",
        "torch 2.13",
    ):
        assert text in card, text


@catches(SUBJECT, "if measures is None:", "if False:")
@catches(SUBJECT, "(section := tokenizer_section(measures)) is not None", '(section := "refined")')
@catches(SUBJECT, "if facts.licence:", "if True:")
def test_what_is_not_known_is_said_and_not_left_blank():
    card = write_card(replace(FACTS, licence=None, measures=None, class_names=("all",)), pictured=False)
    assert "license" not in header(card)
    assert "stated no licence" in card
    assert "This run was not evaluated with these settings; `toy evaluate` measures it." in card
    assert "samples.png" not in card
    assert "pipeline(['all'], seed=0)" in card
    parts = {key: value for key, value in MEASURES.items() if key != "refined"}
    assert "PSNR" not in write_card(replace(FACTS, measures=parts), pictured=False)


@catches(SUBJECT, "len(names) > 12", "len(names) > 13")
def test_many_classes_are_cut_short():
    for count, text in ((12, "`c11`."), (13, "`c11` and 1 more."), (1000, "`c11` and 988 more.")):
        assert text in write_card(replace(FACTS, class_names=tuple(f"c{i}" for i in range(count))), pictured=False)
