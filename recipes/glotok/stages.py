"""The stages of a GloTok run: what each reads and writes, and the settings that its result depends on."""

from glotok.config import GloTokConfig
from glotok.paths import RunPaths
from vistok.workbench.recipe_config import Choice
from vistok.workbench.run.stages import Stage

#: About the seconds of each stage, and of a step of those that train, on 2 cores of an AMD EPYC, by configuration.
SECONDS = {
    "digits": {
        "teacher": 6.5,
        "train-tokenizer": 0.16,
        "encode": 3.1,
        "train-generator": 0.103,
        "sample": 12.0,
        "reconstruct": 0.6,
        "evaluate": 27.0,
        "report": 0.8,
    },
    "openmoji32": {
        "teacher": 5.5,
        "train-tokenizer": 0.162,
        "encode": 2.8,
        "train-generator": 0.103,
        "sample": 12.0,
        "reconstruct": 0.6,
        "evaluate": 25.0,
        "report": 0.9,
    },
}


def stages(config: GloTokConfig, paths: RunPaths, choice: Choice) -> list[Stage]:
    """All stages of a run in order, with the generator, the sample set and the evaluation that are chosen."""
    generator, samples, evaluation = choice
    drawing, page = f"generators.{generator}.samples.{samples}", paths.report(evaluation)
    trained = config.generators[generator].training_keys()
    every_sample = [f"sample.{name}.{label}" for name, each in config.generators.items() for label in each.samples]
    alignment = config.losses.alignment
    teacher = Stage(
        "teacher",
        ("seed", "data", "teacher", "tokenizer.semantic_codebook_size"),
        (paths.teacher, paths.teacher.with_suffix(".json")),
    )
    first = {"none": ("seed", "data"), "contrastive": ("seed", "data", "teacher", "representation"), "histogram": ()}
    taught = [teacher] if alignment == "histogram" else []
    return [
        *taught,
        Stage(
            "train-tokenizer",
            (*first[alignment], "tokenizer", "losses", "discriminator", "train"),
            (paths.tokenizer / "model.safetensors", paths.tokenizer / "config.json"),
            needs=tuple(stage.name for stage in taught),
            checkpoints=paths.tokenizer_checkpoints,
        ),
        Stage("encode", (), (paths.tokens,), needs=("train-tokenizer",)),
        Stage(
            f"train-generator.{generator}",
            tuple(f"generators.{generator}.{key}" for key in trained),
            (paths.generator(generator), paths.generator(generator).with_suffix(".json")),
            needs=("encode",),
            checkpoints=paths.checkpoints(generator),
        ),
        Stage(
            f"sample.{generator}.{samples}",
            (drawing,),
            (paths.samples(generator, samples),),
            needs=(f"train-generator.{generator}",),
        ),
        Stage("reconstruct", (), (paths.reconstructions,), needs=("train-tokenizer",)),
        Stage(
            f"evaluate.{evaluation}",
            (f"evaluations.{evaluation}",),
            (paths.evaluation(evaluation),),
            needs=("reconstruct",),
            reads=("encode", *every_sample),
        ),
        Stage(
            "inspect", (drawing,), (paths.inspection,), needs=("reconstruct",), reads=(f"train-generator.{generator}",)
        ),
        Stage(f"report.{evaluation}", (), (page,), needs=(f"evaluate.{evaluation}",), reads=("inspect", *every_sample)),
    ]
