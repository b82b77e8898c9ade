"""A verdict in words on a run's measures: what worked, what did not, and what to try. Thresholds stand in one place."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from vistok.metrics.report.page import Section, Table, Text

#: dB above the mean training image, below which tokens carry little; at 0 they carry nothing.
LITTLE_PSNR_GAIN = 3.0
#: Share of codes or bits in use.
FEW_CODES, MANY_CODES = 0.2, 0.6
#: Frechet distance of samples, as a multiple of the floor that as many real images set.
FAR_FROM_REAL, NEAR_REAL = 10.0, 5.0
#: Samples, and real images, of which the distance and coverage are judged: noise is near the floor of fewer.
FEWEST_IMAGES = 200
#: The smaller number of the two over the larger one, at least.
AS_MANY = 0.8
#: Share of recognised samples: at most this multiple of chance is nothing; this share of real images' is good.
CHANCE_MULTIPLE, RECOGNISED_SHARE = 2.0, 0.8
#: Precision, coverage or diversity as a share of real images'.
POOR_SHARE, GOOD_SHARE = 0.2, 0.6
#: The same of diversity, above 1 of its inverse: noise is only half as far again from noise as images are.
POOR_DIVERSITY, GOOD_DIVERSITY = 0.4, 0.75

Level = Literal["worked", "in part", "did not work", "not judged"]


class Finding(NamedTuple):
    """One line of a verdict: of what, how well, what was measured, and what to try where it is not well."""

    subject: str
    level: Level
    measured: str
    advice: str = ""


def findings(measures: Mapping[str, Any], *, reconstruction: str, usage: Mapping[str, float]) -> list[Finding]:
    """Judge the measures of a run by the thresholds of this module; a figure that is missing is not judged.

    Nor are the distance and coverage of samples, which change with the number of images, where it is not about that of
    the real images (:data:`AS_MANY`) or is below :data:`FEWEST_IMAGES`; a finding says so.

    Args:
        measures: The run's, as :class:`vistok.workbench.evaluation.measures.Evaluation` makes them.
        reconstruction: Which of its sections is the final reconstruction.
        usage: Names of what tokens are made of (a codebook, bits) and the share in use.

    Example:
        >>> measures = {"reconstruction": {"psnr": 9.0}, "mean image": {"psnr": 11.0}}
        >>> [finding.level for finding in findings(measures, reconstruction="reconstruction", usage={"codes": 0.95})]
        ['did not work', 'worked']
    """
    found = [_reconstruction(measures.get(reconstruction, {}), measures.get("mean image", {}))]
    found += [_usage(name, share) for name, share in usage.items()]
    real = measures.get("real images", {})
    for section, values in measures.items():
        if section.startswith("samples "):
            numbers = _numbers(section, values, real)
            judged = {key: value for key, value in values.items() if numbers is None or key not in _BY_NUMBER}
            found += [numbers, _distance(section, judged, real), _recognition(section, judged, real)]
            found += [_likeness(section, judged, real, *line) for line in _LIKENESS]
    return [finding for finding in found if finding is not None]


def verdict_section(found: list[Finding]) -> Section:
    """The verdict as a section of a report: one sentence a level, then a line a finding."""
    lines = []
    for level, words in (
        ("worked", "Worked"),
        ("in part", "Worked in part"),
        ("did not work", "Did not work"),
        ("not judged", "Not judged"),
    ):
        subjects = [finding.subject for finding in found if finding.level == level]
        if subjects:
            lines.append(f"{words}: {', '.join(subjects)}.")
    table = Table(
        ["what", "verdict", "measured", "what to try"],
        [[finding.subject, finding.level, finding.measured, finding.advice] for finding in found],
        caption="Thresholds: docs/metrics.md. A verdict on measures: look at the pictures too.",
    )
    return Section("Verdict", [Text(" ".join(lines) or "Nothing could be judged."), table])


def _level(value: float, bad: float, good: float) -> Level:
    """By two thresholds; ``bad`` is above ``good`` where lower is better."""
    sign = 1 if good > bad else -1
    return "did not work" if sign * value <= sign * bad else "worked" if sign * value >= sign * good else "in part"


def _finding(subject: str, level: Level, measured: str, advice: str) -> Finding:
    return Finding(subject, level, measured, "" if level == "worked" else advice)


def _reconstruction(values: Mapping[str, float], mean: Mapping[str, float]) -> Finding | None:
    if "psnr" not in values or "psnr" not in mean:
        return None
    measured = f"PSNR {values['psnr']:.1f} dB; the mean training image has {mean['psnr']:.1f} dB"
    advice = (
        "train the tokenizer longer; look at its curves: if reconstruction does not fall, lower the learning rate and "
        "the adversarial weight, or let the discriminator start later"
    )
    return _finding("reconstruction", _level(values["psnr"] - mean["psnr"], 0.0, LITTLE_PSNR_GAIN), measured, advice)


def _usage(name: str, share: float) -> Finding:
    advice = "replace unused codes during training, take a smaller codebook, or raise the weight of the entropy term"
    measured = f"{share:.0%} in use on the validation images; below {FEW_CODES:.0%} most are dead"
    return _finding(name, _level(share, FEW_CODES, MANY_CODES), measured, advice)


_BY_NUMBER = ("frechet_distance", "coverage")  # what changes with the number of images


def _numbers(section: str, values: Mapping[str, float], real: Mapping[str, float]) -> Finding | None:
    samples, images = values.get("count", 0.0), real.get("count", 0.0)
    fewer, more = sorted((samples, images))
    if fewer >= max(FEWEST_IMAGES, AS_MANY * more) or not any(key in values for key in _BY_NUMBER):
        return None
    measured = (
        f"{samples:,.0f} samples beside {images:,.0f} real images; a distance and coverage are judged between about "
        f"equal numbers of at least {FEWEST_IMAGES}"
    )
    advice = "draw as many samples as there are real images, or hold out more of these where they are too few"
    return Finding(f"{section}: distance and coverage", "not judged", measured, advice)


def _distance(section: str, values: Mapping[str, float], real: Mapping[str, float]) -> Finding | None:
    floor = real.get("frechet_distance", 0.0)
    if "frechet_distance" not in values or floor <= 0:
        return None
    ratio = values["frechet_distance"] / floor
    advice = (
        "train the generator longer or wider; if reconstructions are as far from their originals, the tokenizer first"
    )
    measured = f"Frechet distance {ratio:.1f} times that of about as many real images"
    return _finding(f"{section}: distance", _level(ratio, FAR_FROM_REAL, NEAR_REAL), measured, advice)


def _recognition(section: str, values: Mapping[str, float], real: Mapping[str, float]) -> Finding | None:
    if "recognised" not in values or "chance" not in real:
        return None
    share, nothing, good = values["recognised"], CHANCE_MULTIPLE * real["chance"], RECOGNISED_SHARE * real["recognised"]
    measured = (
        f"{share:.0%} show the class asked for; {real['recognised']:.0%} of real images, {real['chance']:.0%} by chance"
    )
    if good <= nothing:  # the classifier itself hardly tells the classes apart
        return None
    advice = "train the generator longer, raise the guidance; check that classes differ to the eye at this image size"
    return _finding(f"{section}: classes", _level(share, nothing, good), measured, advice)


_LIKENESS = (
    (
        "precision",
        "quality",
        "lie among real images",
        "train the generator longer, raise the guidance or lower the temperature",
    ),
    (
        "coverage",
        "coverage",
        "of the real images have one near them",
        "lower the guidance, raise the temperature, take more sampling steps; draw more samples",
    ),
    (
        "diversity",
        "variety",
        "of real images' distance within a class",
        "below, samples of a class repeat each other: lower the guidance; above, they scatter like noise: train longer",
    ),
)


def _likeness(
    section: str, values: Mapping[str, float], real: Mapping[str, float], key: str, noun: str, words: str, advice: str
) -> Finding | None:
    if key not in values or real.get(key, 0.0) <= 0:
        return None
    measured = f"{values[key]:.0%} {words}; of real images {real[key]:.0%}"
    ratio, thresholds = values[key] / real[key], (POOR_SHARE, GOOD_SHARE)
    if key == "diversity":
        ratio, thresholds = min(ratio, 1 / ratio) if ratio else 0.0, (POOR_DIVERSITY, GOOD_DIVERSITY)
    return _finding(f"{section}: {noun}", _level(ratio, *thresholds), measured, advice)
