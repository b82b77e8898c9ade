"""The command ``vistok-eval``: numbers of any tokenizer, of images beside images, of samples beside a reference."""

import argparse
import contextlib
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from vistok.metrics.distribution.reference import write_reference_statistics
from vistok.metrics.harness.compare import compare
from vistok.metrics.harness.distances import Resampling
from vistok.metrics.harness.evaluation import Evaluation, read_evaluation
from vistok.metrics.harness.held import held_modules
from vistok.metrics.harness.loaders import load_tokenizer
from vistok.metrics.harness.reconstruction_measures import Measurement
from vistok.metrics.harness.reconstructions import evaluate_pairs, evaluate_tokenizer
from vistok.metrics.harness.samples import evaluate_samples
from vistok.metrics.harness.statistics import measure_statistics
from vistok.metrics.images.grey import GreyImages
from vistok.metrics.images.sources import ImageSource, open_images
from vistok.metrics.networks.by_name import open_network
from vistok.metrics.networks.features import FeatureNetwork
from vistok.metrics.ranks import joined_processes, own_rank

_EPILOG = """examples:
  vistok-eval tokenizer glotok runs/demo/tokenizer --images photos --image-size 32 --crop adm --grey --out eval
  vistok-eval pairs originals reconstructions --out eval
  vistok-eval samples samples.npz --reference train.npz --network inception --out eval
  vistok-eval statistics train --image-size 256 --crop adm --network inception --out train.npz
  vistok-eval compare eval-a eval-b

several processes: torchrun --nproc_per_node 4 -m vistok.metrics.command tokenizer ...

exit codes: 0 done; 1 an error that nobody foresaw; 2 a mistake in what was asked, or a file that cannot be read or
written; 130 interrupted
"""
_FORMAT = partial(argparse.RawDescriptionHelpFormatter, max_help_position=28)
_IMAGES = "a folder of images, or an .npz with arr_0"


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    top = argparse.ArgumentParser(
        prog="vistok-eval",
        description="Numbers of any tokenizer, of reconstructions beside originals, of samples beside a reference.",
        epilog=_EPILOG,
        formatter_class=_FORMAT,
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, what: str, run: Any) -> argparse.ArgumentParser:
        added = commands.add_parser(
            name, help=what, description=f"{what[0].upper()}{what[1:]}.", formatter_class=_FORMAT
        )
        added.set_defaults(run=run)
        return added

    tokenizer = command("tokenizer", "reconstruct images with a tokenizer and measure how well", _tokenizer)
    tokenizer.add_argument("loader", help="glotok, semtok, diffusers, ... or module:function of your own")
    tokenizer.add_argument("path", help="what the loader takes: a folder, a file of weights")
    tokenizer.add_argument("--images", required=True, help=_IMAGES)
    tokenizer.add_argument("--grey", action="store_true", help="images in one channel, for a tokenizer of grey images")
    tokenizer.add_argument("--seed", type=int, metavar="N", default=0, help="for decoders that draw (default: 0)")
    tokenizer.add_argument(
        "--training", metavar="IMAGES", help="its training images: JPEG, WebP and PCA are shown at the same rate"
    )
    tokenizer.add_argument(
        "--codebook-sizes", type=int, nargs="+", metavar="N", help="where the tokenizer does not say them"
    )
    pairs = command("pairs", "measure reconstructions beside their originals", _pairs)
    pairs.add_argument("originals", help=_IMAGES)
    pairs.add_argument("reconstructions", help="the same, matched by name (folders) or position (.npz)")
    samples = command("samples", "measure samples beside a reference", _samples)
    samples.add_argument("samples", help=_IMAGES)
    samples.add_argument("--reference", required=True, help="real images, or an .npz of statistics (mu, sigma)")
    statistics = command("statistics", "write the statistics of real images, to compare samples with", _statistics)
    statistics.add_argument("images", help=_IMAGES)
    for each in (tokenizer, pairs, samples, statistics):
        _add_common(each)
    compared = command("compare", "show two evaluations side by side, if they may be compared", _compare)
    compared.add_argument("first", help="evaluation.json, or the folder that it is in")
    compared.add_argument("second", help="another one")
    return top


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--out", type=Path, required=True, help="where results are written; an unfinished run goes on")
    command.add_argument("--image-size", type=int, metavar="N", help="pixels a side that images are brought to")
    command.add_argument("--crop", default="none", help="none (sizes must agree), centre or adm (default: none)")
    command.add_argument("--batch-size", type=int, metavar="N", default=32, help="images at a time (default: 32)")
    command.add_argument("--network", default="lite0", help="lite0 (default), inception, a timm model, or none")
    command.add_argument("--weights", metavar="FILE", help="a file with the network's weights")
    command.add_argument(
        "--network-size",
        type=int,
        metavar="N",
        default=128,
        help="pixels a side that lite0 or a timm model sees (default: 128)",
    )
    command.add_argument(
        "--resamples",
        type=int,
        metavar="N",
        default=20,
        help="for the distance's margin of error; 0 for none (default: 20)",
    )
    command.add_argument("--device", help="where networks run (default: a GPU of each process, else cpu)")


def run(arguments: Sequence[str] | None = None) -> str:
    """Do what the arguments ask for; what is to be printed."""
    asked = parser().parse_args(arguments)
    told: str = asked.run(asked)
    return told


def _tokenizer(asked: argparse.Namespace) -> str:
    tokenizer = load_tokenizer(asked.loader, asked.path)
    for network in held_modules(tokenizer):
        network.to(_device(asked))
    measurement = _measurement(asked, codebook_sizes=asked.codebook_sizes or ())
    name = f"{asked.loader} {Path(asked.path).name}"
    further = {"seed": asked.seed, "name": name, "folder": asked.out, "batch_size": asked.batch_size}
    training = None if asked.training is None else _images(asked, asked.training)
    found = evaluate_tokenizer(tokenizer, _images(asked, asked.images), measurement, training=training, **further)
    return _told(found, asked)


def _images(asked: argparse.Namespace, source: str) -> ImageSource:
    opened = open_images(source, image_size=asked.image_size, crop=asked.crop)
    return GreyImages(opened) if asked.grey else opened


def _pairs(asked: argparse.Namespace) -> str:
    sides = asked.originals, asked.reconstructions
    return _told(evaluate_pairs(*sides, _measurement(asked), folder=asked.out, **_common(asked)), asked)


def _samples(asked: argparse.Namespace) -> str:
    network, resampling = _needed_network(asked), Resampling(resamples=asked.resamples)
    sides = asked.samples, asked.reference
    return _told(evaluate_samples(*sides, network, resampling, folder=asked.out, **_common(asked)), asked)


def _statistics(asked: argparse.Namespace) -> str:
    if asked.out.suffix != ".npz":
        raise ValueError(f"--out: expected a name that ends in .npz, got {asked.out}")
    unfinished = asked.out.with_name(f".{asked.out.name}.unfinished")  # several may be written beside one another
    statistics = measure_statistics(asked.images, _needed_network(asked), folder=unfinished, **_common(asked))
    if own_rank().number == 0:
        write_reference_statistics(asked.out, statistics)
        unfinished.rmdir()
    return f"{asked.out}\n"


def _compare(asked: argparse.Namespace) -> str:
    return compare(read_evaluation(asked.first), read_evaluation(asked.second))


def _told(found: Evaluation, asked: argparse.Namespace) -> str:
    return f"{found.markdown()}\n{asked.out / 'evaluation.html'}\n"


def _common(asked: argparse.Namespace) -> dict[str, Any]:
    return {"image_size": asked.image_size, "crop": asked.crop, "batch_size": asked.batch_size}


def _measurement(asked: argparse.Namespace, codebook_sizes: Sequence[int] = ()) -> Measurement:
    resampling = Resampling(resamples=asked.resamples)
    return Measurement(_network(asked), codebook_sizes=codebook_sizes, resampling=resampling)


def _network(asked: argparse.Namespace) -> FeatureNetwork | None:
    if asked.network == "none":
        return None
    return open_network(asked.network, weights=asked.weights, image_size=asked.network_size, device=_device(asked))


def _needed_network(asked: argparse.Namespace) -> FeatureNetwork:
    network = _network(asked)
    if network is None:
        raise ValueError("samples and statistics are measured in a network: give another --network than none")
    return network


def _device(asked: argparse.Namespace) -> torch.device:
    if asked.device is None:
        gpus = torch.cuda.device_count()
        return torch.device("cuda", own_rank().number % gpus) if gpus else torch.device("cpu")
    try:
        return torch.empty(0, device=asked.device).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {asked.device}: {str(error).splitlines()[0]}") from error


@contextlib.contextmanager
def own_modules() -> Any:
    """Find modules of the folder that a command is called in, as under ``python -m``."""
    sys.path.insert(0, "")
    try:
        yield
    finally:
        sys.path.remove("")


def main() -> None:
    """Entry point: errors are one line, and several processes started by torchrun share the images."""
    try:
        with joined_processes(), own_modules():
            told = run()
            if own_rank().number == 0:
                sys.stdout.write(_printable(told))
    except (ValueError, TypeError, OSError) as error:
        _end(" ".join(str(error).split()), 2)
    except KeyboardInterrupt:
        _end("stopped; the same command goes on", 130)


def _printable(text: str) -> str:
    """Text with the bytes of a file's name that are no UTF-8 written out."""
    return text.encode(errors="backslashreplace").decode()


def _end(message: str, code: int) -> None:
    sys.stderr.write(f"vistok-eval: {_printable(message)}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
