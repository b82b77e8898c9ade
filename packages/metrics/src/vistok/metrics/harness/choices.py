"""What is said beside every number: which network it was measured in, on which versions, from which images."""

import platform
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import torch

from vistok.metrics.networks.features import FeatureNetwork


def versions() -> dict[str, str]:
    """Of Python, torch and this package."""
    try:
        own = metadata.version("vistok-metrics")
    except metadata.PackageNotFoundError:  # a checkout that is only on the path
        own = "unknown"
    return {"python": platform.python_version(), "torch": torch.__version__, "vistok-metrics": own}


def of_network(network: FeatureNetwork | None) -> dict[str, str]:
    """A network's name, the fingerprint of its weights, and how images are brought to it."""
    if network is None:
        return {}
    return {
        "network": network.name,
        "network weights": network.fingerprint(),
        "network preprocessing": network.preprocessing,
    }


def of_images(what: str, described: Mapping[str, Any]) -> dict[str, Any]:
    """What a source of images says of itself, each entry under the name of what the images are."""
    return {f"{what}: {name}": value for name, value in described.items()}
