"""Run all benchmarks, with few repeats, and write one dated page: what `make bench` does.

    python benchmarks/run.py [--parts machine step_time] [--llamagen PATH] [--flowmo PATH] [--folder benchmarks/results]

The parts run one after another, on one thread unless they say otherwise: under 20 minutes on two cores with nothing
else to do. The page begins with what the machine can do at most. A part that fails is named, the others run all the
same, and the exit status is 1. What needs something that is not here (a checkout of another project, data, a finished
run) is left out with a line that says what. Each script alone, with its own options, measures more.
"""

import argparse
import datetime
import os
import platform
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
PEERS = ("llamagen", "flowmo")


class Part(NamedTuple):
    """A script as it runs here.

    Attributes:
        name: In `--parts` and as a heading.
        script: In this folder.
        arguments: That keep it short.
        peers: Checkouts that it takes.
        needs: What it needs that is not here; such a part is never run from here.
    """

    name: str
    script: str
    arguments: str = ""
    peers: tuple[str, ...] = ()
    needs: str = ""


PARTS = (
    Part("machine", "machine.py"),
    Part("step_time", "step_time.py", "--shapes 32x16 64x8 128x4 256x1 --rounds 1 --repeats 2", peers=PEERS),
    Part("glotok_step", "glotok_step.py", "--repeats 3"),
    Part("semtok_speed", "semtok_speed.py", "--repeats 1"),
    Part("attention", "attention.py", "--repeats 3"),
    Part("generators", "generators.py", "--part cells --part masked --part precision --part memory --part floor"),
    Part("compiled_step", "compiled_step.py", "--cases semtok --threads 1"),
    Part("losses", "losses.py", "--threads 1 --quick"),
    Part("quantizers", "quantizers.py", "--threads 1 --repeats 1"),
    Part("metrics", "metrics.py", "--counts 500"),
    Part("files", "files.py", "--gigabytes 0.25"),
    Part("data", "data.py", "--images 192 --rounds 2 --steps 6"),
    Part("simulated_epoch", "simulated_epoch.py", "--records 25600"),
    Part("token_cache", "token_cache.py", "--images 100000"),
    Part("cost_model", "cost_model.py", "--cells 1 3 5 7"),
    Part("gpu", "gpu.py"),
    Part("exported", "exported.py", needs="finished runs: python benchmarks/exported.py RECIPE=RUN ..."),
    Part("colour", "colour.py", needs="finished runs: python benchmarks/colour.py RUN ..."),
)


class Outcome(NamedTuple):
    """What became of a part: its text, what it said beside it, seconds of the clock and of processors, exit status."""

    text: str
    errors: str
    seconds: float
    processor: float
    status: int


def command_of(part: Part, checkouts: dict[str, Path]) -> list[str]:
    """The command of a part; with the checkouts that it takes and that are given."""
    given = [f"--{peer}={checkouts[peer].resolve()}" for peer in part.peers if peer in checkouts]
    return [sys.executable, str(HERE / part.script), *shlex.split(part.arguments), *given]


def run_part(part: Part, checkouts: dict[str, Path]) -> Outcome:
    """Run a part to its end."""
    start, before = time.perf_counter(), _processor_seconds()
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    done = subprocess.run(command_of(part, checkouts), capture_output=True, text=True, check=False, env=environment)
    text = demoted(done.stdout)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["nothing said why"]
        text += f"\n**Failed** with exit status {done.returncode}: `{last[0]}`\n"
    return Outcome(text, done.stderr, time.perf_counter() - start, _processor_seconds() - before, done.returncode)


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def demoted(text: str) -> str:
    """A script's own page as part of another: its headings two levels down."""
    return "\n".join(f"##{line}" if line.startswith("#") else line for line in text.strip().splitlines()) + "\n"


def heading(today: datetime.date) -> str:
    """The beginning of the page."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    processor = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())
    return (
        f"# All benchmarks, {today}\n\n"
        f"Machine: {processor}, {os.cpu_count()} cores; Python {platform.python_version()}, torch "
        f"{metadata.version('torch')}; load average at the start {os.getloadavg()[0]:.1f}.  \n"
        "Command: `make bench`, few repeats; each part's own command is beside it.\n"
    )


def section(part: Part, outcome: Outcome) -> str:
    """A part's place on the page."""
    command = shlex.join(["python", f"benchmarks/{part.script}", *shlex.split(part.arguments)])
    times = f"{outcome.seconds:.0f} s, {outcome.processor:.0f} s of processors"
    return f"\n## {part.name}\n\n`{command}` ({times})\n\n{outcome.text}"


def run(parts: Sequence[Part], page: Path, checkouts: dict[str, Path]) -> int:
    """Run parts, writing the page as far as it is after each; return how many failed."""
    page.parent.mkdir(parents=True, exist_ok=True)
    text, failed = heading(datetime.date.today()), 0
    for number, part in enumerate(parts, 1):
        print(f"[{number}/{len(parts)}] {part.name}", end=" ", file=sys.stderr, flush=True)
        if part.needs:
            text += f"\n## {part.name}\n\nLeft out, it needs {part.needs.replace(': ', ': `', 1)}`\n"
            print("left out", file=sys.stderr)
        else:
            outcome = run_part(part, checkouts)
            failed += outcome.status != 0
            text += section(part, outcome)
            word, errors = ("failed", f"\n{outcome.errors}") if outcome.status else ("done", "")
            print(f"{word}, {outcome.seconds:.0f} s{errors}", file=sys.stderr)
        page.write_text(text, encoding="utf-8")
    return failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=[part.name for part in PARTS], help="by default all")
    parser.add_argument("--folder", type=Path, default=HERE / "results", help="where the page is written")
    for peer in PEERS:
        parser.add_argument(f"--{peer}", type=Path, help="a checkout, for the rows beside it")
    options = parser.parse_args()
    chosen = [part for part in PARTS if options.parts is None or part.name in options.parts]
    page = options.folder / f"bench_{datetime.date.today()}.md"
    checkouts = {peer: path for peer in PEERS if (path := getattr(options, peer))}
    failed = run(chosen, page, checkouts)
    print(f"{page}{f', {failed} failed' if failed else ''}", file=sys.stderr)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
