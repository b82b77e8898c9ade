"""A recipe that is copied as the page says, line by line, runs and passes what every recipe must pass."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from _support.image_files import write_folder
from surface.documents import blocks
from surface.repository import PACKAGES, RECIPES, ROOT, files

(STEPS,) = (block.text for block in blocks(ROOT / "docs" / "recipes.md") if "cp -r recipes/glotok" in block.text)
(NAME,) = set(re.findall(r"recipes/(\w+)", STEPS)) - {"pyproject", "README", *RECIPES}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the repository where the steps were followed; this environment stands for what `make install` makes."""
    place = tmp_path_factory.mktemp("checkout")
    for path in files():
        copied = place / path.relative_to(ROOT)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copied)
    steps = "\n".join(line for line in STEPS.splitlines() if line != "make install")
    subprocess.run(["bash", "-ec", steps], cwd=place, check=True, timeout=60)
    return place


def run(place, *arguments):
    """Python in the checkout, with the packages and recipes of the checkout."""
    folders = [*(place / "packages" / package / "src" for package in PACKAGES), place / "recipes"]
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=place,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders)), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_the_copy_is_in_order_for_the_linter(checkout):
    run(checkout, "-m", "ruff", "check", f"recipes/{NAME}")
    run(checkout, "-m", "ruff", "format", "--check", f"recipes/{NAME}")


def test_the_copy_stands_among_the_recipes_with_its_page_command_and_arrows(checkout):
    tests = [f"tests/surface/test_{name}.py" for name in ("namespace", "dependency_arrows", "releases")]
    told = run(checkout, "-m", "pytest", "-vv", "-p", "no:cacheprovider", "-k", f"{NAME} or recipes", *tests)
    assert f"test_a_recipe_has_a_page_configurations_a_command_and_its_types_checked[{NAME}] PASSED" in told


@pytest.mark.slow
def test_the_copy_passes_every_test_of_the_surface(checkout):
    run(checkout, "-m", "pytest", "-p", "no:cacheprovider", "-m", "not slow", "tests/surface")
    run(checkout, "-m", "mypy", "-p", NAME)


def test_the_copy_runs_a_whole_demo_of_its_own(checkout, tmp_path):
    tiny = checkout / "tests" / "_support" / "tiny_glotok.yaml"
    images, runs = write_folder(tmp_path / "images", 60), tmp_path / "runs"
    run(checkout, "-m", NAME, "demo", "--config", tiny, "--runs", runs, "--data", images)
    (record,) = runs.glob("*/vistok-run.json")
    assert NAME in record.read_text(encoding="utf-8")
    assert (record.parent / "report.html").is_file()
