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
    gr, session = load_gradio(), _Session(editor)

    def pressed(
        tokens: Sequence[Tensor],
        original: Sequence[Tensor],
        name: str,
        event: gr.SelectData,  # type: ignore[name-defined]
    ) -> list[Any]:
        place = place_at(event.index, tuple(tokens[session.names.index(name)].shape), session.sides)
        return [place, *session.told(tokens, original, name, place)]

    def take(
        tokens: Sequence[Tensor],
        original: Sequence[Tensor],
        name: str,
        place: float,
        rows: Any,
        event: gr.SelectData,  # type: ignore[name-defined]
    ) -> list[Any]:
        return session.replace(tokens, original, name, place, rows.iloc[event.index[0], 0])

    first = [each.numel() for each in editor.tokens(editor.examples[0])]
    with gr.Blocks(title=editor.title) as app:
        gr.Markdown(f"# {editor.title}\nChoose a token, type a code or press a near one, and see the image change.")
        tokens, original = gr.State(), gr.State()
        with gr.Row():
            example = gr.Slider(0, len(editor.examples) - 1, 0, step=1, label="image")
            own = gr.Image(label="or your own", type="pil", height=160)
        with gr.Row():
            before = gr.Image(label="from its tokens: press a place to choose its token", interactive=False)
            after = gr.Image(label="with your tokens", interactive=False)
        with gr.Row():
            book = gr.Radio(session.names, value=session.names[0], label="codebook")
            place = gr.Slider(0, max(first) - 1, 0, step=1, label="token, row after row")
            code = gr.Number(label="code", precision=0)
        with gr.Row():
            button, undo = gr.Button("Replace", variant="primary"), gr.Button("Undo all")
        near = gr.Dataframe(headers=["code", "cosine"], label="nearest codes: press one to take it", interactive=False)
        status = gr.Markdown()
        shown = [tokens, original, before, after, code, near, status]
        where = [tokens, original, book, place]
        gr.on([app.load, example.release], session.begin, [example], shown)
        own.upload(session.upload, [own], shown)
        gr.on([book.change, place.release], session.told, where, shown)
        before.select(pressed, [tokens, original, book], [place, *shown])
        button.click(session.replace, [*where, code], shown)
        near.select(take, [*where, near], shown)
        undo.click(session.told, [original, original, book, place], shown)
    return app


class _Session:
    """What the app's buttons do: each gives all that is shown anew."""

    def __init__(self, editor: TokenEditor) -> None:
        self.editor, self.names = editor, [book.name for book in editor.books]
        self.sides = enlarged(editor.examples[0]).size

    def begin(self, number: float) -> list[Any]:
        """Show one of the examples."""
        return self._begun(self.editor.examples[int(number)])

    def upload(self, picture: Image.Image | None) -> list[Any]:
        """Show a picture of the user's."""
        first = self.editor.examples[0]
        return self._begun(first if picture is None else as_example(picture, first))

    def replace(
        self, tokens: Sequence[Tensor], original: Sequence[Tensor], name: str, place: float, code: float
    ) -> list[Any]:
        """Put a code in the place of a token."""
        try:
            changed = self.editor.replaced(tokens, self.names.index(name), int(place), int(code))
        except ValueError as error:
            raise load_gradio().Error(str(error)) from None
        return self.told(changed, original, name, place)

    def told(self, tokens: Sequence[Tensor], original: Sequence[Tensor], name: str, place: float) -> list[Any]:
        """Both images, and what is known of the chosen token."""
        book = self.names.index(name)
        number = int(tokens[book].flatten()[int(place)])
        rows = [[near, round(cosine, 4)] for near, cosine in self.editor.books[book].nearest(number, _NEAR)]
        shown = [enlarged(self.editor.image(each)) for each in (original, tokens)]
        return [list(tokens), list(original), *shown, number, rows, f"{name} token {int(place)}: code {number}"]

    def _begun(self, image: Tensor) -> list[Any]:
        tokens = self.editor.tokens(image)
        return self.told(tokens, tokens, self.names[0], 0)


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


def place_at(position: Sequence[float], grid: tuple[int, ...], sides: tuple[int, int]) -> int:
    """The token at a pixel ``(x, y)`` of a picture of this width and height; without places, the first one.

    Example:
        >>> place_at((0, 287), (8, 8), (288, 288))
        56
    """
    if len(grid) == 1:
        return 0
    pressed = zip(position, grid[::-1], sides, strict=True)
    column, row = (min(int(value * size / side), size - 1) for value, size, side in pressed)
    return row * grid[1] + column
