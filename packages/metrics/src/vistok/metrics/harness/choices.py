"""What is said beside every number: which network it was measured in, on which versions, from which images."""

import platform
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import torch

from vistok.metrics.distribution.reference import ReferenceStatistics
from vistok.metrics.harness.held import held_tensors
from vistok.metrics.networks.features import FeatureNetwork
from vistok.metrics.networks.fingerprint import fingerprint


def versions() -> dict[str, str]:
    """Of Python and of the packages that have a part in the numbers."""
    found = {"python": platform.python_version()}
    for name in ("torch", "pillow", "vistok-metrics"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # a checkout that is only on the path
            found[name] = "unknown"
    return {**found, "torch": str(torch.__version__)}  # its own kind of string could not be kept and read again


def of_network(network: FeatureNetwork | None) -> dict[str, str]:
    """A network's name, the fingerprint of its weights, and how images are brought to it."""
    if network is None:
        return {}
    return {
        "network": network.name,
        "network weights": network.fingerprint(),
        "network preprocessing": network.preprocessing,
    }


def of_tokenizer(tokenizer: Any) -> dict[str, str]:
    """The fingerprint of all tensors that a tokenizer holds; of an object without any, nothing.

    Example:
        >>> from torch import nn
        >>> of_tokenizer(nn.Identity()), len(of_tokenizer(nn.Linear(1, 1))["tokenizer weights"])
        ({}, 16)
    """
    weights = held_tensors(tokenizer)
    return {"tokenizer weights": fingerprint(weights)} if weights else {}


def of_images(what: str, described: Mapping[str, Any]) -> dict[str, Any]:
    """What a source of images says of itself, each entry under the name of what the images are."""
    return {f"{what}: {name}": value for name, value in described.items()}


def of_statistics(statistics: ReferenceStatistics, source: str) -> dict[str, str]:
    """Where a reference's statistics come from, and a hash of their values."""
    return {
        "reference: source": f"statistics {source}",
        "reference: hash": f"mean and covariance {fingerprint(statistics.features._asdict())}",
    }
