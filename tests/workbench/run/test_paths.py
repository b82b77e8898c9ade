"""Every run keeps the same things at the same places, and no two things at one."""

from pathlib import Path

from _support.mutants import catches
from vistok.workbench.run.paths import DEFAULT, RunPaths

SUBJECT = "vistok.workbench.run.paths"


@catches(SUBJECT, 'f"evaluation{_suffix(name)}.json"', '"evaluation.json"')
@catches(SUBJECT, 'if name == DEFAULT else f"--{name}"', 'if name == DEFAULT else f"-{name}"')
def test_no_two_things_are_kept_in_one_place():
    names = (DEFAULT, "a", "b", "a-b", "b-c", "a_b")  # two dashes occur in no name
    run = RunPaths(Path("runs/mine"))
    places = [
        *(run.environment, run.metrics, run.pictures, run.tokenizer, run.tokens, run.reconstructions),
        *(place(name) for place in (run.checkpoints, run.generator, run.evaluation, run.report) for name in names),
        *(run.samples(generator, name) for generator in names for name in names),
    ]
    assert len(set(places)) == len(places)
    assert all(place.is_relative_to("runs/mine") for place in places)


@catches(SUBJECT, 'return "" if name == DEFAULT else', "return")
def test_the_names_are_pinned():
    """Runs of earlier versions are read at these places."""
    run = RunPaths(Path("runs/mine"))
    places = {
        run.environment: "environment.json",
        run.metrics: "metrics.jsonl",
        run.pictures: "pictures",
        run.tokenizer: "tokenizer",
        run.tokenizer_checkpoints: "checkpoints/tokenizer",
        run.tokens: "tokens",
        run.reconstructions: "reconstructions.safetensors",
        run.checkpoints("far"): "checkpoints/far",
        run.generator("far"): "generator-far.safetensors",
        run.samples("far"): "samples-far.safetensors",
        run.samples("far", "cold"): "samples-far--cold.safetensors",
        run.evaluation(): "evaluation.json",
        run.evaluation("large"): "evaluation--large.json",
        run.report(): "report.html",
        run.report("large"): "report--large.html",
    }
    assert all(path == Path("runs/mine", name) for path, name in places.items())
