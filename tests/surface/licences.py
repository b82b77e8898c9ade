"""The licence of everything that our distributions bring, from the metadata of what is installed.

    PYTHONPATH=tests python tests/surface/licences.py --write     # docs/licences.md

Run it where the extras are installed, too: what is not installed keeps the row that it has.
"""

import re
import sys
import tomllib
from collections import defaultdict
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from surface.closure import requirements
from surface.repository import PROJECTS, ROOT

PAGE = ROOT / "docs" / "licences.md"
#: What torch's build with CUDA brings, on some machines only.
OF_CUDA = ("nvidia-", "cuda-", "triton")
PERMISSIVE = {
    *("MIT", "MIT-0", "MIT-CMU", "BSD", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "Apache-2.0", "ISC", "PSF-2.0", "Zlib"),
    *("HPND", "CC0-1.0", "Unlicense", "CNRI-Python", "BSL-1.0", "Unicode-3.0"),
}
#: What older metadata say, in the terms of SPDX.
TERMS = {
    "Apache Software License": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache": "Apache-2.0",
    "BSD License": "BSD",
    "BSD 3-Clause License": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "BSD-3": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
}
HEAD = """# Licences of what an installation brings

vistok is [Apache-2.0](https://www.apache.org/licenses/LICENSE-2.0), with a copy in each wheel. This table is of what
its distributions need, directly or through others, with the versions of `constraints.txt` and the licences that the
packages themselves state; `PYTHONPATH=tests python tests/surface/licences.py --write` makes it. A name in brackets is
an extra. Not listed: what torch's build for CUDA brings, NVIDIA's libraries under NVIDIA's own terms, and tools that
only develop vistok.

## Not only permissive

These ask more than notices of who passes them on, or do not say:

"""
TABLE = """
## All

| package | version | licence | needed by |
|---|---|---|---|
"""


def licence(found: Distribution) -> str:
    """What a distribution states, as an SPDX expression where that can be told."""
    about = found.metadata
    classified = [text.rpartition(":: ")[2] for text in about.get_all("Classifier") or [] if "License ::" in text]
    stated = (about["License"] or "").strip()
    if about["License-Expression"]:
        return str(about["License-Expression"])
    told = [text for text in classified if text not in ("OSI Approved", "License")]
    if not told and stated not in ("", "UNKNOWN"):
        told = [stated.splitlines()[0][:60]]
    return " or ".join(sorted({TERMS.get(text, text) for text in told})) or "not stated"


def is_permissive(stated: str) -> bool:
    """Whether nothing is asked of who passes it on but notices: every licence of the expression, or one of a choice."""
    choices = re.split(r"\s+(?:OR|or)\s+", stated)
    words = [set(re.findall(r"[\w.+-]+", choice)) - {"AND", "WITH", "LLVM-exception"} for choice in choices]
    return any(named <= PERMISSIVE for named in words)


def needs(requirement: Requirement) -> list[Requirement]:
    """What a distribution needs, with the extras asked for; of ours by their pyproject.toml, which may be newer."""
    if requirement.name not in PROJECTS:
        return requirements(distribution(requirement.name), requirement.extras)
    text = (PROJECTS[requirement.name] / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    extras = [project["optional-dependencies"][extra] for extra in requirement.extras]
    return [Requirement(text) for texts in (project["dependencies"], *extras) for text in texts]


def brought_by(name: str, extra: str | None = None) -> set[str]:
    """Every foreign distribution that one of ours needs; those of an extra are what it adds. Only what is installed."""
    waiting, seen = [Requirement(f"{name}[{extra}]" if extra else name)], set()
    while waiting:
        needed = waiting.pop()
        key = (canonicalize_name(needed.name), *sorted(needed.extras))
        if key in seen:
            continue
        try:
            waiting += needs(needed)
        except PackageNotFoundError:
            continue
        seen.add(key)
    found = {key[0] for key in seen if key[0] not in PROJECTS and not key[0].startswith(OF_CUDA)}
    return found - brought_by(name) if extra else found


def needed_by() -> dict[str, list[str]]:
    """Which of ours bring each foreign distribution, and which of their extras."""
    who: dict[str, list[str]] = defaultdict(list)
    for name, folder in PROJECTS.items():
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        short = name.removeprefix("vistok-")
        for extra in (None, *project.get("optional-dependencies", {})):
            for brought in brought_by(name, extra):
                who[brought].append(f"{short}[{extra}]" if extra else short)
    return who


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return {canonicalize_name(name): pin for name, _, pin in (line.partition("==") for line in lines) if pin}


def written_rows() -> dict[str, str]:
    """The rows of the page that is there."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    return {row.split(" | ")[0][2:]: row for row in re.findall(r"^\| .* \|$", text, re.MULTILINE)[1:]}


def rows() -> dict[str, str]:
    """The rows of the page, of what is installed."""
    versions = pins()
    return {
        name: f"| {name} | {versions.get(name, 'any')} | {licence(distribution(name))} | {', '.join(who)} |"
        for name, who in sorted(needed_by().items())
    }


def page() -> str:
    """The whole page; what is not installed here keeps its row."""
    table = dict(sorted({**written_rows(), **rows()}.items()))
    asking = [row.split(" | ") for row in table.values()]
    asking = [cells for cells in asking if not is_permissive(cells[2])]
    named = "".join(f"- {cells[0][2:]}: {cells[2]}; by {cells[3][:-2]}\n" for cells in asking)
    return HEAD + named + TABLE + "\n".join(table.values()) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("--write writes the page")
    PAGE.write_text(page(), encoding="utf-8")
