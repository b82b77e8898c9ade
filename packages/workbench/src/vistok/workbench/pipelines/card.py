"""The model card of an exported pipeline: what it is, how it is used, how good it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vistok.metrics.report.page import Table
from vistok.workbench.reporting.sections import reconstruction_table, sample_table
from vistok.workbench.run.summary import tokenizer_section

PICTURE = "samples.png"
CONVENTIONS = (
    "Numbers of one page compare with each other. They compare with other pages only where the images, the network of "
    "the features and the number of images are the same."
)


@dataclass(frozen=True)
class Paper:
    """A paper that a recipe follows.

    Example:
        >>> print(Paper("demo2026", "A Title", "Doe, Jane", "2601.00001").bibtex())
        @misc{demo2026,
          title = {A Title},
          author = {Doe, Jane},
          year = {2026},
          eprint = {2601.00001},
          archivePrefix = {arXiv}
        }
    """

    key: str
    title: str
    author: str
    arxiv: str

    def bibtex(self) -> str:
        """The entry."""
        fields = {"title": self.title, "author": self.author, "year": f"20{self.arxiv[:2]}", "eprint": self.arxiv}
        lines = [f"  {name} = {{{value}}}" for name, value in {**fields, "archivePrefix": "arXiv"}.items()]
        return f"@misc{{{self.key},\n" + ",\n".join(lines) + "\n}"


@dataclass(frozen=True)
class CardFacts:
    """What a card tells.

    Attributes:
        program: The recipe's command and package.
        name: Of the run.
        generator: Its name in the configuration.
        parameters: Of the tokenizer and of the generator.
        data: What it learned from, in words.
        class_names: What can be drawn.
        paper: That the recipe follows.
        versions: Of the packages that made it.
        licence: Of the weights, as its author states it; ``None`` if not stated.
        measures: Of the run's evaluation, or ``None`` if there is none of its settings.
        label: Of the samples among the measures.
    """

    program: str
    name: str
    generator: str
    parameters: tuple[int, int]
    data: str
    class_names: Sequence[str]
    paper: Paper
    versions: Mapping[str, str]
    licence: str | None
    measures: Mapping[str, Any] | None
    label: str


def write_card(facts: CardFacts, *, pictured: bool) -> str:
    """The card as Markdown with the header that the hub reads.

    Args:
        facts: What it tells.
        pictured: Whether :data:`PICTURE` lies beside it.
    """
    head = ["library_name: vistok", f"tags: [{facts.program}, image-tokenizer, image-generation]"]
    if facts.licence:
        head.append(f"license: {facts.licence}")
    first, second = facts.parameters
    what = (
        f"The {facts.program} tokenizer ({first / 1e6:.1f} M parameters) and the generator `{facts.generator}` "
        f"({second / 1e6:.1f} M parameters) of the run `{facts.name}`, trained on {facts.data}."
    )
    blocks = [f"# {facts.name}", what]
    if pictured:
        blocks.append(f"![Generated images, unselected: the first of each class, a column a class.]({PICTURE})")
    blocks += ["## Use", _use(facts), "## Measures", *_measures(facts)]
    blocks += ["## How it was made", _making(facts), "## Licence", _licence(facts), "## Cite", _cite(facts)]
    return "---\n" + "\n".join(head) + "\n---\n\n" + "\n\n".join(blocks) + "\n"


def _use(facts: CardFacts) -> str:
    names = facts.class_names
    some = [names[0], names[-1]] if len(names) > 1 else [names[0]]
    shown = ", ".join(f"`{name}`" for name in names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    code = (
        f"from {facts.program}.pipeline import load_pipeline  # vistok-recipes, from a checkout or wheels of vistok\n\n"
        'pipeline = load_pipeline("this folder, or its name on the hub")\n'
        f"images = pipeline({some!r}, seed=0)  # PIL images\n"
        'images[0].save("first.png")\n\n'
        "tokenizer = pipeline.tokenizer  # images (B, C, H, W) in [-1, 1]: tokenizer.encode, tokenizer.decode"
    )
    return f"```python\n{code}\n```\n\nClasses, by name or by number from 0: {shown}."


def _measures(facts: CardFacts) -> list[str]:
    measures = facts.measures
    if measures is None:
        return [f"This run was not evaluated with these settings; `{facts.program} evaluate` measures it."]
    tables: list[Table] = []
    if (section := tokenizer_section(measures)) is not None:
        tables.append(reconstruction_table(measures, section))
    if f"samples {facts.label}" in measures:
        tables.append(sample_table(measures, facts.label))
    return [*(table.markdown() for table in tables), CONVENTIONS]


def _making(facts: CardFacts) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
    return f"`config.yaml` beside this page holds every setting. Made with {versions}."


def _licence(facts: CardFacts) -> str:
    weights = f"Weights: {facts.licence}." if facts.licence else "The author of these weights stated no licence."
    return f"{weights} The code that runs them, vistok, is Apache-2.0. Images have the licence of what it learned from."


def _cite(facts: CardFacts) -> str:
    return f"```bibtex\n{facts.paper.bibtex()}\n```"
