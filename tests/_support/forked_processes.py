"""A recipe's processes without the seconds in which they load: forked from one that has everything loaded.

That one has run nothing, so a fork of it is as good as a new process.
"""

import functools
import importlib
import json
import os
import runpy
import shlex
import signal
import subprocess
import sys
import tempfile
import traceback
from dataclasses import replace
from pathlib import Path

RECIPES = ("glotok", "semtok", "vqgan")
LOADED = (
    *(f"{recipe}.cli" for recipe in RECIPES),
    "timm",
    "torch.distributed.run",
    "sklearn.cluster",
    "matplotlib.pyplot",
    "datasets",
)


def run_forked(recipe, *arguments):
    """The recipe's command line, with what it printed."""
    return _forked("_command", recipe, *map(str, arguments))


def killed(recipe, stage, options, where, step):
    """Train a stage of a recipe until it is killed; ``where`` is ``"step"`` or ``"write"``."""
    done = _forked("_train", recipe, stage, options.config, where, str(options.runs), step)
    assert done.returncode == -signal.SIGKILL, done.stderr


def run_forked_line(line, *further):
    """A line that begins with ``torchrun`` and runs a recipe's module or a script, with further options.

    At a port that is free; the processes that it starts are forks, too.
    """
    program, *words = shlex.split(line)
    assert program == "torchrun"
    return _forked("_torchrun", *words, *map(str, further))


def _forked(*work):
    server = _server()
    server.stdin.write(json.dumps(work) + "\n")
    server.stdin.flush()
    return subprocess.CompletedProcess(work, *json.loads(server.stdout.readline()))


@functools.cache
def _server():
    return subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _serve():
    """Fork for each line of standard input and answer with exit code and what was printed, until the input ends."""
    from vistok.metrics.networks._torchvision_schemas import declare_missing_operators

    declare_missing_operators()
    for name in LOADED:
        importlib.import_module(name)
    for line in sys.stdin:
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            child = os.fork()
            if child == 0:
                os.dup2(out.fileno(), 1)
                os.dup2(err.fileno(), 2)
                _work(*json.loads(line))
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            printed = [file.read().decode() for file in (out, err) if not file.seek(0)]
        sys.stdout.write(json.dumps([code, *printed]) + "\n")
        sys.stdout.flush()


def _work(name, *arguments):
    """Do it and end."""
    code = 1
    try:
        globals()[name](*arguments)
        code = 0
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _command(recipe, *arguments):
    sys.argv = [recipe, *arguments]
    runpy.run_module(recipe, run_name="__main__")


def _script(path, *arguments):
    sys.argv = [path, *arguments]
    runpy.run_path(path, run_name="__main__")


def _torchrun(*words):
    import torch.distributed.run as launcher

    understood = launcher.config_from_args

    def with_forks(arguments):
        config, _, _ = understood(arguments)
        entry = _command if arguments.module else _script
        return (
            replace(config, start_method="fork"),
            entry,
            (arguments.training_script, *arguments.training_script_args),
        )

    launcher.config_from_args = with_forks
    launcher.main(["--standalone", *words])


def _train(recipe, stage, config, where, runs, step):
    """Train, and be killed (SIGKILL) in the middle of the step, or when half of the checkpoint after it is written."""
    from vistok.workbench.run import checkpoint
    from vistok.workbench.training.finite import FiniteLosses

    check, save = FiniteLosses.check, checkpoint.torch.save

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    def in_step(self, terms, at, batch):
        if at == step:
            die()
        check(self, terms, at, batch)

    def half_written(state, file):
        if checkpoint.step_of(Path(file.name.replace(".partial", "").replace(".step", "step"))) == step:
            file.write(b"PK half of a checkpoint")
            file.flush()
            die()
        save(state, file)

    if where == "step":
        FiniteLosses.check = in_step
    else:
        checkpoint.torch.save = half_written
    cli = sys.modules[f"{recipe}.cli"]
    cli.COMMANDS[f"train-{stage}"](cli.Options(config=config, runs=Path(runs)))


if __name__ == "__main__":
    _serve()
