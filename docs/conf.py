"""The documentation site: the repository's Markdown pages and the docstrings, read from the root of the repository.

``make docs`` writes it into ``docs/_build/html``. Formulas become MathML while it is built, with a font that lies
beside the pages: reading them takes neither a network nor a script.
"""

import importlib
import inspect
import json
import shutil
from functools import partial
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import math_core
import ziamath
from docutils import nodes
from docutils.utils import get_source_line
from fontTools import subset
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.util import inspect as sphinx_inspect
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

ROOT = Path(__file__).resolve().parents[1]

project = "vistok"
copyright = "the vistok contributors, Apache-2.0"
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "myst_parser",
    "sphinx_copybutton",
]

# The source folder is the root of the repository, so that a link between two pages is the same here and on a code host.
root_doc = "README"
include_patterns = [
    "*.md",
    "docs/**.md",
    "docs/**.rst",
    "packages/*/*.md",
    "recipes/**.md",
    "benchmarks/results/**.md",
]
exclude_patterns = [".*", "**/.*", "docs/_build", "runs", "tests", "**/src"]
nitpicky = True
suppress_warnings = ["ref.python"]  # two classes have an attribute of the name of a builtin type

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4

#: Hidden tables of contents, by the page that gets them: caption to pages. The first makes the side bar.
NAVIGATION = {
    "README": {
        "Start": "docs/start",
        "Guides": "docs/choose docs/data docs/fine_tuning docs/scaling docs/troubleshooting "
        "docs/metrics docs/inspect docs/performance docs/export docs/studies",
        "Parts": "docs/losses/README docs/quantizers/README docs/generators/README docs/tokenizers",
        "Recipes": "recipes/README recipes/glotok/README recipes/semtok/README recipes/vqgan/README docs/recipes",
        "Evidence": "docs/evidence docs/reproducing docs/measurements",
        "Packages": "packages/*/README",
        "API": "docs/api/losses docs/api/quantizers docs/api/generators docs/api/metrics "
        "docs/api/tokenizers docs/api/workbench docs/api/recipes",
        "Contribute": "CONTRIBUTING docs/releasing docs/licences docs/changelogs docs/README",
    },
    "docs/losses/README": {"": "docs/losses/*"},
    "docs/quantizers/README": {"": "docs/quantizers/*"},
    "docs/generators/README": {"": "docs/generators/*"},
    "docs/evidence": {"": "benchmarks/results/studies/*/*/study benchmarks/results/studies/correlations/correlations"},
    "docs/measurements": {"": "benchmarks/results/*"},
    "docs/changelogs": {"": "packages/*/CHANGELOG recipes/CHANGELOG"},
}

napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = ["Source", "Shape", "Range", "Gradient", "Distributed"]
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autosummary_generate = False
maximum_signature_line_length = 88
add_module_names = False
toc_object_entries_show_parents = "hide"
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = "vistok"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_domain_indices = False
html_math_renderer = "mathml"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"

logging.logging.getLogger("fontTools").setLevel("WARNING")
LATEX = math_core.LatexToMathML(fancy_error=False)
MADE: dict[int, str] = {}
#: What formulas are written with: Latin, Greek, punctuation, arrows, operators, technical and mathematical letters.
MATHEMATICAL = (
    range(0x20, 0x250),
    range(0x2B0, 0x400),
    range(0x2000, 0x2400),
    range(0x27E0, 0x2800),
    range(0x1D400, 0x1D800),
)


def write_formula(translator: Any, node: nodes.math | nodes.math_block) -> None:
    """A formula as MathML, and a warning where the converter does not know its LaTeX."""
    block = isinstance(node, nodes.math_block)
    try:
        formula = LATEX.convert_with_local_state(node.astext().replace("\n", " "), displaystyle=block)
    except math_core.LatexError as error:
        logging.getLogger(__name__).warning("no formula: %s", error, location=node)
        raise nodes.SkipNode from error
    translator.body.append(f'<div class="formula">{formula}</div>' if block else formula)
    raise nodes.SkipNode


def write_mathematical_font(app: Sphinx, failed: Exception | None) -> None:
    """STIX Two Math without what no formula uses, and the front page under the name that web servers look for."""
    if failed:
        return
    options = subset.Options(flavor="woff", layout_features=["ssty"])
    font = subset.load_font(str(Path(ziamath.__file__).parent / "fonts" / "STIXTwoMath-Regular.ttf"), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=[code for codes in MATHEMATICAL for code in codes])
    subsetter.subset(font)
    subset.save_font(font, str(app.outdir / "_static" / "formulas.woff"), options)
    shutil.copy(app.outdir / "README.html", app.outdir / "index.html")


def add_navigation(app: Sphinx, docname: str, source: list[str]) -> None:
    """Hidden tables of contents, which a page's Markdown does not hold: a code host would show them as code."""
    for caption, patterns in NAVIGATION.get(docname, {}).items():
        listed = "\n".join(entry for pattern in patterns.split() for entry in entries(pattern))
        options = ":hidden:\n:glob:\n" + f":caption: {caption}\n" * bool(caption)
        source[0] += f"\n\n```{{toctree}}\n{options}\n{listed}\n```\n"


def entries(pattern: str) -> list[str]:
    """Pages by their own titles, but for studies: the same one on two sets of images has one title."""
    studies = sorted(page.parent for page in ROOT.glob(f"{pattern}.md")) if pattern.endswith("/study") else []
    titled = [f"{study.parent.name} on {study.name} </{study.relative_to(ROOT)}/study>" for study in studies]
    return titled or [f"/{pattern}"]


def resolve_folders(app: Sphinx, doctree: nodes.document) -> None:
    """A link to a folder leads to its README; one without a README is shown without a link."""
    for link in list(doctree.findall(pending_xref)):
        if link["reftype"] != "myst" or link["refdomain"]:
            continue
        _, folder = app.env.relfn2path(link["reftarget"], link["refdoc"])
        page = app.env.path2doc(f"{folder}/README.md")
        if page in app.env.found_docs:
            link["refdomain"], link["reftarget"], link["reftargetid"] = "doc", page, None
        elif Path(folder).is_dir():
            link.replace_self(link.children)


def skip_fields(app: Sphinx, kind: str, name: str, value: Any, skip: bool, options: Any) -> bool | None:
    """Leave out the fields of named tuples, which are under ``Attributes``, and what is of torch or pydantic only."""
    return True if type(value).__name__ == "_tuplegetter" or name in {"extra_repr", "model_config"} else None


def swap_colons(
    old: str, new: str, app: Sphinx, kind: str, name: str, value: Any, options: Any, lines: list[str]
) -> None:
    """Hide the colon of a comment on an attribute from napoleon, which takes the words before it for a type."""
    if kind in {"attribute", "data", "property"} and lines:
        lines[0] = lines[0].replace(old, new)


def drop_docstring_of_type(app: Sphinx, kind: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """A constant without a comment is shown with its value, not with what ``dict`` or ``str`` say of themselves."""
    foreign = {(of.__doc__ or "").strip().partition("\n")[0] for of in (value, type(value))}
    if kind == "data" and lines and lines[0] in foreign:
        lines.clear()


def resolve_name(app: Sphinx, env: Any, node: nodes.Element, shown: nodes.Node) -> nodes.Node | None:
    """A role finds a name without its path, and a type its public name, wherever it is defined.

    A type that is no public name here is shown without a link; a role must lead somewhere.
    """
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    is_role = isinstance(shown, nodes.literal) and get_source_line(node)[0]
    if not is_role and not target.startswith("vistok."):
        return shown
    for name in [target] if is_role else [target, target.rpartition(".")[2]]:
        if found := env.domains.python_domain.find_obj(env, None, None, name, None, 1):
            name, entry = min(found, key=lambda pair: len(pair[0]))
            return make_refnode(app.builder, node.get("refdoc", env.docname), entry.docname, entry.node_id, shown, name)
    return None if is_role else shown


def show_constructor(app: Sphinx, kind: str, name: str, value: Any, options: Any, said: str, returns: str) -> Any:
    """What a class takes, where a mixin's ``__new__`` hides it, and without what checks it."""
    hidden = said == "(*args, **kwargs)"
    if kind != "class" or not (hidden or "Annotated[" in (said or "")):
        return None
    signature = sphinx_inspect.signature(value.__init__ if hidden else value, bound_method=hidden)
    arguments = [one.replace(annotation=unchecked(one.annotation)) for one in signature.parameters.values()]
    signature = signature.replace(parameters=arguments)
    said = sphinx_inspect.stringify_signature(signature, show_return_annotation=False, unqualified_typehints=True)
    return said, returns


def unchecked(annotation: Any) -> Any:
    """A type without its checks; none where they are inside another type."""
    annotation = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    return Parameter.empty if "Annotated[" in str(annotation) else annotation


def reuse_navigation(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Make the side bar once for all pages of source code at one depth: it takes longer than the rest of the page."""
    if page.startswith("_modules/"):
        depth, make = page.count("/"), context["toctree"]
        context["toctree"] = lambda **options: MADE[depth] if depth in MADE else MADE.setdefault(depth, make(**options))


class PublicNames(SphinxDirective):
    """``.. public-names:: module`` and a list: a table of their first lines, then each with its docstring.

    Without a list, all public names of the module and of the modules below it, each module under a heading.
    """

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:  # noqa: D102 - Sphinx calls it
        top = self.arguments[0]
        if self.content:
            return self.parse_text_to_nodes(self.named(top, list(self.content)))
        inventory = json.loads((ROOT / "tests" / "surface" / "public_names.json").read_text(encoding="utf-8"))
        self.env.note_dependency("tests/surface/public_names.json")
        text = ""
        for module, names in inventory.items():
            if f"{module}.".startswith(f"{top}."):
                text += f"{module}\n{'-' * len(module)}\n\n.. automodule:: {module}\n   :no-members:\n\n"
                text += self.named(module, names)
        return self.parse_text_to_nodes(text, allow_section_headings=True)

    @staticmethod
    def named(module: str, names: list[str]) -> str:
        """The directives for some names of a module."""
        values = vars(importlib.import_module(module))
        lines = [f".. currentmodule:: {module}", ""]
        if len(names) > 2:
            lines += [".. autosummary::", "", *(f"   {name}" for name in names), ""]
        for name in names:
            value = values[name]
            kind = "class" if inspect.isclass(value) else "function" if inspect.isroutine(value) else "data"
            lines += [f".. auto{kind}:: {name}", ""]
        return "\n".join(lines) + "\n"


def setup(app: Sphinx) -> dict[str, bool]:  # noqa: D103 - Sphinx calls it
    app.add_html_math_renderer("mathml", inline_renderers=(write_formula, None), block_renderers=(write_formula, None))
    app.add_directive("public-names", PublicNames)
    app.connect("source-read", add_navigation)
    app.connect("doctree-read", resolve_folders)
    app.connect("autodoc-skip-member", skip_fields)
    app.connect("autodoc-process-docstring", drop_docstring_of_type, priority=400)
    app.connect("autodoc-process-docstring", partial(swap_colons, ":", "\ufdd0"), priority=450)  # napoleon has 500
    app.connect("autodoc-process-docstring", partial(swap_colons, "\ufdd0", ":"), priority=550)
    app.connect("missing-reference", resolve_name)
    app.connect("autodoc-process-signature", show_constructor)
    app.connect("html-page-context", reuse_navigation, priority=400)  # furo has 500
    app.connect("build-finished", write_mathematical_font)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
