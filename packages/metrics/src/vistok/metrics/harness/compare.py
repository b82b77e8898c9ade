"""Two evaluations side by side, where their numbers may be compared at all."""

from typing import Any

from vistok.metrics.harness.evaluation import Evaluation, number

#: What two evaluations may differ in and still be compared: what is evaluated, and when.
SUBJECTS = ("subject", "samples: source", "samples: hash", "second: source", "second: hash", "batch size", "seconds")


class NotComparableError(ValueError):
    """Two evaluations were made with other choices; the message lists them."""


def compare(first: Evaluation, second: Evaluation) -> str:
    """A Markdown table of the measures that both have, with their difference.

    Args:
        first: An evaluation.
        second: Another one; differences are its numbers less those of the first.

    Raises:
        NotComparableError: A choice that moves numbers differs (anything but :data:`SUBJECTS`), or there is no common
            measure.

    Example:
        >>> one = Evaluation({"count": 100, "subject": "a"}, {"reconstruction": {"psnr": 20.0}})
        >>> two = Evaluation({"count": 100, "subject": "b"}, {"reconstruction": {"psnr": 21.5}})
        >>> print(compare(one, two).splitlines()[-1])
        | reconstruction | psnr | 20 | 21.5 | 1.5 |
    """
    different = [
        f"{name} {_told(first.choices, name)} and {_told(second.choices, name)}"
        for name in {**first.choices, **second.choices}
        if name not in SUBJECTS and first.choices.get(name) != second.choices.get(name)
    ]
    if different:
        raise NotComparableError(f"made with other choices: {', '.join(different)}")
    rows = [
        (section, name, values[name], second.measures[section][name])
        for section, values in first.measures.items()
        for name in values
        if name in second.measures.get(section, {})
    ]
    if not rows:
        raise NotComparableError("no measure is in both")
    names = [str(side.choices.get("subject", place)) for side, place in ((first, "first"), (second, "second"))]
    lines = [f"| section | measure | {names[0]} | {names[1]} | difference |", "|---|---|---|---|---|"]
    lines += [
        f"| {section} | {name.replace('_', ' ')} | {number(a)} | {number(b)} | {number(b - a)} |"
        for section, name, a, b in rows
    ]
    return "\n".join(lines) + "\n"


def _told(choices: dict[str, Any], name: str) -> str:
    return str(choices[name]) if name in choices else "nothing"
