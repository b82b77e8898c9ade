"""Each wheel installs and works on its own: with what it declares, and nothing else."""

import subprocess
import venv
import zipfile
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

import pytest

from surface.closure import bare_environment, build_wheel
from surface.repository import COMPONENTS, PACKAGES, PROJECTS, RECIPES, ROOT, source_folder

RUN_EXAMPLES = """
import doctest, importlib, pkgutil, sys, warnings
warnings.simplefilter("ignore")
package = importlib.import_module(sys.argv[1])
for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if found.name.endswith("__main__"):
        continue
    module = importlib.import_module(found.name)
    if sys.argv[2] == "examples":
        assert doctest.testmod(module).failed == 0, found.name
"""


#: Extras without which some examples of a component do not run.
EXTRAS = {"metrics": "[backbones]"}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build each wheel at most once a process."""
    return cache(lambda name: build_wheel(name, tmp_path_factory.mktemp(name)))


def contents(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def run(python: Path, *arguments: str, cwd: Path) -> str:
    done = subprocess.run(
        [str(python), "-I", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=240,
        env={"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("package", PACKAGES)
def test_a_wheel_holds_the_whole_package_and_only_it(package, built):
    files = contents(built(f"vistok-{package}"))
    folder = source_folder(package)
    expected = {
        f"vistok/{package}/{path.relative_to(folder).as_posix()}"
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in files if ".dist-info/" not in name} == expected
    assert f"vistok/{package}/py.typed" in files
    assert [name for name in files if name.endswith(".dist-info/licenses/LICENSE")]


def test_the_wheel_of_the_recipes_holds_the_scripts_and_configurations_of_each(built):
    files = contents(built("vistok-recipes"))
    for recipe in RECIPES:
        folder = source_folder(recipe)
        found = [*folder.glob("*.py"), *(folder / "configs").glob("*.yaml")]
        assert {f"{recipe}/{path.relative_to(folder).as_posix()}" for path in found} <= files
        assert f"{recipe}/py.typed" in files
    assert {name.split("/")[0] for name in files if ".dist-info/" not in name} == set(RECIPES)


@pytest.mark.parametrize("package", COMPONENTS)
def test_the_examples_of_a_component_run_with_its_declared_dependencies_alone(package, tmp_path):
    python, _ = bare_environment(f"vistok-{package}{EXTRAS.get(package, '')}", tmp_path)
    run(python, "-c", RUN_EXAMPLES, f"vistok.{package}", "examples", cwd=tmp_path)


def test_the_losses_need_torch_only(tmp_path):
    python, site = bare_environment("vistok-losses", tmp_path)
    strangers = {"numpy", "einops", "timm", "accelerate", "datasets", "scipy", "sklearn", "PIL"}
    assert {path.name for path in site.iterdir()} & strangers == set()
    done = subprocess.run([str(python), "-I", "-c", "import einops"], capture_output=True, text=True, timeout=60)
    assert "No module named 'einops'" in done.stderr


def test_the_workbench_imports_with_its_declared_dependencies_alone(tmp_path):
    python, _ = bare_environment("vistok-workbench", tmp_path)
    run(python, "-c", RUN_EXAMPLES, "vistok.workbench", "no-examples", cwd=tmp_path)


def test_the_recipes_start_with_their_declared_dependencies_alone(tmp_path):
    python, site = bare_environment("vistok-recipes", tmp_path)
    (installed,) = distributions(name="vistok-recipes", path=[str(site)])
    for recipe in RECIPES:
        (entry,) = (e for e in installed.entry_points if e.group == "console_scripts" and e.name == recipe)
        module, _, function = entry.value.partition(":")
        show_help = f"sys.argv[1:] = ['--help']\nimport {module}\n{module}.{function}()"
        help_text = run(python, "-c", RUN_EXAMPLES + show_help, recipe, "no-examples", cwd=tmp_path)
        assert "demo" in help_text


@pytest.mark.slow
@pytest.mark.parametrize("name", list(PROJECTS))
def test_pip_installs_a_wheel_into_a_fresh_environment(name, tmp_path):
    """The real thing, from the package index: minutes, and a network."""
    wheels = tmp_path / "wheels"
    ours = {project: build_wheel(project, wheels) for project in PROJECTS}
    venv.EnvBuilder(with_pip=True).create(tmp_path / "env")
    python = tmp_path / "env" / "bin" / "python"
    command = [
        str(python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "-c",
        str(ROOT / "constraints.txt"),
        "--find-links",
        str(wheels),
    ]
    done = subprocess.run([*command, str(ours[name])], capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stderr[-3000:]
    for package in RECIPES if name == "vistok-recipes" else [name.replace("-", ".")]:
        run(python, "-c", RUN_EXAMPLES, package, "no-examples", cwd=tmp_path)
