"""FlowMo's published files are opened by name."""

import tomllib
from pathlib import Path

import pytest
import torch

from _support.mutants import catches
from _support.published_tokenizers import asked_for
from vistok.metrics import load_tokenizer
from vistok.metrics.harness.loaders import GROUP
from vistok.tokenizers import FlowTokenizer, load_flowmo

ANNOUNCED = tomllib.loads((Path(__file__).parents[3] / "recipes" / "pyproject.toml").read_text())["project"]
SUBJECT = "semtok.published_weights"


@pytest.mark.slow  # whole networks, if on the meta device
@catches(SUBJECT, "num_groups=4", "num_groups=2")
@catches(SUBJECT, '"model_ema_state_dict"', '"model_state_dict"')
def test_an_evaluation_opens_the_published_files_by_name(tmp_path):
    with torch.device("meta"):
        for name, built, size in (
            ("flowmo-lo", FlowTokenizer(), 2**9),
            ("flowmo-hi", FlowTokenizer(bits=56, num_groups=4), 2**14),
        ):
            shapes = asked_for(load_flowmo, built)
            state = {key: torch.full((1,), 0.25, device="cpu").expand(shape) for key, shape in shapes.items()}
            path = tmp_path / f"{name}.pth"
            torch.save({"total_steps": 3, "model_ema_state_dict": state, "model_state_dict": {}}, path)
            model = load_tokenizer(ANNOUNCED["entry-points"][GROUP][name], path)
            assert model.codebook_sizes == (size,)
            assert not model.training
