"""Generate images of every class."""

from vistok.workbench.evaluation.sampling import drawn_by, write_samples
from vistok.workbench.run.paths import RunPaths
from vqgan.config import VQGANConfig
from vqgan.pipeline import open_pipeline, pipeline_files


def sample_images(config: VQGANConfig, paths: RunPaths, generator: str, name: str) -> None:
    """Write the sample set ``name`` of a generator: images, the classes in turn, with their labels."""
    pipeline = open_pipeline(config, paths, generator, name)
    write_samples(
        paths.samples(generator, name),
        pipeline.draw,
        pipeline.settings,
        len(pipeline.class_names),
        seed=config.seed,
        name=generator,
        made_by=drawn_by(config, pipeline_files(paths, generator)),
    )
