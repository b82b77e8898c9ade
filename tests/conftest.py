"""Hypothesis profiles: `ci` by default, `--hypothesis-profile nightly` for the long random run. Shared fixtures."""

import pytest
from hypothesis import settings

from _support.browser import browser  # noqa: F401 - pytest finds fixtures by name
from _support.mutants import pytest_generate_tests, pytest_pyfunc_call  # noqa: F401 - pytest calls them by name

settings.register_profile("ci", deadline=None, derandomize=True, max_examples=50)
settings.register_profile("nightly", deadline=None, max_examples=1000)
settings.load_profile("ci")


@pytest.fixture(scope="session")
def torchvision_imports():
    """For tests that import torchvision, or what does: with a torch that it was not built for, too."""
    from vistok.metrics.networks._torchvision_schemas import declare_missing_operators

    declare_missing_operators()


@pytest.fixture(scope="session")
def backbone_file(tmp_path_factory, torchvision_imports):
    """A file that stands for a download: other weights of the default backbone, as timm writes them."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("weights") / "lite0.safetensors"
    save_file(timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict(), path)
    return path
