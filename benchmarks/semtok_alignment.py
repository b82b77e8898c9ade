"""What semantic alignment does to SemTok's tokens: stage I with and without it, over several seeds.

    python benchmarks/semtok_alignment.py --data PATH [--config emoji64] [--seeds 3] [--weights 0 0.5] [--set KEY=VALUE]

For every seed and weight it trains a tokenizer in a folder of RUNS, encodes all training and validation images, fits
linear probes on the training part and measures them on the validation part: on the tokens' bits, and on the encoder's
features before quantization (the directions that become bits). Reconstructions start from the same noise in all runs.
Ctrl-C stops after a step; the same command goes on from there, and neither trains nor measures a finished run again.
"""

import argparse
import json
import logging
import multiprocessing
import os
import shutil
import signal
import statistics
import sys
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from semtok.alignment import write_cache
from semtok.cli import Options, prepare, resolve
from semtok.config import SemTokConfig
from semtok.evaluate import bit_measures, to_signs
from semtok.model import SemTok
from semtok.paths import RunPaths
from semtok.train_refiner import train_refiner
from semtok.train_tokenizer import train_tokenizer
from vistok.metrics import BackboneFeatures, FeatureBackbone, linear_probe_accuracy, psnr
from vistok.workbench.data import Images
from vistok.workbench.evaluation.features import network_features
from vistok.workbench.run.devices import best_device
from vistok.workbench.run.files import write_atomically
from vistok.workbench.run.folder import check_folder, environment_record, mark_run
from vistok.workbench.run.stages import Stage, Stages
from vistok.workbench.training.signals import Interrupted

logger = logging.getLogger("semtok_alignment")

FIGURES = "alignment_figures.json"
STEPS = (1, 25)
#: Each figure of a run: its column, and how it is written.
MEASURES = {
    "probe_bits": ("probe of bits", "{:.1%}"),
    "probe_features": ("probe before quantization", "{:.1%}"),
    **{f"psnr_{steps}": (f"PSNR in dB, steps: {steps}", "{:.2f}") for steps in STEPS},
    "psnr_refined": ("PSNR in dB, stage II", "{:.2f}"),
    "alive": ("bits alive", "{:.1%}"),
    "entropy": ("entropy of a bit", "{:.3f}"),
}
Run = tuple[int, float]  # seed and weight


def run_name(run: Run) -> str:
    return f"weight{run[1]:g}-seed{run[0]}"


def run_options(options: argparse.Namespace, seed: int, weight: float, name: str = "") -> Options:
    """What one run is started with; ``name`` is by default that of its folder."""
    own = (f"name={name or run_name((seed, weight))}", f"seed={seed}", f"losses.alignment_weight={weight}")
    return Options(config=options.config, data=options.data, runs=options.runs, set=(*options.set, *own))


def share(options: argparse.Namespace) -> None:
    """Make what all runs share: the cache of the backbone's features, and the references of the probe."""
    config, paths = resolve(run_options(options, 0, 1.0, "shared")), RunPaths(options.runs / "shared")
    file = paths.folder / "references.json"
    references = Stage("references", ("data", "alignment"), (file,))
    with Stages("semtok", "", paths.folder, config, [references]).opened(references, resume=False, fresh=False):
        train, validation = config.data.load()
        backbone = FeatureBackbone(config.alignment.backbone).to(best_device())
        if config.alignment.cache and any(options.weights):
            write_cache(backbone, config, paths, train)
        if not file.exists():
            logger.info("probing the backbone's own features")
            size = config.alignment.image_size
            network = BackboneFeatures(backbone, size)
            features = [network_features(network, part).pooled for part in (train, validation)]
            found = {
                "images": {"train": len(train), "validation": len(validation), "skipped": list(train.skipped)},
                "backbone": f"{config.alignment.backbone} at {size} px, weights {backbone.fingerprint()}",
                "probe_of_backbone": linear_probe_accuracy(features[0], train.labels, features[1], validation.labels),
                "most_frequent_class": validation.labels.bincount().max().item() / len(validation),
            }
            write_atomically(file, json.dumps(found, indent=2) + "\n")


def share_cache(options: argparse.Namespace, paths: RunPaths) -> None:
    """Give a run the shared cache: a hard link, or a copy where links fail."""
    source, target = RunPaths(options.runs / "shared").alignment, paths.alignment
    if target.exists():
        return
    try:
        os.link(source, target)
    except OSError:
        partial = target.with_name(f".{target.name}.partial")
        os.replace(shutil.copy2(source, partial), target)


def figures_of(options: argparse.Namespace, run: Run) -> dict[str, float] | None:
    """The figures of a run that is finished, with stage II's where they are asked for."""
    file = options.runs / run_name(run) / FIGURES
    found: dict[str, float] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return found if "probe_bits" in found and ("psnr_refined" in found or not options.refine) else None


def complete(options: argparse.Namespace, run: Run) -> None:
    """Train and measure one run, as far as that is not done."""
    prepared = prepare(run_options(options, *run))
    config, paths, stages = prepared.config, prepared.paths, prepared.stages
    trainings = {"train-tokenizer": train_tokenizer, **({"train-refiner": train_refiner} if options.refine else {})}
    for name, train in trainings.items():
        if not stages.is_done(stages.by_name[name]):
            with stages.opened(stages.by_name[name], resume=True, fresh=False):
                if run[1] and config.alignment.cache:
                    share_cache(options, paths)
                logger.info("%s: %s", config.name, name)
                train(config, paths, resume=True)
    logger.info("%s: measuring", config.name)
    figures = measure(config, paths, refine=options.refine)
    write_atomically(paths.folder / FIGURES, json.dumps(figures, indent=2) + "\n")


@torch.no_grad()
def measure(config: SemTokConfig, paths: RunPaths, *, refine: bool) -> dict[str, float]:
    """Every figure of a trained run."""
    tokenizer = SemTok.from_pretrained(paths.refined if refine else paths.tokenizer).eval().to(best_device())
    train, validation = config.data.load()
    bits = config.tokenizer.bits
    (train_tokens, train_directions), (tokens, directions) = (encode(tokenizer, part) for part in (train, validation))
    signs, train_signs = to_signs(tokens, bits), to_signs(train_tokens, bits)
    figures = {
        "probe_bits": linear_probe_accuracy(train_signs, train.labels, signs, validation.labels),
        "probe_features": linear_probe_accuracy(train_directions, train.labels, directions, validation.labels),
    }
    samplers = {f"psnr_{steps}": config.sampler.model_copy(update={"num_steps": steps}) for steps in STEPS}
    distances: dict[str, list[torch.Tensor]] = {name: [] for name in (*samplers, *(["psnr_refined"] if refine else []))}
    for number, chunk in enumerate(tqdm(torch.arange(len(validation)).split(100), desc="reconstruct", unit="batch")):
        for name, parts in distances.items():
            decode = tokenizer.sample if name in samplers else tokenizer.refine
            noise = torch.Generator().manual_seed(number)
            found = decode(tokens[chunk], samplers.get(name, config.sampler), generator=noise)
            parts.append(psnr(found.cpu(), validation.batch(chunk)))
    figures |= {name: bit_measures(tokens, bits)[name] for name in ("alive", "entropy")}
    return figures | {name: torch.cat(parts).mean().item() for name, parts in distances.items()}


def encode(tokenizer: SemTok, images: Images, batch_size: int = 100) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens ``(M, N)`` and the directions before quantization ``(M, N, L)`` of all images, in order."""
    tokens, directions = [], []
    for chunk in tqdm(torch.arange(len(images)).split(batch_size), desc="encode", unit="batch"):
        features = tokenizer.encoder(tokenizer.to_space(images.batch(chunk))).features
        tokens.append(tokenizer.quantizer(features).indices.cpu())
        directions.append(tokenizer.quantizer.to_code_space(features).cpu())
    return torch.cat(tokens), torch.cat(directions)


def complete_all(options: argparse.Namespace, runs: list[Run]) -> None:
    """One run after another, or several at a time in processes whose output goes to ``output.log`` of the run."""
    todo = [run for run in runs if figures_of(options, run) is None]
    logger.info("%d runs, %d of them done earlier", len(runs), len(runs) - len(todo))
    while options.jobs == 1 and todo:
        complete(options, todo.pop(0))
        write_table(options, runs)
    context, active = multiprocessing.get_context("spawn"), {}
    try:
        while todo or active:
            while todo and len(active) < options.jobs:
                run = todo.pop(0)
                process = context.Process(target=work, args=(options, run, torch.get_num_threads()))
                process.start()
                active[process.sentinel] = (process, run)
            for sentinel in wait(list(active)):
                process, run = active.pop(sentinel)
                process.join()
                if process.exitcode:
                    raise ValueError(f"{run_name(run)} failed; see {options.runs / run_name(run) / 'output.log'}")
                logger.info("%s: done", run_name(run))
                write_table(options, runs)
    finally:
        for process, _ in active.values():
            process.terminate()  # training answers with a checkpoint
        for process, _ in active.values():
            process.join()


def work(options: argparse.Namespace, run: Run, threads: int) -> None:
    """What a process of its own does for one run."""
    os.setsid()  # Ctrl-C reaches the parent only, which then asks this process once
    torch.set_num_threads(max(1, threads // options.jobs))
    check_folder(folder := options.runs / run_name(run), "semtok")
    mark_run(folder, "semtok")
    sys.stderr = (folder / "output.log").open("a", encoding="utf-8", buffering=1)  # to the end of the process
    set_up()
    complete(options, run)


def summarize(rows: dict[Run, dict[str, float]], weights: list[float]) -> dict[str, Any]:
    """Mean and sample deviation by weight; each weight against 0: difference of means, whether every seed is above."""
    by_weight: dict[str, Any] = {f"{weight:g}": {} for weight in weights}
    against: dict[str, Any] = {f"{weight:g}": {} for weight in weights if weight and 0.0 in weights}
    for name in MEASURES:
        values = {w: [row[name] for (_, own), row in rows.items() if own == w and name in row] for w in weights}
        plain = values.get(0.0)
        for weight, own in values.items():
            if own:
                mean, deviation = statistics.mean(own), statistics.stdev(own) if len(own) > 1 else None
                by_weight[f"{weight:g}"][name] = {"mean": mean, "deviation": deviation, "seeds": len(own)}
            if own and plain and weight:
                difference = {"difference": mean - statistics.mean(plain), "all_above": min(own) > max(plain)}
                against[f"{weight:g}"][name] = difference
    return {"by_weight": by_weight, "against_no_alignment": against}


def write_table(options: argparse.Namespace, runs: list[Run]) -> dict[str, Any]:
    """Write ``table.json`` with the runs that are finished, and return what it holds."""
    rows = {run: figures for run in runs if (figures := figures_of(options, run)) is not None}
    written = {
        "config": resolve(run_options(options, 0, 1.0, "shared")).model_dump(mode="json"),
        "references": json.loads((options.runs / "shared" / "references.json").read_text(encoding="utf-8")),
        "runs": [{"seed": seed, "weight": weight, **figures} for (seed, weight), figures in rows.items()],
        **summarize(rows, options.weights),
        "environment": environment_record(),
    }
    write_atomically(options.runs / "table.json", json.dumps(written, indent=2) + "\n")
    return written


def print_tables(written: dict[str, Any], options: argparse.Namespace) -> None:
    references, machine, given = written["references"], written["environment"], " ".join((options.config, *options.set))
    counts = "{train} training and {validation} validation images".format_map(references["images"])
    print(f"{machine['processor']}, {machine['torch_threads']} threads, torch {machine['versions']['torch']}")
    print(f"configuration {given}, {Path(options.data).name}: {counts}; {references['backbone']}")
    shown = [name for name in MEASURES if any(name in row for row in written["runs"])]
    titles, cells = [MEASURES[k][0] for k in shown], lambda row: [text(k, row[k]) if k in row else "-" for k in shown]
    table(("weight", "seed", *titles), *((f"{row['weight']:g}", row["seed"], *cells(row)) for row in written["runs"]))
    means = [(weight, *cells(row)) for weight, row in written["by_weight"].items()]
    table((f"weight, mean ± deviation of {options.seeds}", *titles), *means)
    for weight, row in written["against_no_alignment"].items():
        found = [(MEASURES[k][0], text(k, v["difference"]), "yes" if v["all_above"] else "no") for k, v in row.items()]
        table((f"weight {weight} against 0", "difference of means (% are points)", "all seeds above all at 0"), *found)
    table(
        ("reference", "accuracy"),
        ("ceiling: probe of the backbone's pooled features", f"{references['probe_of_backbone']:.1%}"),
        ("floor: the most frequent class", f"{references['most_frequent_class']:.1%}"),
    )


def text(name: str, value: Any) -> str:
    """A figure, or its mean and deviation."""
    write = MEASURES[name][1].format
    if not isinstance(value, dict):
        return write(value)
    return write(value["mean"]) + ("" if value["deviation"] is None else f" ± {write(value['deviation'])}")


def table(head: tuple[object, ...], *body: tuple[object, ...]) -> None:
    print()
    for row in (head, ("---",) * len(head), *body):
        print("| " + " | ".join(str(cell) for cell in row) + " |")


def set_up() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    torch.set_float32_matmul_precision("high")  # as the recipe's own command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="as semtok's --data; it needs labels")
    parser.add_argument("--config", default="emoji64")
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0 on")
    parser.add_argument("--weights", type=float, nargs="+", default=[0.0, 0.5])
    parser.add_argument("--runs", type=Path, default=Path("runs/alignment"))
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="override a setting")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, which share the threads")
    parser.add_argument("--refine", action="store_true", help="train stage II, too")
    options = parser.parse_args()
    if min(options.seeds, options.jobs) < 1:
        parser.error("--seeds and --jobs: expected at least 1")
    set_up()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        runs = [(seed, weight) for seed in range(options.seeds) for weight in options.weights]
        share(options)
        complete_all(options, runs)
        print_tables(write_table(options, runs), options)
    except (Interrupted, KeyboardInterrupt):
        logger.error("semtok_alignment: interrupted; the same command goes on from here")
        sys.exit(130)
    except ValueError as error:
        logger.error("semtok_alignment: %s", error)
        sys.exit(2)


if __name__ == "__main__":
    main()
