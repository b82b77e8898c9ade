"""Every mean with an interval that docs/evidence.md states is that of a published study or correlation."""

import itertools
import json
import re
from pathlib import Path

import pytest

from vistok.workbench.studies.statistics import paired_difference

ROOT = Path(__file__).parents[2]
STUDIES = ROOT / "benchmarks" / "results" / "studies"
#: A mean, perhaps a unit, and its interval in brackets.
STATED = re.compile(r"([+-]?\d+(?:\.\d+)?)( dB| points)?(?:\*\*)? \[([+-]?[\d.]+), ([+-]?[\d.]+)\]")


def published():
    """Mean and interval of every row less every other, seed by seed, and of every correlation."""
    for file in STUDIES.glob("*/*/study.json"):
        columns = {}
        for value in json.loads(file.read_text())["values"]:
            rows = columns.setdefault((value["measure"], value["generator"]), {})
            rows.setdefault(value["row"], {})[value["seed"]] = value["value"]
        for rows in columns.values():
            for one, other in itertools.permutations(rows.values(), 2):
                found = paired_difference(one, other)
                if found and found.interval:
                    yield found.mean, *found.interval
    for entry in json.loads((STUDIES / "correlations" / "correlations.json").read_text()):
        for numbers in entry.values():
            if isinstance(numbers, list) and None not in numbers:
                yield tuple(numbers)


def unfounded(text, numbers):
    """What a text states that none of the numbers is, when rounded as it is stated."""
    wrong = []
    for match in STATED.finditer(text.replace("−", "-")):
        stated, scale = match.group(1, 3, 4), 100 if match.group(2) == " points" else 1
        places = [len(part.partition(".")[2]) for part in stated]
        shown = [float(part) for part in stated]
        if not any(
            all(round(n * scale, p) == s for n, p, s in zip(each, places, shown, strict=True)) for each in numbers
        ):
            wrong.append(match.group())
    return wrong


def test_evidence_states_what_the_studies_found():
    text = (ROOT / "docs" / "evidence.md").read_text()
    assert len(STATED.findall(text.replace("−", "-"))) > 80
    assert unfounded(text, list(published())) == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("PSNR −0.25 dB [−0.50, +0.75], so", []),
        ("**+9.3 [+5.9, +12.6]**", ["+9.3 [+5.9, +12.6]"]),
        ("usage −11.6 points [−21.5, −1.6]", []),
        ("usage −0.11 [−0.21, −0.02]", ["-0.11 [-0.21, -0.02]"]),
    ],
)
def test_a_number_is_looked_for_as_it_is_rounded(text, wrong):
    assert unfounded(text, [(-0.2512, -0.4999, 0.7501), (-0.116, -0.21499, -0.01601)]) == wrong
