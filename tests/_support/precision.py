"""Tests of bfloat16 on processors that have no products in it."""

from vistok.workbench.training import precision


def with_bfloat16(monkeypatch):
    """Let trainings compute in bfloat16 whatever this processor has: slowly, but the same."""
    monkeypatch.setattr(precision, "computes_in_bfloat16", lambda device: True)
