"""The files that start a training on nodes of cards parse, and name what there is. No card has run them."""

import re
import shlex
import subprocess

import pytest
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import launch_command_parser
from accelerate.utils import DistributedType

from surface.repository import RECIPES, ROOT

FOLDER = ROOT / "launch"
CONFIGS = sorted(FOLDER.glob("*.yaml"))
SCRIPTS = sorted(FOLDER.glob("*.sbatch"))


def test_there_is_one_for_each_kind_and_number_of_nodes():
    names = [f"{kind}_{nodes}" for kind in ("ddp", "fsdp") for nodes in ("four_nodes", "one_node")]
    assert [path.stem for path in CONFIGS] == names
    assert [path.stem for path in SCRIPTS] == ["four_nodes", "one_node"]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_accelerate_reads_a_configuration_as_it_is_meant(path):
    config = load_config_from_file(str(path))
    nodes = 4 if "four" in path.stem else 1
    assert (config.num_machines, config.num_processes) == (nodes, 8 * nodes)
    sharded = "fsdp" in path.stem
    assert config.distributed_type == (DistributedType.FSDP if sharded else DistributedType.MULTI_GPU)
    assert config.mixed_precision == "no"  # the recipes say it
    options = {option for action in launch_command_parser()._actions for option in action.option_strings}
    given = yaml.safe_load(path.read_text(encoding="utf-8")).get("fsdp_config", {})
    assert [name for name in given if f"--{name}" not in options] == []
    assert (given.get("fsdp_version") == 2) == sharded


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_batch_file_parses_and_starts_as_many_nodes_as_its_configurations(path):
    subprocess.run(["bash", "-n", str(path)], check=True)
    text = path.read_text(encoding="utf-8")
    nodes = int(re.search(r"^#SBATCH --nodes=(\d+)$", text, re.MULTILINE)[1])
    for name in re.findall(r"launch/\w+\.yaml", text):
        assert load_config_from_file(str(ROOT / name)).num_machines == nodes
    assert re.search(r"^#SBATCH --gpus-per-node=8$", text, re.MULTILINE)


@pytest.mark.parametrize("path", [*CONFIGS, *SCRIPTS], ids=lambda path: path.name)
def test_the_line_at_the_head_of_a_file_runs_a_command_of_a_recipe(path):
    for line in re.findall(r"^# +((?:accelerate|sbatch) .+)$", path.read_text(encoding="utf-8"), re.MULTILINE):
        words = shlex.split(line)
        recipe = next(word for word in words if word in RECIPES)
        assert words[words.index(recipe) + 1].startswith("train-")
        assert all((ROOT / word).is_file() for word in words if word.startswith("launch/"))
