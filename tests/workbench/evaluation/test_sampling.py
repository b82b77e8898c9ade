"""Samples: the classes in turn, each batch with its own draws, written whole."""

from types import SimpleNamespace

import pytest
import torch

from _support.gloo import run_on_two_ranks
from _support.mutants import catches
from vistok.metrics import to_uint8
from vistok.workbench.evaluation.sampling import drawn_by, load_samples, sample_files, spread, write_samples
from vistok.workbench.recipe_config import EvaluateConfig, SampleConfig
from vistok.workbench.run.paths import RunPaths

SUBJECT = "vistok.workbench.evaluation.sampling"


def noise(labels, draws):
    return torch.rand(len(labels), 1, 4, 4, generator=draws) * 2 - 1


def samples(path, generate=noise, count=10, *, batch_size=4, seed=0):
    write_samples(path, generate, SampleConfig(num_samples=count, batch_size=batch_size), 3, seed=seed)
    return load_samples(path)


@catches(SUBJECT, "torch.arange(settings.num_samples) % len(shown", "torch.arange(settings.num_samples) // len(shown")
def test_classes_come_in_turn_and_each_image_is_of_its_label(tmp_path):
    def shade(labels, draws):
        return (labels.float() / 2 - 0.5)[:, None, None, None].expand(-1, 1, 4, 4)

    drawn = samples(tmp_path / "s", shade)
    assert drawn["labels"].tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    assert drawn["images"].dtype == torch.uint8
    expected = ((drawn["labels"] / 2 + 0.5) * 127.5).round().to(torch.uint8)
    assert torch.equal(drawn["images"][:, 0, 0, 0], expected)


@catches(SUBJECT, "= spread(num_classes, settings.num_samples)", "= torch.arange(num_classes)")
@catches(SUBJECT, "if settings.num_samples < num_classes:", "if False:")
def test_fewer_images_than_classes_are_spread_over_all_and_the_log_says_so(tmp_path, caplog):
    write_samples(tmp_path / "s", noise, SampleConfig(num_samples=4), 10, seed=0)
    assert load_samples(tmp_path / "s")["labels"].tolist() == [0, 3, 6, 9]
    assert caplog.messages == ["sample: 4 images show as many of the 10 classes; num_samples=10 shows each"]
    caplog.clear()
    write_samples(tmp_path / "t", noise, SampleConfig(num_samples=12), 10, seed=0)
    assert load_samples(tmp_path / "t")["labels"].tolist() == [*range(10), 0, 1]
    assert caplog.messages == []


def test_more_images_do_not_change_full_batches(tmp_path):
    few, many = samples(tmp_path / "few", count=8), samples(tmp_path / "many", count=20)
    assert torch.equal(few["images"], many["images"][:8])


@catches(SUBJECT, "seed * 1_000_003 + index", "seed * 1_000_003")
@catches(SUBJECT, "seed * 1_000_003 + index", "index")
def test_batches_and_seeds_draw_differently_and_a_seed_twice_the_same(tmp_path):
    first, again, other = (samples(tmp_path / name, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert torch.equal(first["images"], again["images"])
    assert not torch.equal(first["images"], other["images"])
    assert not torch.equal(first["images"][:4], first["images"][4:8])


def sample_on_a_rank(rank, folder):
    drawn = []

    def noted(labels, draws):
        drawn.append(len(labels))
        return noise(labels, draws)

    settings = SampleConfig(num_samples=10, batch_size=4)
    write_samples(folder / f"{rank}", noted, settings, 3, seed=0)
    return drawn


@catches(SUBJECT, "seed * 1_000_003 + index", "seed * 1_000_003 + index + process_index()")
@catches(SUBJECT, "if first:\n        save_tensors", "if True:\n        save_tensors")
def test_two_processes_draw_the_samples_of_one_and_the_first_writes_them(tmp_path):
    alone = samples(tmp_path / "alone")
    assert run_on_two_ranks(sample_on_a_rank, tmp_path) == [[4, 2], [4]]
    together = load_samples(tmp_path / "0")
    assert all(torch.equal(alone[name], together[name]) for name in ("images", "labels"))
    assert not (tmp_path / "1").exists()


def test_images_that_are_channels_last_in_memory_are_kept(tmp_path):
    colour = torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    last = samples(
        tmp_path / "s", lambda labels, _: colour[: len(labels)].to(memory_format=torch.channels_last), 3, batch_size=3
    )
    assert torch.equal(last["images"], to_uint8(colour))


def test_a_failure_leaves_no_file(tmp_path):
    def fail(labels, draws):
        if len(labels) < 4:
            raise RuntimeError("out of memory")
        return noise(labels, draws)

    with pytest.raises(RuntimeError, match="out of memory"):
        samples(tmp_path / "s", fail)
    assert list(tmp_path.iterdir()) == []


@catches(SUBJECT, "sorted(each.rglob", "list([] and each.rglob")
@catches(SUBJECT, "whole.update(sha256(file).encode())", "pass")
@catches(SUBJECT, "json.dumps(config.recorded(), sort_keys=True)", '""')
def test_what_draws_is_told_apart_by_settings_and_by_the_files_that_it_opens(tmp_path):
    (tmp_path / "folder").mkdir()
    files = [tmp_path / "folder" / "a", tmp_path / "b"]
    for file in files:
        file.write_bytes(b"weights")
    opened = [tmp_path / "folder", tmp_path / "b"]
    seen = [drawn_by(EvaluateConfig(), opened), drawn_by(EvaluateConfig(image_size=48), opened)]
    for file in files:
        file.write_bytes(b"others")
        seen.append(drawn_by(EvaluateConfig(), opened))
    assert len(set(seen)) == 4
    assert drawn_by(EvaluateConfig(), opened) == seen[-1]


@catches(SUBJECT, "if paths.samples(generator, name).exists():", "if paths.generator(generator).exists():")
@catches(SUBJECT, 'if name == DEFAULT else f"{generator}, {name}"', "")
def test_the_sets_that_a_run_holds_are_found_in_the_order_of_its_configuration(tmp_path):
    generators = {name: SimpleNamespace(samples={"default": None, "cold": None}) for name in ("xar", "far")}
    paths = RunPaths(tmp_path)
    held = [("far", "cold"), ("xar", "cold"), ("xar", "default")]
    for generator, name in held:
        paths.samples(generator, name).touch()
    assert list(sample_files(generators, paths).items()) == [
        ("xar", tmp_path / "samples-xar.safetensors"),
        ("xar, cold", tmp_path / "samples-xar--cold.safetensors"),
        ("far, cold", tmp_path / "samples-far--cold.safetensors"),
    ]


@catches(SUBJECT, "min(wanted, count)", "wanted")
@catches(SUBJECT, "linspace(0, count - 1,", "linspace(0, count,")
def test_a_spread_reaches_both_ends_and_names_no_image_twice():
    assert spread(100, 3).tolist() == [0, 49, 99]
    assert spread(3, 24).tolist() == [0, 1, 2]
    assert spread(1, 5).tolist() == [0]
