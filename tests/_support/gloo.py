"""Two CPU processes that run a function as the two ranks of a gloo process group.

One pool a session, started at the first use. A function is sent by its file and name, so it must be defined at the
top level of a module; arguments and results are pickled. Each run has a process group of its own. Under a planted bug
the ranks run on it, too.
"""

import atexit
import importlib.util
import pickle
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from functools import cache, lru_cache
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from _support.mutants import planted, planted_bug

WORLD = 2
PATIENCE = 60.0
_here: dict[str, Any] = {}


def run_on_two_ranks(function: Callable[..., Any], *args: Any, grouped: bool = True) -> list[Any]:
    """Return `[function(0, *args), function(1, *args)]`, each called in its own process.

    With `grouped=False` the process group is not there yet and the function calls `join_group()` when it wants it.
    """
    return _pool().run(function, args, grouped)


def join_group() -> None:
    """Inside a function run with `grouped=False`: join the process group now.

    A function that says nothing to the other rank may end, and close the group, while the other still connects to it;
    so both wait until they have met.
    """
    dist.init_process_group(
        "gloo",
        init_method=f"file://{_here['meeting_point']}",
        rank=_here["rank"],
        world_size=WORLD,
        timeout=timedelta(seconds=PATIENCE),
    )
    dist.barrier()


class _Pool:
    def __init__(self) -> None:
        context = mp.get_context("spawn")
        self._folder = tempfile.TemporaryDirectory()
        self._runs = 0
        self._pipes: list[Connection] = []
        self._processes = []
        for rank in range(WORLD):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(rank, theirs), daemon=True)
            process.start()
            self._pipes.append(ours)
            self._processes.append(process)

    def run(self, function: Callable[..., Any], args: tuple[Any, ...], grouped: bool) -> list[Any]:
        self._runs += 1
        meeting_point = str(Path(self._folder.name) / f"run_{self._runs}")
        place = function.__code__.co_filename, function.__qualname__
        order = pickle.dumps((*place, args, grouped, meeting_point, planted_bug()))
        try:
            for pipe in self._pipes:
                pipe.send_bytes(order)
            answers = [self._answer(pipe) for pipe in self._pipes]
        except (EOFError, OSError):
            answers = [(None, "a rank died")] * WORLD
        for rank, (_, error) in enumerate(answers):
            if error is not None:
                self.close()
                _pool.cache_clear()
                raise RuntimeError(f"{function.__qualname__}, rank {rank}: {error}")
        return [result for result, _ in answers]

    @staticmethod
    def _answer(pipe: Connection) -> Any:
        return pickle.loads(pipe.recv_bytes()) if pipe.poll(2 * PATIENCE) else (None, "no answer")

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.join()
        self._folder.cleanup()


@lru_cache(maxsize=1)
def _pool() -> _Pool:
    pool = _Pool()
    atexit.register(pool.close)
    return pool


def _serve(rank: int, pipe: Connection) -> None:
    torch.set_num_threads(1)
    support = sys.modules["_support.gloo"]  # this module may be running under another name
    while True:
        try:
            file, name, args, grouped, meeting_point, bug = pickle.loads(pipe.recv_bytes())
        except EOFError:
            return
        support._here.update(rank=rank, meeting_point=meeting_point)
        result, error = None, None
        try:
            if grouped:
                join_group()
            with planted(bug, vars(_module(file))) if bug else nullcontext():
                result = getattr(_module(file), name)(rank, *args)
        except Exception:
            error = traceback.format_exc()
        if dist.is_initialized():
            dist.destroy_process_group()
        pipe.send_bytes(pickle.dumps((result, error)))


@cache
def _module(file: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    if spec is None or spec.loader is None:
        raise ImportError(file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
