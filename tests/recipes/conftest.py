"""A file that stands for a download: both recipes read weights of their frozen networks from such files."""

import pytest
import torch
from safetensors.torch import save_file

from vistok.metrics.networks._torchvision_schemas import declare_missing_operators


@pytest.fixture(scope="session")
def backbone_file(tmp_path_factory):
    """Other weights of the default backbone, as timm writes them."""
    declare_missing_operators()
    import timm

    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("weights") / "lite0.safetensors"
    save_file(timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict(), path)
    return path
