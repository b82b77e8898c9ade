"""Independent float64 derivations and numbers computed by hand."""

import pytest

import vistok.quantizers
from _support import fixed_quantizer_checks, quantizer_checks

CHECKS = quantizer_checks.CHECKS + fixed_quantizer_checks.CHECKS


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_package_passes(check):
    check(vistok.quantizers)
