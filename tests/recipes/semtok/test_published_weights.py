"""The published files of TiTok and FlowMo are opened by name."""

import tomllib
from pathlib import Path

import pytest
import torch

from _support.mutants import catches
from _support.published_tokenizers import asked_for, golden, spread, state_of
from vistok.metrics import load_tokenizer
from vistok.metrics.harness.loaders import GROUP
from vistok.tokenizers import FlowTokenizer, load_flowmo

ANNOUNCED = tomllib.loads((Path(__file__).parents[3] / "recipes" / "pyproject.toml").read_text())["project"]
SUBJECT = "semtok.published_weights"


@pytest.mark.slow  # whole networks, if on the meta device
@catches(SUBJECT, "num_groups=4", "num_groups=2")
@catches(SUBJECT, '"model_ema_state_dict"', '"model_state_dict"')
def test_an_evaluation_opens_flowmos_published_files_by_name(tmp_path):
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


@catches(SUBJECT, "load_titok(read_published(name))", "load_titok({})")
def test_an_evaluation_opens_titoks_published_file_by_name(tmp_path):
    torch.save(state_of("titok"), tmp_path / "tokenizer_titok.bin")
    for place in (tmp_path, tmp_path / "tokenizer_titok.bin"):
        model = load_tokenizer(ANNOUNCED["entry-points"][GROUP]["titok"], place)
        assert model.encode(spread("images", (2, 3, 8, 8))).flatten().tolist() == golden("titok")["indices"]
        assert model.codebook_sizes == (24,)


def test_a_file_of_another_network_is_one_line(tmp_path):
    torch.save(state_of("maskbit"), tmp_path / "theirs.bin")
    with pytest.raises(ValueError, match=r"could not be loaded from .*theirs\.bin: checkpoint does not fit") as refused:
        load_tokenizer(ANNOUNCED["entry-points"][GROUP]["titok"], tmp_path / "theirs.bin")
    assert "\n" not in str(refused.value)
