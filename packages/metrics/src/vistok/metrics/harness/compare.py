"""Two evaluations side by side, where their numbers may be compared at all."""

from typing import Any

from vistok.metrics.harness.codec_baselines import SECTION as BASELINES
from vistok.metrics.harness.evaluation import Evaluation, number, table_row
from vistok.metrics.harness.labels import label

#: What two evaluations may differ in and still be compared: what is evaluated, where and when.
MAY_DIFFER = frozenset(
    (
        *("subject", "tokenizer weights", "samples: source", "samples: hash", "samples: files"),
        *("second: source", "second: hash", "second: files"),
        *("batch size", "seconds", "python", "torch", "pillow"),
    )
)


class NotComparableError(ValueError):
    """Two evaluations were made with other choices; the message lists them."""


def compare(first: Evaluation, second: Evaluation) -> str:
    """A Markdown table of the measures that both have, with their difference, and what else differs.

    Codecs that stand beside a tokenizer are left out: they are not what was evaluated.

    Args:
        first: An evaluation.
        second: Another one; differences are its numbers less those of the first.

    Raises:
        NotComparableError: A choice that moves numbers differs (anything but ``MAY_DIFFER`` and the training images
            of the codecs), or there is no common measure.

    Example:
        >>> one = Evaluation({"count": 100, "subject": "a"}, {"reconstruction": {"ssim": 0.5}})
        >>> two = Evaluation({"count": 100, "subject": "b"}, {"reconstruction": {"ssim": 0.75}})
        >>> print(compare(one, two).splitlines()[2])
        | reconstruction | SSIM | 0.5 | 0.75 | 0.25 |
    """
    different = [
        name
        for name in {**first.choices, **second.choices}
        if first.choices.get(name) != second.choices.get(name) and not name.startswith("training: ")
    ]
    refused = [_told(name, first, second) for name in different if name not in MAY_DIFFER]
    if refused:
        raise NotComparableError(f"made with other choices: {', '.join(refused)}")
    network = str(first.choices.get("network", "no network"))
    rows = [
        (section, label(name, network), value, second.measures[section][name])
        for section, values in first.measures.items()
        for name, value in values.items()
        if section != BASELINES and name in second.measures.get(section, {})
    ]
    if not rows:
        raise NotComparableError("no measure is in both")
    names = [str(side.choices.get("subject", place)) for side, place in ((first, "first"), (second, "second"))]
    lines = [table_row("section", "measure", *names, "difference"), "|---|---|---|---|---|"]
    lines += [table_row(where, name, number(a), number(b), number(b - a)) for where, name, a, b in rows]
    told = [_told(name, first, second) for name in different if name not in ("subject", "seconds")]
    return "\n".join([*lines, *(["", f"Also different: {', '.join(told)}."] if told else [])]) + "\n"


def _told(name: str, *sides: Evaluation) -> str:
    one, other = (_value(side.choices, name) for side in sides)
    return f"{name} {one} and {other}"


def _value(choices: dict[str, Any], name: str) -> str:
    return str(choices[name]) if name in choices else "nothing"
