"""What is decoded from a part of the visual features."""

import torch

from _support.glotok_runs import tiny
from _support.mutants import catches
from glotok.model import GloTok
from glotok.reconstruct import RETENTION, retention_study
from vistok.workbench.data import load_images

SUBJECT = "glotok.reconstruct"


@catches(SUBJECT, "rank < round(part", "rank >= round(part")
@catches(SUBJECT, "for with_semantic in (0.0, 1.0)", "for with_semantic in (1.0, 0.0)")
def test_the_retention_study_keeps_nested_parts_and_ends_at_the_reconstruction():
    config = tiny()
    torch.manual_seed(0)
    tokenizer = GloTok(config.tokenizer).eval()
    images = load_images("digits", image_size=16).validation.batch(range(3))
    study = retention_study(tokenizer, images, seed=0)
    assert study.shape == (3, 2, len(RETENTION), 1, 16, 16)
    torch.testing.assert_close(study[:, 1, -1].clamp(-1, 1), tokenizer.reconstruct(images))
    semantic, visual = tokenizer.recovered(*tokenizer.codes(tokenizer.encode(images)))
    torch.testing.assert_close(study[:, 0, -1], tokenizer.decode_recovered(torch.zeros_like(semantic), visual))
