"""The stages of a VQGAN run: what each reads and writes, and the settings that its result depends on."""

from vistok.workbench.recipe_config import Choice
from vistok.workbench.run.paths import RunPaths
from vistok.workbench.run.stages import Stage
from vqgan.config import VQGANConfig

#: About the seconds of each stage, and of a step of those that train, on 2 cores of an AMD EPYC, by configuration.
SECONDS = {
    "digits": {
        "train-tokenizer": 0.14,
        "encode": 2.1,
        "train-generator": 0.107,
        "sample": 12.5,
        "reconstruct": 0.4,
        "evaluate": 27.0,
        "report": 0.7,
    },
}


def stages(config: VQGANConfig, paths: RunPaths, choice: Choice) -> list[Stage]:
    """All stages of a run in order, with the generator, the sample set and the evaluation that are chosen."""
    generator, samples, evaluation = choice
    drawing, page = f"generators.{generator}.samples.{samples}", paths.report(evaluation)
    trained = config.generators[generator].training_keys()
    every_sample = [f"sample.{name}.{label}" for name, each in config.generators.items() for label in each.samples]
    return [
        Stage(
            "train-tokenizer",
            ("seed", "data", "tokenizer", "losses", "discriminator", "train"),
            (paths.tokenizer / "model.safetensors", paths.tokenizer / "config.json"),
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
