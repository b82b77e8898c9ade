"""recipes -> workbench -> metrics; recipes -> tokenizers -> quantizers, generators; recipes -> losses. By imports."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest

from surface.repository import (
    COMPONENTS,
    PACKAGES,
    RECIPES,
    ROOT,
    SIBLINGS,
    Source,
    import_name,
    imports,
    is_under,
    sources,
)


def strays(package: str, forbidden: list[str], allowed: tuple[str, ...] = ()) -> list[str]:
    return [
        f"{source}:{line} imports {name}"
        for source in sources(package)
        for name, line in imports(source)
        if any(is_under(name, other) for other in forbidden) and not any(is_under(name, other) for other in allowed)
    ]


@pytest.mark.parametrize("package", COMPONENTS)
def test_a_component_imports_of_our_packages_only_what_it_builds_on(package):
    others = [import_name(other) for other in (*PACKAGES, *RECIPES) if other != package]
    assert strays(package, others, SIBLINGS.get(package, ())) == []


@pytest.mark.parametrize("package", SIBLINGS)
def test_what_a_component_builds_on_it_uses_by_its_public_modules_and_declares(package):
    assert declared(package) >= {f"vistok-{name.split('.')[1]}" for name in SIBLINGS[package]}
    own = import_name(package)
    names = [name for source in sources(package) for name, _ in imports(source) if not is_under(name, own)]
    assert [name for name in names if re.match(r"vistok(\.\w+)*\._", name)] == []


def test_the_workbench_imports_the_metrics_and_nothing_else_of_ours():
    others = [import_name(other) for other in (*COMPONENTS, *RECIPES) if other != "metrics"]
    assert strays("workbench", others) == []


#: The rooms of a package, modules beside them included, and for each those that it may import; the lowest first.
ROOMS: dict[str, dict[str, set[str]]] = {
    "workbench": {
        "strict_yaml": set(),
        "config": {"strict_yaml"},
        "progress": set(),
        "run": {"config", "strict_yaml"},
        "data": {"progress", "run"},
        "output": {"run"},
        "tokens": {"data", "progress", "run"},
        "backbones": {"config", "run"},
        "recipe_config": {"config", "data", "run", "tokens"},
        "training": {"backbones", "config", "data", "progress", "recipe_config", "run"},
        "generator_settings": {"recipe_config", "training"},
        "cost": {"config", "training"},
        "evaluation": {"config", "data", "progress", "recipe_config", "run"},
        "reporting": {"evaluation", "run", "strict_yaml"},
        "inspection": {"config", "data", "evaluation", "progress", "run"},
        "program": {"config", "output", "run", "training"},
        "options": {"config", "data", "output", "recipe_config", "run"},
        "sides": {"config"},
        "command_line": {
            *("config", "options", "output", "program", "progress", "recipe_config", "run", "training"),
        },
        "inspect_command": {"command_line", "inspection", "options", "output", "run"},
        "token_commands": {"command_line", "options", "output", "run", "tokens"},
        "runs_command": {"config", "output", "run"},
        "compare_command": {"config", "output", "reporting", "run"},
        "cost_command": {"config", "cost", "output"},
        "pipelines": {"backbones", "config", "evaluation", "progress", "recipe_config", "reporting", "run"},
        "pipeline_command": {
            *("command_line", "config", "evaluation", "options", "output", "pipelines", "program", "reporting", "run"),
        },
        "graph_command": {"command_line", "options", "output", "pipelines", "run"},
        "studies": {
            *(
                "config",
                "output",
                "program",
                "data",
                "evaluation",
                "recipe_config",
                "reporting",
                "run",
                "strict_yaml",
                "training",
            ),
        },
    },
    "generators": {
        "_card": set(),
        "_checks": set(),
        "_evaluating": set(),
        "_random": set(),
        "_renaming": set(),
        "pretrained": {"_card", "_renaming"},
        "masked_tokens": set(),
        "layers": {"_checks", "_random"},
        "flow": {"_checks", "_random"},
        "sampling": {"_checks", "_random", "flow", "layers"},
        "xar": {"_card", "_checks", "_evaluating", "_random", "flow", "layers", "pretrained", "sampling"},
        "far": {"_card", "_checks", "_evaluating", "layers", "pretrained", "sampling"},
        "masked_ar_options": {"_checks", "layers", "sampling"},
        "masked_ar": {
            "_card",
            "_checks",
            "_evaluating",
            "_random",
            "layers",
            "masked_ar_options",
            "masked_tokens",
            "pretrained",
            "sampling",
        },
        "xar_presets": {"xar"},
        "far_presets": {"far"},
        "masked_presets": {"masked_ar", "masked_ar_options", "masked_tokens"},
        "published_checkpoints": {"_renaming", "far", "masked_ar", "masked_tokens", "xar"},
    },
    "metrics": {
        "_float64": set(),
        "_tensors": set(),
        "not_measurable": set(),
        "pixels": set(),
        "streaming": {"_float64", "not_measurable"},
        "images": {"pixels"},
        "ranks": {"streaming"},
        "reconstruction": {"_float64", "_tensors", "not_measurable", "pixels", "streaming"},
        "distribution": {"_float64", "_tensors", "not_measurable", "pixels", "streaming"},
        "networks": {"_float64", "distribution", "pixels"},
        "codes": {"_float64", "not_measurable", "streaming"},
        "rate": {"codes", "not_measurable", "pixels", "reconstruction", "streaming"},
        "report": {"pixels"},
        "harness": {
            *("codes", "distribution", "images", "networks", "not_measurable", "pixels"),
            *("ranks", "rate", "reconstruction", "report", "streaming"),
        },
        "command": {"distribution", "harness", "images", "networks", "ranks"},
    },
    "tokenizers": {
        "_checks": set(),
        "_dtypes": set(),
        "_normalisation": set(),
        "autoencoder": {"_checks", "_dtypes", "_normalisation"},
        "patches": {"_checks"},
        "adapter": {"_checks", "_normalisation", "autoencoder"},
        "query_encoder": {"_checks", "_dtypes", "patches"},
        "dual_codebook": {"_checks", "adapter", "autoencoder"},
        "lookup_free_tokenizer": {"_checks", "_dtypes", "_normalisation", "autoencoder"},
        "flow_tokenizer": {"_checks", "_dtypes"},
        "maskgit_vqgan": {"_checks", "_normalisation", "autoencoder"},
        "one_dimensional": {"_checks", "_dtypes", "adapter", "maskgit_vqgan"},
        "vqgan_plus": {"_checks", "_dtypes", "autoencoder", "maskgit_vqgan"},
        "published": {
            *("adapter", "autoencoder", "dual_codebook", "flow_tokenizer", "lookup_free_tokenizer"),
            *("maskgit_vqgan", "one_dimensional", "vqgan_plus"),
        },
    },
}


def room_arrows(package: str) -> dict[str, set[str]]:
    """The other rooms that each room of a package imports."""
    top = import_name(package)
    arrows: dict[str, set[str]] = {}
    for source in sources(package):
        if source.name == top:
            continue
        room = source.name.split(".")[2]
        found = {name.split(".")[2] for name, _ in imports(source) if name.startswith(f"{top}.")}
        arrows.setdefault(room, set()).update(found - {room})
    return arrows


@pytest.mark.parametrize("package", ROOMS)
def test_rooms_import_those_that_are_listed_and_no_others(package):
    assert room_arrows(package) == ROOMS[package]


@pytest.mark.parametrize("package", ["metrics", "workbench"])
def test_the_readme_tells_of_every_room(package):
    """Of what lies beside the rooms as much as it likes, and of nothing that is not there."""
    folder = ROOT / "packages" / package
    titles = re.findall(r"^\| (`[^|]+) \| ", (folder / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    told = {name for title in titles for name in re.findall(r"`(\w+)`", title)}
    rooms = {source.name.split(".")[2] for source in sources(package) if source.name.count(".") > 2}
    assert rooms <= told <= set(ROOMS[package])


@pytest.mark.parametrize("package", ROOMS)
def test_no_circle_leads_through_rooms(package):
    rooms = list(ROOMS[package])
    upward = [
        (room, other)
        for room, below in ROOMS[package].items()
        for other in below
        if other not in rooms[: rooms.index(room)]
    ]
    assert upward == []


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_imports_no_other_recipe(recipe):
    assert strays(recipe, [other for other in RECIPES if other != recipe]) == []


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_uses_only_public_modules_of_the_packages(recipe):
    private = re.compile(r"vistok(\.\w+)*\._")
    found = [
        f"{source}:{line} imports {name}"
        for source in sources(recipe)
        for name, line in imports(source)
        if private.match(name)
    ]
    assert found == []


def declared(package: str) -> set[str]:
    """Names of the distributions that a package says it needs, extras included, in normal form."""
    folder = ROOT / "packages" / package if package in PACKAGES else ROOT / "recipes"
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project.get("optional-dependencies", {}).values()
    names = [*project["dependencies"], *(name for extra in extras for name in extra)]
    return {normal(re.split(r"[\s<>=!~;\[]", name)[0]) for name in names}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("package", [*PACKAGES, *RECIPES])
def test_what_a_package_imports_it_declares(package):
    distributions = packages_distributions()
    allowed = declared(package)
    undeclared = []
    for source in sources(package):
        for name, line in imports(source):
            top = name.partition(".")[0]
            if top in sys.stdlib_module_names or top in {"vistok", package}:
                continue
            if not allowed.intersection(normal(d) for d in distributions.get(top, [top])):
                undeclared.append(f"{source}:{line} imports {name}")
    assert undeclared == []


def touches_distributed(source: Source) -> bool:
    imported = any(is_under(name, "torch.distributed") for name, _ in imports(source))
    return imported or any(
        isinstance(node, ast.Attribute) and ast.unparse(node) == "torch.distributed" for node in ast.walk(source.tree)
    )


@pytest.mark.parametrize("package", [*COMPONENTS, *RECIPES])
def test_at_most_one_module_touches_torch_distributed(package):
    touching = [str(source) for source in sources(package) if touches_distributed(source)]
    assert len(touching) <= 1, touching


def test_in_the_workbench_one_module_touches_the_processes_and_three_divide_tensors_among_them():
    imported = {source.name: {name for name, _ in imports(source)} for source in sources("workbench")}
    touching = {source.name for source in sources("workbench") if touches_distributed(source)}
    kinds = {"run.processes", "run.sharded_checkpoint", "training.sharding", "training.sharded_state"}
    assert touching == {f"vistok.workbench.{name}" for name in kinds}
    for name in touching - {"vistok.workbench.run.processes"}:
        assert "torch.distributed" not in imported[name]  # but what is below it


@pytest.mark.parametrize("package", COMPONENTS)
def test_components_never_read_the_environment(package):
    found = []
    for source in sources(package):
        names = [name for name, _ in imports(source)]
        found += [f"{source}: {name}" for name in names if name in {"os.environ", "os.getenv"}]
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in {"os.environ", "os.getenv"}:
                found.append(f"{source}:{node.lineno}")
    assert found == []


def test_the_walk_sees_every_way_to_import(tmp_path):
    path = tmp_path / "inner" / "module.py"
    path.parent.mkdir()
    path.write_text(
        "import a.b as x\nfrom c import d\nfrom . import e\nfrom ..f import g\n"
        "def later():\n    import h\n    importlib.import_module('i.j')\n    __import__('k')\n"
    )
    found = [name for name, _ in imports(Source("top.inner.module", path))]
    assert sorted(found) == ["a.b", "c.d", "h", "i.j", "k", "top.f.g", "top.inner.e"]
