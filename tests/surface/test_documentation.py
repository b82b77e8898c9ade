"""Every page keeps its word: the blocks run, the commands exist, the links lead somewhere."""

import importlib
import re
import shlex
import traceback
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import tyro
from PIL import Image

from surface.documents import Block, anchors, blocks, links, pages
from surface.repository import PACKAGES, RECIPES, ROOT, text_files
from vistok.metrics.command import _EPILOG, parser
from vistok.workbench.options import AUTO, RunOptions

NO_RUN = re.compile(r"python no-run \((weights|GPU|processes|excerpt)\)")
MAX_NOT_RUN = 5 + len(RECIPES)  # the page of each recipe loads weights
SHELLS = {"bash", "sh", "shell", "console"}


def page_id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def python_blocks(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.language == "python"]


def is_run(block: Block) -> bool:
    return block.info == "python"


PAGES = pages()


def make_images(folder: Path) -> None:
    """What the pages call ``path/to/images``: two classes of a few pictures."""
    for name, level in (("dark", 60), ("light", 190)):
        (folder / name).mkdir(parents=True)
        for number in range(16):
            Image.new("RGB", (80, 64), (level, level + number, level)).save(folder / name / f"{number}.png")


def block_id(value: Path | Block) -> str:
    return page_id(value) if isinstance(value, Path) else str(value.line)


@pytest.mark.parametrize(
    ("page", "block"), [(p, block) for p in PAGES for block in python_blocks(p) if is_run(block)], ids=block_id
)
def test_every_block_runs_alone(page, block, tmp_path, monkeypatch):
    """In a namespace and a folder of its own: a reader copies one block, not the page."""
    monkeypatch.chdir(tmp_path)
    make_images(tmp_path / "path" / "to" / "images")
    torch.manual_seed(0)
    # Empty lines in front make the line numbers of a traceback those of the page.
    code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
    try:
        exec(code, {"__name__": "page"})
    except Exception:
        pytest.fail(f"{page_id(page)}, block at line {block.line}:\n{traceback.format_exc(limit=-3)}")


def imported(text: str) -> set[str]:
    """What of this repository a block imports: ``losses`` for ``vistok.losses``, ``recipes`` for a recipe."""
    modules = re.findall(r"^(?:from|import) ([\w.]+)", text, re.MULTILINE)
    packages = {name.split(".")[1] for name in modules if name.startswith("vistok.")}
    return packages | ({"recipes"} if {name.split(".")[0] for name in modules} & set(RECIPES) else set())


def installed(text: str) -> set[str]:
    """What the shell lines of a block install."""
    everything = {*PACKAGES, "recipes"}
    return everything if "make install" in text else set(re.findall(r"\./packages/(\w+)", text))


@pytest.mark.parametrize(("name", "at_least"), [("README.md", 1), ("docs/start.md", 4)])
def test_each_section_of_the_first_pages_installs_what_its_blocks_import(name, at_least):
    page = ROOT / name
    starts = [n for n, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1) if line.startswith("## ")]
    sections: dict[int, list[Block]] = {}
    for block in blocks(page):
        sections.setdefault(max(start for start in starts if start < block.line), []).append(block)
    checked = 0
    for held in sections.values():
        needs = set().union(*(imported(block.text) for block in held if block.language == "python"))
        has = set().union(*(installed(block.text) for block in held if block.language in SHELLS))
        assert needs <= has, f"{page_id(page)}:{held[0].line}"
        checked += bool(needs)
    assert checked >= at_least


def test_blocks_that_do_not_run_are_few_and_say_why():
    kept = [(page_id(p), block) for p in PAGES for block in python_blocks(p) if not is_run(block)]
    assert [f"{name}:{block.line} {block.info}" for name, block in kept if not NO_RUN.fullmatch(block.info)] == []
    assert len(kept) <= MAX_NOT_RUN


def test_blocks_that_do_not_run_are_at_least_python():
    for page in PAGES:
        for block in python_blocks(page):
            compile(block.text, f"{page}:{block.line}", "exec")


def commands() -> list[tuple[str, list[str]]]:
    """Every line of a shell block, with its page; continued lines joined, comments and prompts taken off."""
    found = []
    for page in PAGES:
        for block in blocks(page):
            if block.language in SHELLS:
                for line in block.text.replace("\\\n", " ").splitlines():
                    words = shlex.split(line.removeprefix("$ "), comments=True)
                    if words:
                        found.append((f"{page_id(page)}: {line.strip()}", words))
    return found


def arguments_of(program: str, words: list[str]) -> list[str] | None:
    """What follows ``<program>`` or ``-m <program>`` on a command line that calls it."""
    if words[0] in {"cd", "cp", "echo", "perl", "vistok-eval"}:
        return None
    for index, word in enumerate(words):
        if Path(word).name == program:
            return words[index + 1 :]
    return None


def mistake(program: str, arguments: list[str]) -> str | None:
    """What a recipe's own command line says against these arguments, or None."""
    cli = importlib.import_module(f"{program}.cli")
    if "--help" in arguments:
        return None
    if not arguments or arguments[0] not in cli.COMMANDS:
        return f"expected one of {', '.join(cli.COMMANDS)}"
    taken = cli.COMMANDS[arguments[0]].__annotations__["options"]
    try:
        options = tyro.cli(taken, args=arguments[1:], config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff))
        if arguments[0] == "cost":
            cli.load(options.config, options.set)
            options.plan()
            return None
        if not isinstance(options, RunOptions):
            return None
        name = options.config_or_default("digits")
        if name == AUTO and not Path(options.data).exists():
            name = "emoji64"  # in colour, too; what auto would make needs the images
        if not name.endswith((".yaml", ".yml")):
            config = cli.resolve(replace(options, config=name))
            cli.choose_entries(config, options.generator, options.samples, options.evaluation)
    except (SystemExit, ValueError) as error:
        return str(error)
    return None


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_command_of_a_recipe_in_the_pages_is_one(recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_images(tmp_path / "path" / "to" / "images")
    called = [(line, arguments_of(recipe, words)) for line, words in commands()]
    found = [(line, arguments) for line, arguments in called if arguments is not None]
    assert found
    assert [f"{line}: {wrong}" for line, arguments in found if (wrong := mistake(recipe, arguments))] == []


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_page_of_a_recipe_names_every_command(recipe):
    page = (ROOT / "recipes" / recipe / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(rf"^(?:`|\| `)?{recipe} ([a-z][a-z-]+)", page, re.MULTILINE))
    assert set(importlib.import_module(f"{recipe}.cli").COMMANDS) <= named


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_wrong_command_of_a_recipe_would_be_found(recipe):
    assert mistake(recipe, ["demo", "--set", "train.steps=2"]) is None
    assert mistake(recipe, ["demo", "--data", "nowhere", "--generator", "far"]) is None
    for said, *arguments in (
        ("expected one of demo", "dmeo"),
        ("train.stpes", "demo", "--set", "train.stpes=2"),
        ("generator 'fra'", "sample", "--generator", "fra"),
        ("evaluation 'two'", "report", "--data", "nowhere", "--evaluation", "two"),
        ("gpu: expected one of", "cost", "--gpu", "h900"),
        ("generators.masked.widt", "demo", "--set", "generators.masked.widt=8"),
    ):
        assert said in str(mistake(recipe, arguments))
    assert mistake(recipe, ["demo", "--no-such-option", "1"])


def test_every_line_that_evaluates_is_a_command():
    found = 0
    for line, words in commands():
        program = next((name for name in ("vistok-eval", "vistok.metrics.command") if name in words), None)
        if program:
            found += 1
            try:
                parser().parse_args(words[words.index(program) + 1 :])
            except SystemExit:
                pytest.fail(line)
    assert found >= 5


def test_the_demo_tokenizer_is_evaluated_on_images_as_it_takes_them():
    config = importlib.import_module("glotok.cli").load("digits", ())
    lines = [words for _, words in commands()] + [line.split() for line in _EPILOG.splitlines()]
    demos = [words for words in lines if words[:1] == ["vistok-eval"] and "runs/demo/tokenizer" in words]
    assert len(demos) >= 3
    for asked in (parser().parse_args(words[1:]) for words in demos):
        assert asked.image_size == config.data.image_size
        assert asked.grey == (config.tokenizer.image_channels == 1)


def test_evaluations_that_the_pages_compare_are_made_with_the_same_choices():
    compared = 0
    for page in PAGES:
        lines = [words for line, words in commands() if line.startswith(f"{page_id(page)}: vistok-eval ")]
        asked = [vars(parser().parse_args(words[1:])) for words in lines]
        made = {str(each["out"]): each for each in asked if "out" in each}
        for pair in (each for each in asked if "second" in each):
            compared += 1
            first, second = ({**made[pair[side]], "loader": "", "path": "", "out": ""} for side in ("first", "second"))
            assert first == second
    assert compared


def test_every_make_target_in_the_pages_exists():
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    used = {
        word
        for _, words in commands()
        if words[0] == "make"
        for word in words[1:]
        if re.fullmatch(r"[a-z][\w-]*", word)
    }
    assert used - targets == set()


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page):
    broken = []
    for target in links(page):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, fragment = target.partition("#")
        place = (page.parent / name).resolve() if name else page
        if not place.exists() or (fragment and place.suffix == ".md" and fragment not in anchors(place)):
            broken.append(target)
    assert broken == []


def linked(page: Path) -> set[Path]:
    return {(page.parent / t.partition("#")[0]).resolve() for t in links(page) if not re.match(r"[a-z]+:", t)}


def test_every_page_can_be_reached_from_the_index():
    index = ROOT / "docs" / "README.md"
    reached = {index, *linked(index)}  # a link to a folder shows all pages in it
    missing = [p for p in PAGES if p.is_relative_to(ROOT / "docs") and not reached & {p, p.parent} - {ROOT / "docs"}]
    assert [page_id(p) for p in missing] == []


# Written in pieces, so that this file does not hold what it looks for.
MACHINE_PATH = re.compile(r"(?<![\w./~-])/" + "(home|root|work|Users|mnt|srv|scratch)" + r"/\w")
REGISTRY = re.compile(
    "|".join(
        ["py" + r"pi\.org", "python" + "hosted", "download" + r"\.pytorch", "ana" + r"conda\.org", "index" + "-url"]
    )
)


def test_no_file_names_a_path_of_one_machine_or_the_host_of_a_registry():
    found = []
    for path in text_files(".py", ".md", ".toml", ".txt", ".yaml", ".yml", ".cff", ".cfg"):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if MACHINE_PATH.search(line) or REGISTRY.search(line):
                found.append(f"{page_id(path)}:{number}: {line.strip()[:100]}")
    assert found == []
