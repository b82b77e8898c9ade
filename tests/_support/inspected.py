"""A finished run looked into: what every recipe's page and editor must do."""

from vistok.workbench.inspect_command import InspectOptions


def check_inspection(load_editor, commands, paths, *, config):
    """The page is written and linked to; the editor of the same folder decodes images that were drawn."""
    commands["inspect"](InspectOptions(config=config, runs=paths.folder.parent))
    page = paths.inspection.read_text()
    for text in ("Generation step by step", "Nearest codes by cosine", "of all 500 held-out images"):
        assert text in page, text
    assert "http" not in page
    assert "is not trained" not in page
    assert 'href="inspect.html"' in paths.report().read_text()
    editor = load_editor(paths.folder)
    tokens = editor.tokens(editor.examples[0])
    assert editor.image(tokens).shape == editor.examples[0].shape
    near, _ = editor.books[0].nearest(int(tokens[0].flatten()[0]), 1)[0]
    assert editor.image(editor.replaced(tokens, 0, 0, near)).shape == editor.examples[0].shape
