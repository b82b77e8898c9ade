"""Class vectors, and the null label in training."""

import torch

from _support.mutants import catches
from _support.strategies import seeded
from vistok.generators import LabelEmbedding

SUBJECT = "vistok.generators.layers.label_embedding"


@catches(SUBJECT, "if self.training and self.drop_prob > 0:", "if self.drop_prob > 0:")
def test_labels_are_dropped_at_their_rate_and_only_in_training():
    table = LabelEmbedding(3, 2, drop_prob=0.3)
    labels = torch.zeros(20_000, dtype=torch.int64)
    rows = table(labels, generator=seeded(0))
    dropped = (rows == table.table.weight[3]).all(-1)
    assert abs(dropped.float().mean().item() - 0.3) < 0.02
    again = table(labels, generator=seeded(0))
    assert torch.equal(rows, again)
    assert torch.equal(table.eval()(labels), table.table.weight[labels])
