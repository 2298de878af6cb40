"""Text on pictures, in any script: cleaning, wrapping, drawing."""

import unicodedata
from collections.abc import Iterator

import attrs
from PIL import Image

from sora_async.sandbox.render_fonts import Fonts

LINE_HEIGHT = 1.4
"""Distance between two lines, in font sizes."""

_LONGEST_TEXT = 500
_LONGEST_CLUSTER = 8
_MOST_ESCAPES = 4
_JOINERS = "\u200c\u200d"
_MARKS = frozenset({"Mn", "Me", "Mc"})
_OPENING = frozenset({"Ps", "Pi"})
_CLOSING = frozenset({"Pe", "Pf", "Po", "Zs"})


def clean(text: str) -> str:
    """Make one printable line: control characters are spaces, lone surrogates U+FFFD, and spaces do not pile up."""
    kept = []
    for character in text[:_LONGEST_TEXT]:
        category = unicodedata.category(character)
        if category in {"Cc", "Zl", "Zp", "Zs"}:
            kept.append(" ")
        elif category == "Cs":
            kept.append("\ufffd")
        elif category != "Cf" or character in _JOINERS:
            kept.append(character)
    cut = "…" if len(text) > _LONGEST_TEXT else ""
    return unicodedata.normalize("NFC", " ".join("".join(kept).split()) + cut)


def clusters(text: str) -> list[str]:
    """Split a text wherever it may be cut: never before a combining mark, nor inside a joined emoji."""
    pieces: list[str] = []
    for character in text:
        is_tone = "\U0001f3fb" <= character <= "\U0001f3ff"
        is_mark = is_tone or character in _JOINERS or unicodedata.category(character) in _MARKS
        if not pieces or not (is_mark or pieces[-1].endswith("\u200d")):
            pieces.append(character)
        elif len(pieces[-1]) < _LONGEST_CLUSTER:
            pieces[-1] += character
    return pieces


def words(text: str) -> Iterator[str]:
    """Split a text where a line is best broken: after spaces, and between wide (East Asian) characters."""
    word, last = "", ""
    for cluster in clusters(text):
        if last and _may_break(last[0], cluster[0]):
            yield word
            word = ""
        word += cluster
        last = cluster
    if word:
        yield word


def _may_break(before: str, after: str) -> bool:
    if unicodedata.category(after) in _CLOSING or unicodedata.category(before) in _OPENING:
        return False
    return before == " " or any(unicodedata.east_asian_width(each) in {"W", "F"} for each in (before, after))


@attrs.frozen(kw_only=True)
class Pen:
    """Draws lines of text at one size, each character in a font that has it."""

    fonts: Fonts
    """Where fonts are looked for."""
    size: int
    """Font size in pixels."""

    @property
    def line_height(self) -> int:
        """Distance between two lines in pixels."""
        return round(self.size * LINE_HEIGHT)

    def legible(self, text: str) -> str:
        """Clean a text, and put code points or a note in place of what no font can draw."""
        text = clean(text)
        missing = {each for each in text if not self._draws(each)}
        count = sum(each in missing for each in text)
        if count > _MOST_ESCAPES and count * 2 > len(text):
            return f"[{len(text)} characters that no font on this machine can show]"
        return "".join(f"[U+{ord(each):04X}]" if each in missing else each for each in text)

    def wrap(self, text: str, width: float, most_lines: int) -> list[str]:
        """Break a text into at most so many lines of a width in pixels; a cut text ends in an ellipsis."""
        lines = [""]
        for word in words(self.legible(text)):
            for piece in [word] if self.width(word.rstrip()) <= width else clusters(word):
                if lines[-1] and self.width((lines[-1] + piece).rstrip()) > width:
                    lines.append("")
                lines[-1] += piece
            if len(lines) > most_lines:
                lines = [*lines[: most_lines - 1], self._shorten(lines[most_lines - 1], width)]
                break
        return [line.rstrip() for line in lines if line]

    def width(self, line: str) -> float:
        """Measure a line in pixels."""
        direction = _direction(line)
        return sum(typeface.at(self.size).width(run, direction) for typeface, run in self.fonts.runs(clusters(line)))

    def draw(self, layer: Image.Image, line: str, middle: float, baseline: float) -> None:
        """Draw a line in white on an RGB or RGBA layer, centred on a point of its baseline."""
        direction = _direction(line)
        runs = list(self.fonts.runs(clusters(line)))
        left = middle - self.width(line) / 2
        for typeface, run in reversed(runs) if direction == "rtl" else runs:
            face = typeface.at(self.size)
            face.draw(layer, (left, baseline), run, direction)
            left += face.width(run, direction)

    def _draws(self, character: str) -> bool:
        is_drawn_with_others = character == " " or unicodedata.category(character) in _MARKS | {"Cf"}
        return is_drawn_with_others or self.fonts.covering(character) is not None

    def _shorten(self, line: str, width: float) -> str:
        pieces = clusters(line.rstrip())
        while pieces and self.width("".join(pieces) + "…") > width:
            pieces.pop()
        return "".join(pieces) + "…"


def _direction(line: str) -> str:
    """Read a line's direction off its first letter."""
    strong = (unicodedata.bidirectional(each) for each in line)
    return "ltr" if next((kind for kind in strong if kind in {"L", "R", "AL"}), "L") == "L" else "rtl"
