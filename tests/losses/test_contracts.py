"""Every loss against its formula in float64, by hand, and along its gradient lines."""

import pytest

import vistok.losses as losses
from _support import adversarial_checks, entropy_checks, term_checks

CHECKS = [*term_checks.CHECKS, *adversarial_checks.CHECKS, *entropy_checks.CHECKS]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(check):
    check(losses)
