"""The loop that every training shares: seeds, rates, progress, metrics, checkpoints and stops around each step."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Self

import torch
from accelerate import Accelerator
from pydantic import Field, model_validator
from torch import Tensor
from tqdm import tqdm

from vistok.workbench.config import Config, MixedPrecision
from vistok.workbench.run.devices import Arriving
