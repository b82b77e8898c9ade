"""What each stage depends on: how stage I samples is no part of a training that does not sample."""

from dataclasses import replace

import torch

from _support.mutants import catches
from _support.semtok_runs import pictures, tiny, tiny_tokenizer
from semtok.cli import COMMANDS
from semtok.paths import RunPaths
from semtok.reconstruct import load_reconstructions
from semtok.stages import choose_entries, stages
from semtok.trained import trained_tokenizer

SUBJECT = "semtok.stages"


def settings_of(folder, *changes):
    config = tiny(*changes)
    found = stages(config, RunPaths(folder), choose_entries(config, None, None, None))
    return {stage.command: stage.settings for stage in found}


@catches(SUBJECT, '"losses", "train"),', '"losses", "train", "sampler"),')
@catches(SUBJECT, '("reconstruct", *decoding)', '("reconstruct",)')
@catches(SUBJECT, "(drawing, *decoding)", "(drawing,)")
@catches(SUBJECT, 'if refiner.kind == "sample" else keys', 'if refiner.kind == "noise" else keys')
def test_the_sampler_belongs_to_what_decodes_and_to_a_refiner_of_samples(tmp_path):
    plain, samples = settings_of(tmp_path), settings_of(tmp_path, "refiner.input=sample")
    for found in (plain, samples):
        assert {"sample", "reconstruct"} <= {name for name, settings in found.items() if "sampler" in settings}
        assert "sampler" not in found["train-tokenizer"]
    assert "sampler" not in plain["train-refiner"]
    assert "sampler" in samples["train-refiner"]


@catches(SUBJECT, '{"num_steps"} if', "set() if")
@catches(SUBJECT, 'refiner.objective == "mean_flow" else', 'refiner.objective != "mean_flow" else')
@catches(SUBJECT, '["discriminator"] if refiner.compares_images', '["discriminator"] if True')
def test_stage_two_depends_on_what_its_objective_reads(tmp_path):
    for objective, reads in (("sampler", True), ("mean_flow", False)):
        found = settings_of(tmp_path, f"refiner.objective={objective}")
        for name in ("refiner.num_steps", "discriminator"):
            assert (name in found["train-refiner"]) is reads
        assert {"refiner.objective", "refiner.input", "train_refiner"} <= set(found["train-refiner"])
        assert "refiner.num_steps" in found["reconstruct"]


@catches("semtok.trained", "    tokenizer.sampler = config.sampler\n", "")
@catches("semtok.trained", "refiner.num_steps = config.refiner.num_steps", "refiner.num_steps += 0")
def test_a_trained_tokenizer_decodes_as_the_configuration_says(tmp_path):
    paths = RunPaths(tmp_path)
    tiny_tokenizer("mean_flow").save_pretrained(paths.refined)
    config = tiny("refiner.objective=mean_flow", "refiner.num_steps=3", "sampler.guidance=3", "sampler.num_steps=2")
    tokenizer = trained_tokenizer(config, paths)
    assert (tokenizer.sampler, tokenizer.refiner.num_steps) == (config.sampler, 3)
    assert not tokenizer.training
    tokens = tokenizer.encode(pictures())
    assert torch.equal(tokens, tiny_tokenizer("mean_flow").encode(pictures()))


def test_a_finished_run_takes_another_sampler(trained_run):
    options, paths = trained_run
    found = []
    for power in (4.0, 1.0):
        COMMANDS["reconstruct"](replace(options, set=(f"sampler.power={power}",)))
        found.append(load_reconstructions(paths))
    first, other = found
    assert torch.equal(first["tokens"], other["tokens"])
    assert not torch.equal(first["stage I, 3 steps"], other["stage I, 3 steps"])
