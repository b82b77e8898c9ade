"""Generate images of every class."""

from glotok.config import GloTokConfig
from glotok.paths import RunPaths
from glotok.pipeline import open_pipeline, pipeline_files
from vistok.workbench.evaluation.sampling import drawn_by, write_samples


def sample_images(config: GloTokConfig, paths: RunPaths, generator: str, name: str) -> None:
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
