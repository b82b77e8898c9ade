"""The command ``vistok-eval``: numbers of any tokenizer, of images beside images, of samples beside a reference."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vistok.metrics.distribution.reference import write_reference_statistics
from vistok.metrics.harness.compare import compare
from vistok.metrics.harness.distances import Chance
from vistok.metrics.harness.evaluation import Evaluation, read_evaluation
from vistok.metrics.harness.loaders import load_tokenizer
from vistok.metrics.harness.reconstruction_measures import Numbers
from vistok.metrics.harness.reconstructions import evaluate_pairs, evaluate_tokenizer
from vistok.metrics.harness.samples import evaluate_samples
from vistok.metrics.harness.statistics import measure_statistics
from vistok.metrics.networks.by_name import open_network
from vistok.metrics.networks.features import FeatureNetwork
from vistok.metrics.ranks import joined_processes, own_rank

_EPILOG = """examples:
  vistok-eval tokenizer glotok runs/demo/tokenizer --images photos --image-size 256 --crop adm --out eval
  vistok-eval pairs originals reconstructions --out eval
  vistok-eval samples samples.npz --reference train.npz --network inception --out eval
  vistok-eval statistics train --image-size 256 --crop adm --network inception --out train.npz
  vistok-eval compare eval-a eval-b

several processes: torchrun --nproc_per_node 4 -m vistok.metrics.command tokenizer ...
"""


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    top = argparse.ArgumentParser(
        prog="vistok-eval",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    tokenizer = commands.add_parser("tokenizer", help="reconstruct images with a tokenizer and measure how well")
    tokenizer.add_argument("loader", help="glotok, semtok, diffusers, ... or module:function")
    tokenizer.add_argument("path", help="what the loader takes: a folder, a file of weights")
    tokenizer.add_argument("--images", required=True, help="a folder of images, or an .npz with arr_0")
    tokenizer.add_argument("--seed", type=int, default=0, help="for decoders that draw (default: 0)")
    tokenizer.add_argument("--training", help="its training images: JPEG, WebP and PCA are shown at the same rate")
    tokenizer.add_argument("--codebook-sizes", type=int, nargs="+", help="where the tokenizer does not say them")
    pairs = commands.add_parser("pairs", help="measure reconstructions beside their originals")
    pairs.add_argument("originals", help="a folder of images, or an .npz with arr_0")
    pairs.add_argument("reconstructions", help="the same, matched by name (folders) or position (.npz)")
    samples = commands.add_parser("samples", help="measure samples beside a reference")
    samples.add_argument("samples", help="a folder of images, or an .npz with arr_0")
    samples.add_argument("--reference", required=True, help="real images, or an .npz of statistics (mu, sigma)")
    statistics = commands.add_parser("statistics", help="write the statistics of real images, to compare samples with")
    statistics.add_argument("images", help="a folder of images, or an .npz with arr_0")
    for each in (tokenizer, pairs, samples, statistics):
        _add_common(each)
    compared = commands.add_parser("compare", help="two evaluations side by side, if they may be compared")
    compared.add_argument("first", help="evaluation.json, or the folder that it is in")
    compared.add_argument("second", help="another one")
    return top


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--out", type=Path, required=True, help="where results are written; an unfinished run goes on")
    command.add_argument("--image-size", type=int, help="pixels a side that images are brought to")
    command.add_argument("--crop", default="none", help="none (sizes must agree), centre or adm (default: none)")
    command.add_argument("--batch-size", type=int, default=32, help="images at a time (default: 32)")
    command.add_argument("--network", default="lite0", help="lite0, inception or a timm model; none for no distance")
    command.add_argument("--weights", help="a file with the network's weights")
    command.add_argument("--resamples", type=int, default=20, help="for the interval of the distance; 0 for none")
    command.add_argument("--network-size", type=int, default=128, help="pixels a side that lite0 or a timm model sees")


def run(arguments: Sequence[str] | None = None) -> str:
    """Do what the arguments ask for; what is to be printed."""
    asked = parser().parse_args(arguments)
    if asked.command == "compare":
        return compare(read_evaluation(asked.first), read_evaluation(asked.second))
    common = {"image_size": asked.image_size, "crop": asked.crop, "batch_size": asked.batch_size}
    network = None
    if asked.network != "none":
        network = open_network(asked.network, weights=asked.weights, image_size=asked.network_size)
    chance = Chance(resamples=asked.resamples)
    if asked.command == "statistics":
        return _write_statistics(asked, network, common)
    found: Evaluation
    if asked.command == "tokenizer":
        tokenizer = load_tokenizer(asked.loader, asked.path)
        numbers = Numbers(network, codebook_sizes=asked.codebook_sizes or (), chance=chance)
        named = f"{asked.loader} {Path(asked.path).name}"
        found = evaluate_tokenizer(
            tokenizer,
            asked.images,
            numbers,
            seed=asked.seed,
            folder=asked.out,
            training=asked.training,
            name=named,
            **common,
        )
    elif asked.command == "pairs":
        numbers = Numbers(network, chance=chance)
        found = evaluate_pairs(asked.originals, asked.reconstructions, numbers, folder=asked.out, **common)
    else:
        if network is None:
            raise ValueError("samples are measured in a network: give another --network than none")
        found = evaluate_samples(asked.samples, asked.reference, network, chance, folder=asked.out, **common)
    return f"{found.markdown()}\n{asked.out / 'evaluation.html'}\n"


def _write_statistics(asked: argparse.Namespace, network: FeatureNetwork | None, common: dict[str, Any]) -> str:
    if network is None:
        raise ValueError("statistics are measured in a network: give another --network than none")
    if asked.out.suffix != ".npz":
        raise ValueError(f"--out: expected a name that ends in .npz, got {asked.out}")
    statistics = measure_statistics(asked.images, network, folder=asked.out.parent, **common)
    if own_rank().number == 0:
        write_reference_statistics(asked.out, statistics)
    return f"{asked.out}\n"


def main() -> None:
    """Entry point: errors are one line, and several processes started by torchrun share the images."""
    try:
        with joined_processes():
            told = run()
            if own_rank().number == 0:
                sys.stdout.write(told)
    except (ValueError, TypeError, OSError) as error:
        sys.exit(f"vistok-eval: {' '.join(str(error).split())}")
    except KeyboardInterrupt:
        sys.exit("vistok-eval: stopped; the same command goes on")


if __name__ == "__main__":
    main()
