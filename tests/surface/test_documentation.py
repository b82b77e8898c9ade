"""Every page keeps its word: the blocks run, the commands exist, the links lead somewhere."""

import re
import shlex
import traceback
from pathlib import Path

import pytest
import torch
import tyro
from PIL import Image

from glotok.cli import COMMANDS, Options, resolve
from surface.documents import Block, anchors, blocks, links, pages
from surface.repository import ROOT, text_files

NO_RUN = re.compile(r"python no-run \((weights|GPU|processes|excerpt)\)")
MAX_NOT_RUN = 8
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


@pytest.mark.parametrize("page", [p for p in PAGES if any(map(is_run, python_blocks(p)))], ids=page_id)
def test_the_blocks_of_a_page_run_in_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_images(tmp_path / "path" / "to" / "images")
    torch.manual_seed(0)
    namespace = {"__name__": "page"}
    for block in filter(is_run, python_blocks(page)):
        # Empty lines in front make the line numbers of a traceback those of the page.
        code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
        try:
            exec(code, namespace)
        except Exception:
            pytest.fail(f"{page_id(page)}, block at line {block.line}:\n{traceback.format_exc(limit=-3)}")


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


def glotok_arguments(words: list[str]) -> list[str] | None:
    """What follows ``glotok`` or ``-m glotok`` on a command line."""
    for index, word in enumerate(words):
        if Path(word).name == "glotok":
            return words[index + 1 :]
    return None


def test_every_glotok_command_in_the_pages_is_one():
    wrong = []
    for line, words in commands():
        arguments = glotok_arguments(words)
        if arguments is None or "--help" in arguments or words[0] in {"cd", "cp"}:
            continue
        if not arguments or arguments[0] not in COMMANDS:
            wrong.append(line)
            continue
        try:
            options = tyro.cli(
                Options, args=arguments[1:], config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff)
            )
            if not options.config.endswith((".yaml", ".yml")):
                resolve(options)
        except (SystemExit, ValueError) as error:
            wrong.append(f"{line}: {error}")
    assert wrong == []


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
