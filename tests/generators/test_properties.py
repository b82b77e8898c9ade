"""Every check of the generators holds."""

import pytest

from _support import far_checks, flow_checks, layer_checks, masked_checks, xar_checks
from vistok import generators

CHECKS = [
    pytest.param(check, id=f"{module.__name__.split('.')[-1].removesuffix('_checks')}-{check.__name__}")
    for module in (layer_checks, flow_checks, xar_checks, far_checks, masked_checks)
    for check in module.CHECKS
]


@pytest.mark.parametrize("check", CHECKS)
def test_that(check):
    check(generators)
