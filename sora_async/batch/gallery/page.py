"""The page, made a piece at a time in flat memory."""

from __future__ import annotations

import base64
import codecs
import hashlib
import statistics
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib import resources
from typing import IO, TYPE_CHECKING, Any

from sora_async.batch.gallery.card import WORDS, Card, Desk, make_card
from sora_async.batch.gallery.timeline import HEIGHT, WIDTH, Timeline
from sora_async.batch.gallery.wording import as_bytes, as_moment, as_seconds, as_span, clean
from sora_async.batch.ledger import Entry, Stage

if TYPE_CHECKING:
    import jinja2

GENERATOR = '<meta name="generator" content="sora_async gallery">'
"""What tells a page of ours from all others."""

_PACKAGE = "sora_async.batch.gallery"
_IN_MEMORY = 16 * 1024 * 1024
_BLOCK = 64 * 1024


def make_environment() -> jinja2.Environment:
    """Set up the templates.

    Raises:
        ModuleNotFoundError: Jinja2 is not installed; the message says what to install.
    """
    try:
        import jinja2  # noqa: PLC0415 it needs the extra
    except ImportError:
        message = "the gallery needs Jinja2: pip install 'sora_async[gallery]'"
        raise ModuleNotFoundError(message, name="jinja2") from None
    return jinja2.Environment(
        loader=jinja2.PackageLoader(_PACKAGE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=clean,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _asset(name: str) -> tuple[str, str]:
    """A file that goes into the page, and its hash for the page's own policy."""
    text = (resources.files(_PACKAGE) / "templates" / name).read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return text, f"'sha256-{digest}'"


class Page:
    """A page under way; its methods block for the disk.

    Args:
        desk: what its cards are made with.
        title: its heading.

    Raises:
        ModuleNotFoundError: Jinja2 is not installed.
    """

    def __init__(self, desk: Desk, title: str) -> None:
        environment = make_environment()
        self._desk = desk
        self._title = title
        self._card = environment.get_template("card.html")
        self._page = environment.get_template("page.html")
        self._timeline = Timeline()
        self._stages: Counter[Stage] = Counter()
        self._models: Counter[str] = Counter()
        self._orientations: Counter[str] = Counter()
        self._rendering = array("d")
        self._film_s = 0.0
        self._bytes = 0
        # Rendered cards wait here, since what stands above them counts them all.
        self._cards: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 close() closes it

    def add(self, entries: Iterable[Entry]) -> None:
        """Show these entries after those before."""
        for entry in entries:
            card = make_card(self._stages.total() + 1, entry, self._desk)
            self._count(card)
            self._cards.write(self._card.render(card=card).encode())

    def _count(self, card: Card) -> None:
        entry, times = card.entry, card.times
        self._stages[entry.stage] += 1
        self._models[card.model] += 1
        self._orientations[card.orientation] += 1
        self._timeline.add(entry.stage, times)
        if entry.stage is Stage.DONE:
            self._film_s += as_seconds(entry.request.get("duration")) or 0.0
            self._bytes += entry.size or 0
            if times.rendering is not None:
                self._rendering.append(times.rendering)

    def write(self, file: IO[bytes], made_at: float) -> None:
        """Write the whole page.

        Args:
            file: where to.
            made_at: the moment to show, in seconds since 1970.
        """
        style, style_hash = _asset("style.css")
        script, script_hash = _asset("script.js")
        self._page.stream(
            title=self._title,
            generator=GENERATOR,
            made_at=as_moment(made_at),
            style=style,
            style_hash=style_hash,
            script=script,
            script_hash=script_hash,
            total=self._stages.total(),
            stages=[(stage.value, word, self._stages[stage]) for stage, word in WORDS.items() if self._stages[stage]],
            tiles=list(self._tiles()),
            undecided=self._stages[Stage.UNCERTAIN],
            models=sorted(self._models.items()),
            orientations=sorted(self._orientations.items()),
            drawing=self._timeline.draw(),
            size=(WIDTH, HEIGHT),
            cards=self._pieces(),
        ).dump(file, encoding="utf-8")

    def _tiles(self) -> Iterator[tuple[str, Any, str]]:
        """The numbers at the top: what, how much, and the word of the stage that colours it."""
        yield "videos", f"{self._stages[Stage.DONE]:,}", "done"
        if self._film_s:
            yield "of film", as_span(self._film_s), ""
        if self._bytes:
            yield "on disk", as_bytes(self._bytes), ""
        if self._rendering:
            yield "median rendering", as_span(statistics.median(self._rendering)), ""
        for stage in (Stage.FAILED, Stage.UNCERTAIN):
            if self._stages[stage]:
                yield stage.value, f"{self._stages[stage]:,}", stage.value

    def _pieces(self) -> Iterator[str]:
        self._cards.seek(0)
        return codecs.iterdecode(iter(lambda: self._cards.read(_BLOCK), b""), "utf-8")

    def close(self) -> None:
        """Let go of what was collected."""
        self._cards.close()
