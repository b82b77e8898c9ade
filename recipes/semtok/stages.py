"""The stages of a SemTok run: what each reads and writes, and the settings that its result depends on."""

from semtok.config import SemTokConfig, choose_generator
from semtok.generator_config import MaskedConfig
from semtok.paths import RunPaths
from vistok.workbench import recipe_config
from vistok.workbench.recipe_config import Choice
from vistok.workbench.run.stages import Stage

#: About the seconds of each stage, and of a step of those that train, on 2 cores of an AMD EPYC, by configuration.
SECONDS = {
    "digits": {
        "train-tokenizer": 0.132,
        "train-refiner": 0.107,
        "encode": 3.0,
        "train-generator": 0.045,
        "sample": 12.0,
        "reconstruct": 9.0,
        "evaluate": 85.0,
        "report": 1.0,
    },
}


def choose_entries(config: SemTokConfig, generator: str | None, samples: str | None, evaluation: str | None) -> Choice:
    """As :func:`vistok.workbench.recipe_config.choose_entries`; xAR is refused with the reason."""
    return recipe_config.choose_entries(config, choose_generator(config, generator), samples, evaluation)


def stages(config: SemTokConfig, paths: RunPaths, choice: Choice) -> list[Stage]:
    """All stages of a run in order, with the generator, the sample set and the evaluation that are chosen."""
    generator, samples, evaluation = choice
    drawing, page = f"generators.{generator}.samples.{samples}", paths.report(evaluation)
    trained = config.generators[generator].training_keys()
    every_sample = [f"sample.{name}.{label}" for name, each in config.generators.items() for label in each.samples]
    first, second = ("train-tokenizer",), ("train-refiner",)  # images are stage I's where there is no stage II
    studied = (paths.progress(generator, samples),) if isinstance(config.generators[generator], MaskedConfig) else ()
    pictures = (paths.swaps(evaluation),) if config.evaluations[evaluation].meaning else ()
    decoding = ("sampler", "refiner.num_steps")  # of evaluate and inspect too, which need reconstruct
    return [
        Stage(
            "train-tokenizer",
            ("seed", "data", "space", "tokenizer", "alignment", "losses", "train"),
            (paths.tokenizer / "model.safetensors", paths.tokenizer / "config.json"),
            checkpoints=paths.tokenizer_checkpoints,
        ),
        Stage(
            "train-refiner",
            (*refiner_settings(config), "train_refiner"),
            (paths.refined / "model.safetensors", paths.refined / "config.json"),
            needs=("train-tokenizer",),
            checkpoints=paths.refiner_checkpoints,
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
            (drawing, *decoding),
            (paths.samples(generator, samples), *studied),
            needs=(*first, f"train-generator.{generator}"),
            reads=second,
        ),
        Stage("reconstruct", ("reconstruct", *decoding), (paths.reconstructions,), first, second),
        Stage(
            f"evaluate.{evaluation}",
            (f"evaluations.{evaluation}",),
            (paths.evaluation(evaluation), *pictures),
            needs=("reconstruct",),
            reads=("encode", *every_sample),
        ),
        Stage("inspect", (drawing,), (paths.inspection,), ("reconstruct",), (f"train-generator.{generator}",)),
        Stage(f"report.{evaluation}", (), (page,), needs=(f"evaluate.{evaluation}",), reads=("inspect", *every_sample)),
    ]


def refiner_settings(config: SemTokConfig) -> list[str]:
    """What stage II depends on beside its optimisation: of what decodes only what the training runs through."""
    refiner = config.refiner
    unread = {"num_steps"} if refiner.objective == "mean_flow" else set()
    keys = [f"refiner.{key}" for key in type(refiner).model_fields if key not in unread]
    keys += ["discriminator"] if refiner.compares_images else []
    return [*keys, "sampler"] if refiner.kind == "sample" else keys
