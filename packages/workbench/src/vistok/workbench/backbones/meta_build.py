"""Find out before a run whether its networks can be built and fit each other: on a device that computes only shapes."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from vistok.metrics import FeatureBackbone, count_stages
from vistok.metrics.networks.by_name import INCEPTION
from vistok.metrics.networks.feature_backbone import LITE0
from vistok.workbench.config import ConfigError, ConfigT

_LONGEST_REASON = 250


def remembered(check: Callable[[ConfigT], None]) -> Callable[[ConfigT], None]:
    """The check of a configuration, made once for equal ones: a demo asks before each of its stages.

    Example:
        >>> from vistok.workbench.config import Config
        >>> check = remembered(lambda config: print("checked"))
        >>> check(Config()), check(Config())
        checked
        (None, None)
    """
    passed: set[str] = set()

    @functools.wraps(check)
    def once(config: ConfigT) -> None:
        key = config.model_dump_json()
        if key not in passed:
            check(config)
            passed.add(key)

    return once


@contextlib.contextmanager
def building(section: str) -> Iterator[None]:
    """Within the block tensors have a shape and no values, and what fails is an error of this configuration section.

    Raises:
        ConfigError: Whatever fails, in one line that begins with the section's name.

    Example:
        >>> with building("discriminator"):
        ...     torch.nn.Conv2d(3, 8, kernel_size=9)(torch.empty(1, 3, 4, 4))
        Traceback (most recent call last):
        ...
        vistok.workbench.config.ConfigError: discriminator: does not fit together (RuntimeError: Calculated padded ...
    """
    try:
        with torch.device("meta"):
            yield
    except ConfigError as error:
        raise ConfigError(f"{section}: {error}") from None
    except ValueError as error:
        raise ConfigError(f"{section}: {_one_line(error)}") from error
    except Exception as error:  # whatever torch raises for shapes that do not fit
        reason = f"{type(error).__name__}: {_one_line(error)}"
        raise ConfigError(f"{section}: does not fit together ({reason})") from error


def check_perceptual(section: str, settings: Any, image_size: int) -> None:
    """Raise :class:`ConfigError` unless the term's network exists, has the stages asked for, and its files.

    And sees images of ``image_size`` pixels a side.
    """
    for key in ("perceptual_weights", "perceptual_heads"):
        _check_file(f"{section}.{key}", getattr(settings, key))
    if settings.perceptual == "lpips":
        return
    count = _stages(f"{section}.perceptual_backbone", settings.perceptual_backbone, image_size)
    if settings.perceptual_stages > count:
        raise ConfigError(
            f"{section}.perceptual_stages: expected 1 to {count} for {settings.perceptual_backbone}, "
            f"got {settings.perceptual_stages}"
        )


def check_backbone(section: str, settings: Any, image_size: int) -> int:
    """How many stages the network named ``backbone`` has.

    Raises:
        ConfigError: There is no such network, or not its file where one is given; or it sees no images of
            ``image_size`` pixels a side.
    """
    count = _stages(f"{section}.backbone", settings.backbone, image_size)
    _check_file(f"{section}.weights", getattr(settings, "weights", None))
    return count


def check_network(section: str, settings: Any) -> None:
    """As :func:`check_backbone`, for an evaluation at its size: its features may be those of Inception, too."""
    _check_file(f"{section}.reference_statistics", settings.reference_statistics)
    if settings.backbone == INCEPTION:
        _check_file(f"{section}.weights", settings.weights)
    else:
        check_backbone(section, settings, settings.image_size)


def _check_file(key: str, path: str | None) -> None:
    if path is not None and not Path(path).is_file():
        raise ConfigError(f"{key}: expected a file, got {path!r}")


def _stages(key: str, name: str, image_size: int) -> int:
    if name == LITE0:  # sees images of any size: nothing to build
        return count_stages(name)
    try:
        with torch.device("meta"):
            backbone = FeatureBackbone(name)
        backbone.check_size(image_size)
    except ValueError as error:
        raise ConfigError(f"{key}: {_one_line(error)}") from None
    return len(backbone.stage_channels)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:_LONGEST_REASON]
