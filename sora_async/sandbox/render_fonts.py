"""Finding a font for each character among those that this machine happens to have."""

import functools
import itertools
import operator
import os
import pathlib
from collections.abc import Iterable, Iterator
from typing import cast

import attrs
from PIL import Image, ImageDraw, ImageFont, ImageOps, features

MOST_FONTS = 100

# Earlier names are tried first. NotoColorEmoji stands before DejaVu, which draws emoji without colours.
_FAMILIES = (
    "notosanscjk", "notosanssc", "sourcehansans", "pingfang", "hiragino sans gb", "msyh", "wqy-", "droidsansfallback",
    "applesdgothicneo", "malgun", "yugoth", "msgothic", "geezapro", "segoeui", "nirmala", "kohinoor", "leelawui",
    "notosansarabic", "notosansdevanagari", "notosans-", "notocoloremoji", "apple color emoji", "seguiemj",
    "dejavusans", "freesans", "arial", "notosans", "thonburi", "apple symbols", "seguisym", "unifont",
)  # fmt: skip
_OTHER_WEIGHTS = ("bold", "italic", "oblique", "light", "thin", "black", "condensed", "mono", "medium", "semi")
# One file of Noto Sans CJK holds several national forms of the same characters; 2 is simplified Chinese.
_COLLECTION_INDEX = {"notosanscjk": 2}
_BITMAP_SIZES = (109, 136, 128, 160, 96, 64)
_COVERAGE_SIZE = 16
_INVISIBLE = frozenset("\u200c\u200d\ufe0e\ufe0f")
_NOT_A_CHARACTER = "\U0010ffff"

_Shape = tuple[tuple[int, int], bytes] | None


def folders() -> list[pathlib.Path]:
    """Name the folders where Linux, macOS and Windows keep fonts."""
    homes = [os.environ[name] for name in ("HOME", "USERPROFILE") if os.environ.get(name)]
    private = (".fonts", ".local/share/fonts", "Library/Fonts", "AppData/Local/Microsoft/Windows/Fonts")
    return [
        *map(pathlib.Path, ("/usr/share/fonts", "/usr/local/share/fonts", "/Library/Fonts", "/System/Library/Fonts")),
        *(pathlib.Path(os.environ[name], "Fonts") for name in ("WINDIR",) if os.environ.get(name)),
        *(pathlib.Path(home, place) for home in homes for place in private),
    ]


def font_files(places: Iterable[pathlib.Path]) -> list[pathlib.Path]:
    """List the regular weights of known families within folders, the preferred ones first."""
    ranked = []
    for path in itertools.chain.from_iterable(place.rglob("*") for place in places):
        stem = path.stem.lower()
        rank = next((rank for rank, family in enumerate(_FAMILIES) if stem.startswith(family)), None)
        is_regular = not any(weight in stem for weight in _OTHER_WEIGHTS)
        if rank is not None and is_regular and path.suffix.lower() in {".ttf", ".ttc", ".otf"}:
            ranked.append((rank, len(stem), stem, path))
    return [path for *_, path in sorted(ranked)[:MOST_FONTS]]


@attrs.frozen(kw_only=True)
class Face:
    """A font at one size; a font that has only bitmaps of another size is scaled."""

    font: ImageFont.FreeTypeFont
    """The font as Pillow opened it."""
    scale: float
    """What its pixels are multiplied by; 1.0 for outlines."""

    def width(self, text: str, direction: str) -> float:
        """Measure a text in pixels; the direction is `ltr` or `rtl`."""
        return self.font.getlength(text, direction=self._supported(direction)) * self.scale

    def draw(self, layer: Image.Image, place: tuple[float, float], text: str, direction: str) -> None:
        """Draw a text in white, or in its own colours, from the left end of its baseline."""
        if self.scale == 1.0:
            self._write(layer, place, text, direction)
            return
        ascent, descent = self.font.getmetrics()
        strike = Image.new("RGBA", (int(self.font.getlength(text)) + 1, ascent + descent))
        self._write(strike, (0, ascent), text, direction)
        scaled = ImageOps.scale(strike, self.scale, Image.Resampling.LANCZOS)
        corner = (round(place[0]), round(place[1] - ascent * self.scale))
        layer.paste(scaled.convert("RGB"), corner, scaled.getchannel("A"))

    def _write(self, layer: Image.Image, place: tuple[float, float], text: str, direction: str) -> None:
        supported = self._supported(direction)
        pen = ImageDraw.Draw(layer)
        pen.text(place, text, "white", self.font, "ls", direction=supported, embedded_color=True)

    def _supported(self, direction: str) -> str | None:
        """Leave the direction out where Pillow lacks the library for it."""
        return direction if self.font.layout_engine == ImageFont.Layout.RAQM else None


@attrs.frozen
class Typeface:
    """A font file, or Pillow's own font for None."""

    path: pathlib.Path | None

    def at(self, size: int) -> Face:
        """Open the font at a size in pixels.

        Raises:
            OSError: The file cannot be read as a font.
        """
        return _open(self.path, size)


@functools.lru_cache(maxsize=256)
def _open(path: pathlib.Path | None, size: int) -> Face:
    if path is None:
        bundled = cast(ImageFont.FreeTypeFont, ImageFont.load_default(size))
        return Face(font=bundled.font_variant(layout_engine=ImageFont.Layout.RAQM), scale=1.0)
    index = next((index for family, index in _COLLECTION_INDEX.items() if path.stem.lower().startswith(family)), 0)
    for trial in (size, *_BITMAP_SIZES):
        try:
            return Face(font=ImageFont.truetype(str(path), trial, index), scale=size / trial)
        except OSError as error:
            failure = error
    raise failure


class Fonts:
    """A list of typefaces that answers which of them has a character. Pillow's own comes first."""

    def __init__(self, files: Iterable[pathlib.Path]) -> None:
        self._typefaces = [Typeface(None), *map(Typeface, files)]
        self._shapes: dict[Typeface, tuple[ImageFont.FreeTypeFont, _Shape] | None] = {}
        self._search = functools.lru_cache(maxsize=4096)(self._first_covering)

    def covering(self, cluster: str) -> Typeface | None:
        """Give the first typeface that draws every character of a cluster, or None."""
        return self._search(cluster)

    def runs(self, pieces: Iterable[str]) -> Iterator[tuple[Typeface, str]]:
        """Join clusters into stretches of one typeface, without what the typeface of their first character lacks."""
        drawable = map(self._drawable, pieces)
        for typeface, group in itertools.groupby(drawable, key=operator.itemgetter(0)):
            yield typeface, "".join(text for _, text in group)

    def _drawable(self, cluster: str) -> tuple[Typeface, str]:
        typeface = self.covering(cluster) or self.covering(cluster[0]) or self._typefaces[0]
        # Only the better layout engine hides what joins characters; the other one draws a box for it.
        hides = features.check("raqm")
        kept = (each for each in cluster[1:] if (hides if each in _INVISIBLE else self._draws(typeface, each)))
        return typeface, cluster[0] + "".join(kept)

    def _first_covering(self, cluster: str) -> Typeface | None:
        visible = [each for each in cluster if each not in _INVISIBLE]
        return next((face for face in self._typefaces if all(self._draws(face, each) for each in visible)), None)

    def _draws(self, typeface: Typeface, character: str) -> bool:
        if typeface not in self._shapes:
            self._shapes[typeface] = _open_for_comparison(typeface)
        opened = self._shapes[typeface]
        return opened is not None and _shape(opened[0], character) not in {None, opened[1]}


def _open_for_comparison(typeface: Typeface) -> tuple[ImageFont.FreeTypeFont, _Shape] | None:
    """Open a font with the picture it draws for what it lacks; None if it is no readable font."""
    try:
        font = typeface.at(_COVERAGE_SIZE).font.font_variant(layout_engine=ImageFont.Layout.BASIC)
    except OSError:
        return None
    return font, _shape(font, _NOT_A_CHARACTER)


def _shape(font: ImageFont.FreeTypeFont, character: str) -> _Shape:
    """Draw a character small, to compare it; None if it has a kind of picture that cannot be drawn."""
    try:
        mask = font.getmask(character, "L")
    except OSError:
        return None
    return mask.size, bytes(mask)


@functools.cache
def system_fonts() -> Fonts:
    """Search the machine's font folders, once for the life of the process."""
    return Fonts(font_files(folders()))
