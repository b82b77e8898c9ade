"""A local app, and a template for one on the hub, in which any token is replaced and decoded on the spot.

gradio, which draws it, is imported when it is asked for: the extra ``app``.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vistok.workbench.config import ConfigError
from vistok.workbench.inspection.editor import TokenEditor

_NEAR = 8
_SIDE = 320


def load_gradio() -> Any:
    """gradio, or an error that names what to install.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        import gradio
    except ImportError as error:
        raise ConfigError(f"serve: needs gradio ({error}); pip install 'vistok-workbench[app]'") from None
    return gradio


def editor_app(editor: TokenEditor) -> Any:
    """The app as ``gradio.Blocks``: ``.launch()`` starts it.

    Raises:
        ConfigError: gradio is not installed.
    """
    gr = load_gradio()
    names = [book.name for book in editor.books]

    def begin(number: float) -> list[Any]:
        tokens = editor.tokens(editor.examples[int(number)])
        return told(tokens, tokens, names[0], 0)

    def upload(picture: Image.Image | None) -> list[Any]:
        tokens = editor.tokens(editor.examples[0] if picture is None else as_example(picture, editor.examples[0]))
        return told(tokens, tokens, names[0], 0)

    def told(tokens: Sequence[Tensor], original: Sequence[Tensor], name: str, place: float) -> list[Any]:
        book = names.index(name)
        number = int(tokens[book].flatten()[int(place)])
        rows = [[near, round(cosine, 4)] for near, cosine in editor.books[book].nearest(number, _NEAR)]
        shown = [enlarged(editor.image(each)) for each in (original, tokens)]
        return [list(tokens), list(original), *shown, number, rows, f"{name} token {int(place)}: code {number}"]

    def replace(
        tokens: Sequence[Tensor], original: Sequence[Tensor], name: str, place: float, code: float
    ) -> list[Any]:
        try:
            changed = editor.replaced(tokens, names.index(name), int(place), int(code))
        except ValueError as error:
            raise gr.Error(str(error)) from None
        return told(changed, original, name, place)

    def pressed(
        tokens: Sequence[Tensor],
        original: Sequence[Tensor],
        name: str,
        event: gr.SelectData,  # type: ignore[name-defined]
    ) -> list[Any]:
        place = place_at(event.index, tuple(tokens[names.index(name)].shape))
        return [place, *told(tokens, original, name, place)]

    def take(
        tokens: Sequence[Tensor],
        original: Sequence[Tensor],
        name: str,
        place: float,
        rows: Any,
        event: gr.SelectData,  # type: ignore[name-defined]
    ) -> list[Any]:
        return replace(tokens, original, name, place, rows.iloc[event.index[0], 0])

    first = [each.numel() for each in editor.tokens(editor.examples[0])]
    with gr.Blocks(title=editor.title) as app:
        gr.Markdown(
            f"# {editor.title}\nChoose a token, type a code or press one of the nearest, and see the image change."
        )
        tokens, original = gr.State(), gr.State()
        with gr.Row():
            example = gr.Slider(0, len(editor.examples) - 1, 0, step=1, label="image")
            own = gr.Image(label="or your own", type="pil", height=160)
        with gr.Row():
            before = gr.Image(label="from its tokens: press a place to choose its token", interactive=False)
            after = gr.Image(label="with your tokens", interactive=False)
        with gr.Row():
            book = gr.Radio(names, value=names[0], label="codebook")
            place = gr.Slider(0, max(first) - 1, 0, step=1, label="token, row after row")
            code = gr.Number(label="code", precision=0)
        with gr.Row():
            button, undo = gr.Button("Replace", variant="primary"), gr.Button("Undo all")
        near = gr.Dataframe(headers=["code", "cosine"], label="nearest codes: press one to take it", interactive=False)
        status = gr.Markdown()
        shown = [tokens, original, before, after, code, near, status]
        where = [tokens, original, book, place]
        app.load(begin, [example], shown)
        example.release(begin, [example], shown)
        own.upload(upload, [own], shown)
        gr.on([book.change, place.release], told, where, shown)
        before.select(pressed, [tokens, original, book], [place, *shown])
        button.click(replace, [*where, code], shown)
        near.select(take, [*where, near], shown)
        undo.click(lambda original, name, place: told(original, original, name, place), [original, book, place], shown)
    return app


def as_example(picture: Image.Image, like: Tensor) -> Tensor:
    """A picture as an image ``(C, H, W)`` uint8 of the size and the channels of another: its middle, resized."""
    channels, height, width = like.shape
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    middle = picture.convert("L" if channels == 1 else "RGB").crop((left, top, left + side, top + side))
    pixels = np.asarray(middle.resize((width, height), Image.Resampling.BICUBIC)).reshape(height, width, channels)
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)


def enlarged(image: Tensor) -> Image.Image:
    """An image ``(C, H, W)`` uint8 for people: each pixel a square, a side of about 320."""
    pixels = image.permute(1, 2, 0).numpy()
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    factor = max(1, _SIDE // picture.width)
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def place_at(position: Sequence[float], grid: tuple[int, ...], side: int = _SIDE) -> int:
    """The token at a pixel ``(x, y)`` of a picture of this side; without places, the first one.

    Example:
        >>> place_at((0, 319), (8, 8))
        56
    """
    if len(grid) == 1:
        return 0
    column, row = (min(int(value * size / side), size - 1) for value, size in zip(position, grid[::-1], strict=True))
    return row * grid[1] + column
