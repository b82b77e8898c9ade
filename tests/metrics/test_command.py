"""The command: what it writes, what it says in one line, and that it goes on where it was killed."""

import json
import os
import re
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from _support.mutants import catches
from _support.stand_in_network import StandIn, pictures
from vistok.metrics import command as module
from vistok.metrics import evaluate_pairs, evaluate_tokenizer, read_evaluation, read_reference_statistics
from vistok.metrics.command import main, own_modules, parser
from vistok.metrics.ranks import Rank

SUBJECT = "vistok.metrics.command"
COMMANDS = ("tokenizer", "pairs", "samples", "statistics", "compare")
TOKENIZER = """
class OneBook:
    codebook_sizes = (2,)

    def __init__(self, path):
        self.level = float(open(path).read())

    def encode(self, images):
        return (images > 0).long()

    def decode(self, tokens):
        return (tokens * 2.0 - 1.0) * self.level
"""


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Run the command in a folder with two archives of images: exit status, what it printed, what it complained."""
    monkeypatch.chdir(tmp_path)
    for name, seed in (("one", 0), ("other", 1)):
        np.savez(f"{name}.npz", arr_0=pictures(12, seed=seed).permute(0, 2, 3, 1).numpy())
    np.savez("small.npz", arr_0=pictures(12, size=8).permute(0, 2, 3, 1).numpy())

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["vistok-eval", *words])
        try:
            main()
        except KeyboardInterrupt:
            pytest.fail("a traceback")
        except SystemExit as ended:
            status = ended.code
        else:
            status = 0
        return (status, *capsys.readouterr())

    return run


@catches(SUBJECT, "sides = asked.originals, asked.reconstructions", "sides = asked.reconstructions, asked.originals")
@catches(SUBJECT, "Resampling(resamples=asked.resamples)\n    return M", "Resampling()\n    return M")
def test_pairs_are_evaluated_written_and_compared(call):
    status, out, err = call("pairs", "one.npz", "other.npz", "--out", "out", "--network", "none", "--resamples", "3")
    assert (status, err) == (0, "")
    found = read_evaluation("out")
    assert found.markdown() in out
    assert "out/evaluation.html" in out
    assert found.measures == evaluate_pairs("one.npz", "other.npz").measures
    assert (found.choices["first: source"], found.choices["resampling: resamples"]) == ("archive one.npz", 3)
    assert "| SSIM |" in call("compare", "out", "out/evaluation.json")[1]


@catches(SUBJECT, 'sys.path.remove("")', "pass")
def test_no_trace_of_this_very_folder_stays_where_modules_are_found():
    before = list(sys.path)
    with own_modules():
        assert sys.path == ["", *before]
    found, sys.path[:] = list(sys.path), before
    assert found == before


@catches(SUBJECT, 'sys.path.insert(0, "")', "pass")
@catches(SUBJECT, '"seed": asked.seed', '"seed": 0')
@catches(SUBJECT, "codebook_sizes=asked.codebook_sizes or ()", "codebook_sizes=()")
def test_a_tokenizer_of_this_very_folder_is_evaluated(call, tmp_path):
    name = f"own_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(TOKENIZER)
    (tmp_path / "weights.txt").write_text("0.9")
    options = ("--images", "one.npz", "--network", "none", "--seed", "5", "--training", "other.npz")
    status, out, err = call("tokenizer", f"{name}:OneBook", "weights.txt", *options, "--out", "out")
    assert (status, err) == (0, "")
    assert "JPEG" in out
    found = read_evaluation("out")
    assert found.choices["subject"] == f"{name}:OneBook weights.txt"
    assert found.choices["decoder seed"] == 5
    directly = evaluate_tokenizer(sys.modules[name].OneBook("weights.txt"), "one.npz").measures
    assert {section: found.measures[section] for section in directly} == directly
    call("tokenizer", f"{name}:OneBook", "weights.txt", *options, "--codebook-sizes", "4", "--out", "out4")
    assert read_evaluation("out4").measures["codes"]["bits_per_pixel"] == 2 * found.measures["codes"]["bits_per_pixel"]


@catches(SUBJECT, "GreyImages(opened) if asked.grey else opened", "opened")
def test_a_tokenizer_of_grey_images_takes_coloured_files(call, tmp_path):
    (tmp_path / "grey.py").write_text(
        "class Grey:\n"
        "    def __init__(self, path): pass\n"
        "    def reconstruct(self, images):\n"
        "        if images.shape[1] != 1: raise ValueError('grey images only')\n"
        "        return images\n"
    )
    words = ("tokenizer", "grey:Grey", "none", "--images", "one.npz", "--network", "none", "--out", "out")
    status, _, err = call(*words)
    assert status == 2
    assert "grey images only; it takes images of one channel, which --grey " in err
    assert call(*words, "--grey")[0] == 0
    assert read_evaluation("out").choices["images: colour"] == "luma of Rec. 601"


@catches(SUBJECT, "for network in held_modules(tokenizer):", "for network in ():")
def test_networks_that_a_tokenizer_holds_go_to_the_device_that_is_asked_for(call, monkeypatch):
    held = SimpleNamespace(nets=[torch.nn.Linear(1, 1)], reconstruct=lambda images: torch.zeros(images.shape))
    monkeypatch.setattr(module, "load_tokenizer", lambda loader, path: held)
    words = ("tokenizer", "mine:load", "path", "--images", "one.npz", "--network", "none", "--out", "out")
    monkeypatch.setattr(module, "evaluate_tokenizer", lambda *_, **__: evaluate_pairs("one.npz", "other.npz"))
    assert call(*words, "--device", "meta")[0] == 0
    assert held.nets[0].weight.is_meta


@catches(SUBJECT, "sides = asked.samples, asked.reference", "sides = asked.reference, asked.samples")
@catches(SUBJECT, "        unfinished.rmdir()\n", "")
def test_statistics_are_written_and_stand_for_the_images_of_the_reference(call, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(module, "open_network", lambda name, **options: asked.append((name, options)) or StandIn())
    network = ("--network", "mine", "--weights", "w.pth", "--network-size", "32", "--device", "cpu")
    assert call("statistics", "other.npz", *network, "--out", "refs/real.npz")[:2] == (0, "refs/real.npz\n")
    assert [path.name for path in (tmp_path / "refs").iterdir()] == ["real.npz"]
    assert read_reference_statistics("refs/real.npz").features.mean.shape == (4,)
    options = {"weights": "w.pth", "image_size": 32, "device": torch.device("cpu")}
    assert asked == [("mine", options)]
    for reference in ("refs/real.npz", "other.npz"):
        assert call("samples", "one.npz", "--reference", reference, *network, "--out", f"to {reference}")[0] == 0
    one, other = (read_evaluation(f"to {reference}") for reference in ("refs/real.npz", "other.npz"))
    assert one.choices["subject"] == "samples of archive one.npz"
    assert one.measures["samples"]["frechet_distance"] == pytest.approx(
        other.measures["samples"]["frechet_distance"], rel=1e-6
    )


@catches(SUBJECT, 'errors="backslashreplace"', 'errors="strict"')
def test_a_name_that_is_no_utf_8_is_printed_and_a_size_of_nothing_leaves_no_folder(call, tmp_path):
    name = os.fsdecode(b"caf\xe9.npz")
    (tmp_path / "one.npz").rename(tmp_path / name)
    status, out, err = call("pairs", name, name, "--out", "out", "--network", "none")
    assert (status, err) == (0, "")
    assert "archive caf\\udce9.npz" in out
    status, _, err = call("pairs", name, name, "--out", "none", "--network-size", "0")
    assert (status, err) == (2, "vistok-eval: image_size: expected at least 1 pixel a side, got 0\n")
    assert not (tmp_path / "none").exists()


def test_statistics_of_one_image_leave_nothing_behind(call, tmp_path):
    np.savez(tmp_path / "alone.npz", arr_0=pictures(1).permute(0, 2, 3, 1).numpy())
    before = sorted(tmp_path.iterdir())
    status, _, err = call("statistics", "alone.npz", "--network-size", "32", "--out", "x.npz")
    assert (status, err) == (2, "vistok-eval: statistics need at least 2 images, got 1\n")
    assert sorted(tmp_path.iterdir()) == before


PAIRS = ("pairs", "one.npz", "other.npz", "--network", "none", "--out", "out")
SAMPLES = ("samples", "one.npz", "--out", "out", "--network", "none", "--reference")
TOKENIZERS = ("tokenizer", "--network", "none", "--images", "one.npz", "--out", "out")


@catches(SUBJECT, "except (ValueError, TypeError, OSError) as error:", "except ValueError as error:")
@catches(SUBJECT, "except (RuntimeError, AssertionError) as error:", "except AssertionError as error:")
def test_every_error_is_one_line_with_status_2(call, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for words, said in (
        (("pairs", "nowhere", *PAIRS[2:]), "nowhere: there is no such folder or file"),
        (("pairs", "empty", *PAIRS[2:]), "empty: the folder holds no images"),
        (("pairs", "file", *PAIRS[2:]), "file: images must be a folder or an .npz archive"),
        (("pairs", "small.npz", *PAIRS[2:]), "both sides must have one size, got 8 x 8 with 3 channels"),
        ((*PAIRS, "--crop", "adm"), "crop 'adm' needs an image_size"),
        ((*PAIRS, "--crop", "middle"), "crop must be 'adm', 'centre' or 'none', got 'middle'"),
        ((*PAIRS, "--image-size", "0", "--crop", "adm"), "image_size must be at least 1, got 0"),
        ((*PAIRS, "--batch-size", "0"), "batch_size must be at least 1, got 0"),
        ((*PAIRS, "--network", "lite"), "backbone must be 'lite0' or a timm model name"),
        ((*PAIRS, "--network", "lite0", "--weights", "nowhere.pth"), "must be a file, got 'nowhere.pth'"),
        ((*PAIRS, "--network", "lite0", "--device", "gpu"), "--device gpu: "),
        (
            (*PAIRS, "--resamples", "1", "--network", "lite0", "--network-size", "32"),
            "0 or at least 2 resamples",
        ),
        ((*PAIRS, "--out", "file"), "file"),
        ((*SAMPLES, "other.npz"), "give another --network than none"),
        (("statistics", "one.npz", "--out", "real.pt"), "--out: expected a name that ends in .npz, got real.pt"),
        (("statistics", "one.npz", "--network", "none", "--out", "real.npz"), "give another --network than none"),
        ((*TOKENIZERS, "nothing", "path"), "tokenizer 'nothing': expected one of diffusers"),
        ((*TOKENIZERS, "no_such:load", "path"), "could not be imported: No module named 'no_such'"),
        ((*TOKENIZERS, "builtins:open", "nowhere"), "could not be loaded from nowhere: [Errno 2]"),
        ((*TOKENIZERS, "builtins:str", "path"), "a tokenizer must have encode and decode, or reconstruct"),
        ((*TOKENIZERS, "builtins:str", "path", "--training", "small.npz"), "training images must be (3, 16, 16)"),
        (("compare", "empty", "empty"), "evaluation.json: there is no such file"),
        (("compare", "file", "file"), "file: expected an evaluation"),
    ):
        status, out, err = call(*words)
        assert (status, out) == (2, ""), words
        assert err.startswith("vistok-eval: "), words
        assert err.count("\n") == 1, err
        assert said in err


def test_an_evaluation_under_other_choices_is_one_line(call, tmp_path, monkeypatch):
    monkeypatch.setattr("vistok.metrics.harness.streamed_pass.KEEP_EVERY", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(module, "evaluate_pairs", lambda *sides, **options: evaluate_pairs(*sides, **options) and 1 / 0)
        patch.setattr("vistok.metrics.harness.reconstructions.forget_pass", lambda folder: None)
        with pytest.raises(ZeroDivisionError):
            call(*PAIRS, "--batch-size", "5")
    status, _, err = call(*PAIRS, "--batch-size", "4")
    assert status == 2
    assert "an unfinished evaluation with other choices: batch size 5 (now 4); remove it to begin anew\n" in err


@catches(SUBJECT, '" ".join(str(error).split())', "str(error)")
@catches(SUBJECT, 'goes on", 130)', 'goes on", 2)')
@catches(SUBJECT, "except KeyboardInterrupt:", "except EOFError:")
def test_ctrl_c_says_that_the_same_command_goes_on_and_longer_messages_are_one_line(call, monkeypatch):
    for error, said, code in (
        (KeyboardInterrupt(), "stopped; the same command goes on", 130),
        (ValueError("a\n b"), "a b", 2),
    ):

        def stopped(*_, error=error, **__):
            raise error

        monkeypatch.setattr(module, "evaluate_pairs", stopped)
        assert call(*PAIRS) == (code, "", f"vistok-eval: {said}\n")


def test_help_of_each_command_names_its_options_and_a_wrong_one_is_told(call):
    status, out, _ = call("--help")
    assert status == 0
    assert re.findall(r"^    (\w+)", out, re.MULTILINE) == list(COMMANDS)
    for name in COMMANDS:
        status, out, _ = call(name, "--help")
        assert status == 0
        assert out.startswith(f"usage: vistok-eval {name}")
        assert ("--crop" in out) == (name != "compare")
    assert call("evaluate")[0] == call()[0] == 2


def test_the_examples_in_the_help_are_commands():
    lines = [line.split() for line in module._EPILOG.splitlines() if line.startswith("  vistok-eval ")]
    assert len(lines) == len(COMMANDS)
    for _, *words in lines:
        parser().parse_args(words)


@catches(SUBJECT, "own_rank().number % gpus", "own_rank().number")
def test_each_process_takes_a_gpu_of_its_own(monkeypatch):
    asked = parser().parse_args(PAIRS)
    assert module._device(asked) == torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for rank, gpu in ((0, 0), (1, 1), (2, 0)):
        monkeypatch.setattr(module, "own_rank", lambda rank=rank: Rank(rank, 3))
        assert module._device(asked) == torch.device("cuda", gpu)


KILLED = """
import os, signal
from vistok.metrics import command
from vistok.metrics.harness import reconstruction_measures, streamed_pass
streamed_pass.KEEP_EVERY = 0.0
take = reconstruction_measures.ReconstructionMeasures.take
def dies(self, indices, batch):
    take(self, indices, batch)
    if 8 in indices: os.kill(os.getpid(), signal.SIGKILL)
reconstruction_measures.ReconstructionMeasures.take = dies
command.main()
"""


def test_a_command_that_was_killed_goes_on_and_gives_the_same(call, tmp_path):
    words = (*PAIRS, "--batch-size", "3")
    killed = subprocess.run([sys.executable, "-c", KILLED, *words], capture_output=True, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["unfinished-0-of-1.pt"]
    assert torch.load(tmp_path / "out" / "unfinished-0-of-1.pt")["done"] == 2
    assert call(*words)[0] == 0
    assert read_evaluation("out").measures == evaluate_pairs("one.npz", "other.npz", batch_size=3).measures
    assert not list((tmp_path / "out").glob("unfinished*"))


def test_two_processes_of_torchrun_give_what_one_gives_and_print_it_once(call, tmp_path):
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    words += ["-m", "vistok.metrics.command", *PAIRS, "--batch-size", "3"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("| SSIM |") == 1
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())["measures"]["reconstruction"]
    alone = evaluate_pairs("one.npz", "other.npz", batch_size=3).measures["reconstruction"]
    assert found == pytest.approx(alone, rel=1e-10)
