"""A non-finite loss names its term and step and keeps the batch."""

import pytest
import torch
from safetensors.torch import load_file

from _support.mutants import catches
from vistok.workbench.training.finite import NonFiniteLossError, check_finite

SUBJECT = "vistok.workbench.training.finite"


@catches(SUBJECT, "for n, t in terms.items() if", "for n, t in reversed(terms.items()) if")
@catches(SUBJECT, "save_tensors(path, batch)", "pass")
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_the_first_bad_term_the_step_and_the_batch_are_named(tmp_path, bad):
    terms = {
        "reconstruction": torch.tensor(1.0),
        "perceptual": torch.tensor(bad),
        "residual": torch.tensor(float("nan")),
    }
    batch = {"images": torch.arange(12.0).reshape(1, 3, 2, 2).flip(-1)}
    with pytest.raises(NonFiniteLossError, match="step 7: loss term perceptual is") as caught:
        check_finite(terms, 7, batch, tmp_path)
    assert str(tmp_path / "nonfinite-step-7.safetensors") in str(caught.value)
    assert torch.equal(load_file(tmp_path / "nonfinite-step-7.safetensors")["images"], batch["images"])


def test_finite_terms_pass_and_write_nothing(tmp_path):
    check_finite({"a": torch.tensor(1e30), "b": torch.tensor(0.0, dtype=torch.bfloat16)}, 0, {}, tmp_path)
    assert not list(tmp_path.iterdir())
