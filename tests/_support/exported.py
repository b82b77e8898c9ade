"""A finished run as a pipeline: what every recipe's must do."""

import torch

from vistok.workbench.evaluation.sampling import load_samples
from vistok.workbench.pipeline_command import PipelineOptions
from vistok.workbench.run.folder import run_maker


def check_pipeline(load_pipeline, commands, paths, *, config, generator, seed):
    """Its images are those of the sample stage, from the run and from what is exported of it, without the run."""
    stored = load_samples(paths.samples(generator))
    wanted, labels = stored["images"], stored["labels"].tolist()
    assert torch.equal(load_pipeline(paths.folder).tensors(labels, seed=seed), wanted)
    target = paths.folder.parent / "exported"
    commands["export-pipeline"](PipelineOptions(config=config, runs=paths.folder.parent, folder=target, license="mit"))
    paths.folder.rename(paths.folder.with_name("elsewhere"))
    assert run_maker(target) == load_pipeline.__module__.split(".")[0]
    pipeline = load_pipeline(target, generator=generator)
    assert torch.equal(pipeline.tensors(labels, seed=seed), wanted)
    images = pipeline(["7", 7], seed=seed)
    assert [image.size for image in images] == [tuple(wanted.shape[-2:])] * 2
    card = (target / "README.md").read_text()
    for text in (
        "license: mit",
        "| PSNR |",
        "| recognised |",
        "load_pipeline",
        "(samples.png)",
        "@misc",
        "4,500 images",
    ):
        assert text in card, text
    for file in target.rglob("*"):
        if file.suffix in (".md", ".yaml", ".json"):
            assert str(paths.folder.parent) not in file.read_text()
            assert "More Information Needed" not in file.read_text()
