"""What tokens mean: what other noise keeps, what one token moves, what bits tell of the class, beside plain codes."""

from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from semtok.config import SemTokConfig
from semtok.inspection import decode_alike
from semtok.model import SemTok
from semtok.rate import MOST_VALUES, fitted_images, image_bits
from vistok.metrics import (
    NotMeasurableError,
    PrincipalComponentCodec,
    Recognizer,
    class_information,
    fit_principal_component_codec,
    index_bits,
    to_uint8,
)
from vistok.workbench.data import Images
from vistok.workbench.evaluation.features import network_features
from vistok.workbench.evaluation.measures import Evaluation
from vistok.workbench.evaluation.probe import add_probe
from vistok.workbench.evaluation.recognizer import recognizer_of
from vistok.workbench.evaluation.sampling import spread
from vistok.workbench.run.processes import process_index
from vistok.workbench.run.tensor_files import save_tensors

SECTIONS = ("agreement", "swaps", "information")
SWAPPED_IMAGES = 48
SWAPPED_PLACES = 64  # of the sequence, at most, spread over it
SHOWN_PAIRS, SHOWN_PLACES = 4, 8


def add_meaning(
    evaluation: Evaluation, tokenizer: SemTok, stored: dict[str, Tensor], config: SemTokConfig, pictures: Path
) -> None:
    """Add all of it to an evaluation: sections ``agreement``, ``swaps``, ``information``, ``places`` and ``probe``.

    Pictures of swapped tokens go to a file of their own.
    """
    labels = stored["labels"]
    recognizer = evaluation.recognizer
    if recognizer is None and len(evaluation.train.labels.unique()) > 1:
        recognizer = recognizer_of(evaluation.train, config.seed)

    def features(images: Tensor) -> Tensor:
        return network_features(evaluation.network, images).pooled

    seeds, originals = stored["seeds"], stored["noise originals"]
    if recognizer is not None:
        evaluation.add("agreement", "class", lambda: class_agreement(seeds, originals, recognizer))
    evaluation.add(
        "agreement",
        "features",
        lambda: feature_agreement(features(seeds.flatten(0, 1)).unflatten(0, seeds.shape[:2]), features(originals)),
    )
    tokens = stored["tokens"].long()
    some, places = spread(len(tokens), SWAPPED_IMAGES), spread(tokens.shape[1], SWAPPED_PLACES)

    def swaps() -> dict[str, float]:
        measures, by_place = swap_measures(tokenizer, tokens[some], labels[some], places, recognizer, seed=config.seed)
        evaluation.add("places", "swaps", lambda: {"place": places.tolist(), **by_place})
        return measures

    evaluation.add("swaps", "one token", swaps)
    if recognizer is not None and config.tokenizer.quantizer.binary:
        bits = index_bits(tokens, config.tokenizer.bits)
        measures, by_place = information_measures(bits, labels, seed=config.seed)
        evaluation.add("information", "bits and class", lambda: measures)
        evaluation.add("places", "information", lambda: {"information": by_place[places].tolist()})
    add_plain_probes(evaluation, image_bits(tokenizer), config.seed)
    if process_index() == 0:
        save_tensors(pictures, swapped_pictures(tokenizer, tokens[some], labels[some], config.seed))


def class_agreement(seeds: Tensor, originals: Tensor, recognizer: Recognizer) -> dict[str, float]:
    """How often a classifier of real images sees one class in samples ``(n, S, C, H, W)`` of the same tokens.

    ``class_between`` compares two noises, ``class_as_original`` a sample and the image itself; ``class_other_image`` is
    the floor, samples of two images' tokens.
    """
    count, noises = seeds.shape[:2]
    seen = recognizer.predict(seeds.flatten(0, 1)).view(count, noises)
    own = recognizer.predict(originals)
    pairs = [(seen[:, i] == seen[:, j]).double().mean() for i in range(noises) for j in range(i)]
    alike = torch.stack([column.bincount().square().sum() - count for column in seen.T]).double()
    return {
        "class_between": torch.stack(pairs).mean().item(),
        "class_as_original": (seen == own[:, None]).double().mean().item(),
        **({"class_other_image": (alike / (count * (count - 1))).mean().item()} if count > 1 else {}),
    }


def feature_agreement(seeds: Tensor, originals: Tensor) -> dict[str, float]:
    """Mean cosines of features ``(n, S, D)`` of samples, and ``(n, D)`` of the images, as :func:`class_agreement`."""
    unit = torch.nn.functional.normalize(seeds.double(), dim=-1)
    own = torch.nn.functional.normalize(originals.double(), dim=-1)
    count, noises = unit.shape[:2]
    between = (unit.sum(dim=1).square().sum(dim=-1) - noises) / (noises * (noises - 1))
    others = (unit.sum(dim=0).square().sum(dim=-1) - count) / (count * max(1, count - 1))
    return {
        "cosine_between": between.mean().item(),
        "cosine_to_original": (unit * own[:, None]).sum(dim=-1).mean().item(),
        **({"cosine_other_image": others.mean().item()} if count > 1 else {}),
    }


def partners(labels: Tensor) -> Tensor:
    """For each image another one, of another class where no class has more than half of them.

    Example:
        >>> partners(torch.tensor([0, 0, 1, 1])).tolist()
        [2, 3, 0, 1]
    """
    order = labels.argsort(stable=True)
    shift = min(int(labels.bincount().max()), max(1, len(labels) // 2))
    found = torch.empty_like(order)
    found[order] = order.roll(-shift)
    return found


def changed_area(change: Tensor) -> Tensor:
    """In how much of an image a change ``(B, C, H, W)`` lies, ``(B,)``: 1 evenly everywhere, 1 / pixels in one pixel.

    With the squared change ``e`` of a pixel, over ``P`` pixels, it is ``(sum e)^2 / (P sum e^2)``; 0 without a change.

    Example:
        >>> changed_area(torch.tensor([[3.0, -3.0], [0.0, 0.0]]).view(1, 1, 2, 2)).tolist()
        [0.5]
    """
    energy = change.double().square().sum(dim=1).flatten(1)
    return energy.sum(dim=1).square() / (energy.shape[1] * energy.square().sum(dim=1)).clamp_min(1e-300)


@torch.no_grad()
def swap_measures(
    tokenizer: SemTok, tokens: Tensor, labels: Tensor, places: Tensor, recognizer: Recognizer | None, *, seed: int
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """What becomes of images (stage II, one noise for all) when one token is another image's: means, and by place.

    ``change`` is the mean squared change of a pixel (8-bit units), ``area`` that of :func:`changed_area` over images
    that changed, ``class_changes`` how often the recognised class is another one. ``all_...`` swaps all tokens.
    """
    if len(tokens) < 2:
        raise NotMeasurableError(f"a swap of tokens needs at least 2 validation images, got {len(tokens)}")
    given = tokens[partners(labels)]
    whole = to_uint8(decode_alike(tokenizer, tokens, seed)).cpu()
    classes = None if recognizer is None else recognizer.predict(whole)

    def measured(changed: Tensor) -> dict[str, float]:
        images = to_uint8(decode_alike(tokenizer, changed, seed)).cpu()
        change = images.double() - whole.double()
        areas = changed_area(change)
        values = {"change": change.square().mean().item(), "area": _mean(areas[areas > 0])}
        if recognizer is not None and classes is not None:
            values["class_changes"] = (recognizer.predict(images) != classes).double().mean().item()
        return values

    single = [measured(torch.where(torch.arange(tokens.shape[1]) == place, given, tokens)) for place in places]
    every = measured(given)
    by_place = {key: [values[key] for values in single] for key in every}
    means = {key: sum(values) / len(values) for key, values in by_place.items()}
    return means | {f"all_{key}": value for key, value in every.items()}, by_place


def information_measures(bits: Tensor, labels: Tensor, *, seed: int) -> tuple[dict[str, float], Tensor]:
    """What single bits ``(N, P, L)`` tell of the class: means, and by place the mean over a token's bits, in bits.

    Estimates without their bias, so 0 on average where nothing is told. ``permuted`` is the mean of the same with the
    labels in random order; ``class_entropy`` is what there is to tell.
    """
    found = class_information(bits, labels).corrected
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    shares = labels.bincount().double() / len(labels)
    measures = {
        "mean": found.mean().item(),
        "most": found.max().item(),
        "permuted": class_information(bits, labels[order]).corrected.mean().item(),
        "class_entropy": (torch.special.entr(shares).sum() / torch.tensor(2.0).log()).item(),
    }
    return measures, found.mean(dim=-1)


def add_plain_probes(evaluation: Evaluation, bits: int, seed: int) -> None:
    """The probe of the tokens once more, of raw pixels and of principal components at as many bits."""
    train, validation = evaluation.train, evaluation.validation
    if len(train.class_names) < 2:
        return
    values = train.channels * train.image_size**2
    if values > MOST_VALUES:
        reason = f"{values:,} values an image are more than the {MOST_VALUES:,} that plain probes are for"
        evaluation.add("probe", "plain codes", lambda: _refuse(reason))
        return
    add_probe(evaluation, "pixels", lambda some: train.batch(some), lambda some: validation.batch(some))

    @cache
    def codec() -> PrincipalComponentCodec:
        return fit_principal_component_codec(fitted_images(train, seed), bits_per_image=bits)

    def levels(images: Images, some: Tensor) -> Tensor:
        return codec().values(codec().encode(images.batch(some)))

    add_probe(evaluation, "pca_codes", lambda some: levels(train, some), lambda some: levels(validation, some))
    found = evaluation.measures.get("probe", {})
    if {"accuracy", "pixels", "pca_codes"} <= set(found):
        above = {f"above_{name}": found["accuracy"] - found[name] for name in ("pixels", "pca_codes")}
        evaluation.add("probe", "differences", lambda: above)


@torch.no_grad()
def swapped_pictures(tokenizer: SemTok, tokens: Tensor, labels: Tensor, seed: int) -> dict[str, Tensor]:
    """Some images, with one token of another at each of ``places``, and that other: ``(n, 2 + P, C, H, W)``."""
    some = spread(len(tokens), SHOWN_PAIRS)
    given = tokens[partners(labels)][some]
    places = spread(tokens.shape[1], SHOWN_PLACES)
    each = [torch.where(torch.arange(tokens.shape[1]) == place, given, tokens[some]) for place in places]
    rows = [to_uint8(decode_alike(tokenizer, row, seed)).cpu() for row in (tokens[some], *each, given)]
    return {"images": torch.stack(rows, dim=1), "places": places}


def _mean(values: Tensor) -> float:
    return values.mean().item() if len(values) else 0.0


def _refuse(reason: str) -> dict[str, Any]:
    raise NotMeasurableError(reason)
