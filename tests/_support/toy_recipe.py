"""A recipe of a tokenizer that is trained and measured in no time: for tests of studies, milliseconds a run.

``python -m _support.toy_recipe demo --config any --name NAME --runs RUNS --seed 3 --set weight=2``: the score is the
seed plus ten times the weight. With ``fail`` it fails, with ``wait`` it waits until ``RUNS/go`` is there, or for
SIGTERM, which it answers with a checkpoint. What it does is noted in ``RUNS/calls``.
"""

import argparse
import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

EVALUATION = "evaluation.json"


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["demo"])
    for name in ("config", "name", "data", "generator", "samples", "evaluation"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--runs", type=Path)
    parser.add_argument("--skip", nargs="*", default=[])
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--set", action="append", default=[])
    return parser.parse_args()


def main():
    options = parse()
    settings = {key: json.loads(value) for key, _, value in (text.partition("=") for text in options.set)}
    folder = options.runs / options.name
    folder.mkdir(exist_ok=True)

    def note(what):
        with (options.runs / "calls").open("a") as file:
            file.write(f"{what} {options.name} {options.generator} {os.environ['OMP_NUM_THREADS']}\n")

    def stopped(number, frame):
        (folder / "checkpoint").write_text("half")
        note("stopped")
        sys.exit(130)

    signal.signal(signal.SIGTERM, stopped)
    note("resumed" if (folder / "checkpoint").exists() else "began")
    (folder / "vistok-run.json").write_text(json.dumps({"made by": "toy"}))
    end = time.monotonic() + 15
    while settings.get("wait") and not (options.runs / "go").exists() and time.monotonic() < end:
        time.sleep(0.01)
    if "fail" in settings:
        sys.stderr.write("step 1\rstep 2\ntoy: weight: expected a number\n\n")
        sys.exit(settings["fail"])
    measures = json.loads((folder / EVALUATION).read_text()) if (folder / EVALUATION).exists() else {}
    measures["score"] = options.seed + 10 * settings.get("weight", 0)
    if options.generator:
        measures[f"samples {options.generator}"] = {"distance": 100.0 * len(options.generator) - options.seed}
    text = json.dumps(measures)
    (folder / EVALUATION).write_text(text)
    (folder / "stages").mkdir(exist_ok=True)
    record = {
        "name": "evaluate.default",
        "needs": [],
        "settings": {"weight": 0},
        "outputs": {EVALUATION: hashlib.sha256(text.encode()).hexdigest()},
        "cost": {"wall_seconds": 60.0, "cpu_seconds": 30.0, "peak_memory_bytes": 2**30},
    }
    (folder / "stages" / "evaluate.default.json").write_text(json.dumps(record))
    note("ended")


if __name__ == "__main__":
    main()
