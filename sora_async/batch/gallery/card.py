"""One entry of the ledger as the page shows it."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs

from sora_async.batch.gallery.wording import as_bytes, as_moment, as_seconds, as_span, as_text
from sora_async.batch.ledger import Entry, Stage

WORDS: Mapping[Stage, str] = {
    Stage.DONE: "Done",
    Stage.READY: "Ready",
    Stage.SUBMITTED: "Rendering",
    Stage.INTENDED: "Sending",
    Stage.PLANNED: "Planned",
    Stage.UNCERTAIN: "Uncertain",
    Stage.FAILED: "Failed",
    Stage.RESOLVED: "Given up",
}
"""The stages in the order of the filter, and what people call them."""

_OWN_PLACE = {"prompt", "model", "orientation", "size", "duration", "images"}
_RATIO = re.compile(r"(\d{1,5})\s*[:x*×]\s*(\d{1,5})")


@attrs.frozen(kw_only=True)
class Desk:
    """What all cards of a page are made with."""

    root: Path
    """The folder of the page, absolute."""
    settle: tuple[str, ...]
    """The words of the command that settles an entry, before its options."""
    options: tuple[str, ...] = ()
    """Options that each such command needs."""

    def command(self, key: str, *options: str) -> str:
        """The line to type in a shell to settle this entry."""
        words = (*options, *self.options, "--", key) if key.startswith("-") else (key, *options, *self.options)
        return shlex.join([*self.settle, *words])

    def locate(self, path: str) -> tuple[str | None, str]:
        """Find a file from the page.

        Returns:
            A link, or None if there is none to give, and then why.
        """
        target = Path(os.path.abspath(self.root / path))  # noqa: PTH100 a link in the path stays one
        if not target.is_relative_to(self.root):
            return None, f"The file is not in this folder: {target}"
        if not os.path.isfile(target):  # noqa: PTH113 for this one a name that is too long is no error
            return None, f"The file is missing: {path}"
        return f"./{quote(os.fsencode(target.relative_to(self.root).as_posix()))}", ""


@attrs.frozen(kw_only=True)
class Times:
    """When an entry reached what, in seconds since 1970; None for what did not happen or is not known."""

    planned: float | None
    submitted: float | None
    started: float | None
    ended: float | None

    @property
    def creating(self) -> float | None:
        """Seconds from entering it to having its id."""
        return _between(self.planned, self.submitted)

    @property
    def queueing(self) -> float | None:
        """Seconds that the relay let it wait."""
        return _between(self.submitted, self.started)

    @property
    def rendering(self) -> float | None:
        """Seconds until it ended; with the wait where its start is not known."""
        return _between(self.started or self.submitted, self.ended)


def _between(first: float | None, last: float | None) -> float | None:
    """None also for clocks that were set back in between."""
    return None if first is None or last is None or last < first else last - first


def times_of(entry: Entry) -> Times:
    """Read the moments of an entry."""
    return Times(
        planned=as_seconds(entry.planned_at),
        submitted=as_seconds(entry.submitted_at),
        started=as_seconds(entry.facts.get("started_at")),
        ended=as_seconds(entry.ended_at),
    )


@attrs.frozen(kw_only=True)
class Card:
    """What the template shows of an entry."""

    number: int
    """Its place in the ledger, from 1."""
    entry: Entry
    """The entry itself."""
    times: Times
    """Its moments."""
    link: str | None
    """Its file, percent-encoded and relative to the page; None if there is none to play."""
    note: str
    """Why there is nothing to play."""
    commands: tuple[tuple[str, str], ...]
    """What the user can decide, and the command that does it."""

    @property
    def word(self) -> str:
        """What people call its stage."""
        return WORDS[self.entry.stage]

    @property
    def prompt(self) -> str:
        """What was asked for, whole."""
        return self._text("prompt") or "(no prompt)"

    @property
    def model(self) -> str:
        """The model's name; empty if none was sent."""
        return self._text("model")

    @property
    def orientation(self) -> str:
        """The word that was sent; empty if none was."""
        return self._text("orientation")

    @property
    def is_tall(self) -> bool:
        """Whether the video is higher than wide."""
        for name in ("orientation", "aspect_ratio", "size"):
            text = self._text(name)
            if text in {"portrait", "landscape"}:
                return text == "portrait"
            if ratio := _RATIO.fullmatch(text):
                return int(ratio[1]) < int(ratio[2])
        return False

    @property
    def line(self) -> str:
        """The settings in a line."""
        duration = self.entry.request.get("duration")
        seconds = f"{as_text(duration, 20)} s" if duration is not None else ""
        return " · ".join(filter(None, [self.model, seconds, self._text("size"), self.orientation]))

    @property
    def pace(self) -> str:
        """How long it took, in a line."""
        times = self.times
        spans = [("queued", times.queueing), ("rendered in", times.rendering)]
        return ", ".join(f"{word} {as_span(span)}" for word, span in spans if span is not None)

    @property
    def bar(self) -> tuple[int, int] | None:
        """How many percent of its time it was queued, and then rendered; None if that is not known."""
        queueing, rendering = self.times.queueing, self.times.rendering
        if not queueing or rendering is None:
            return None
        share = round(100 * queueing / (queueing + rendering))
        return share, 100 - share

    @property
    def rows(self) -> Iterator[tuple[str, str]]:
        """Everything else that is known, by name."""
        entry, request = self.entry, self.entry.request
        yield "Key", entry.key
        if entry.task_id is not None:
            yield "Task", entry.task_id
        if isinstance(status := entry.facts.get("status"), str):
            yield "Status", as_text(status)
        if images := request.get("images"):
            yield "Images", str(len(images)) if isinstance(images, list | tuple) else as_text(images)
        for name, value in request.items():
            if name not in _OWN_PLACE:
                yield as_text(name, 40).replace("_", " ").capitalize(), as_text(value)
        if entry.path is not None:
            yield "File", entry.path
        if entry.size is not None:
            yield "Size", as_bytes(entry.size)
        if entry.sha256 is not None:
            yield "SHA-256", entry.sha256
        if entry.attempt > 1:
            yield "Creates sent", str(entry.attempt)
        if entry.raw:
            yield "Answer", as_text(entry.raw[:300].decode("utf-8", "replace"))
        yield from self._time_rows()

    def _time_rows(self) -> Iterator[tuple[str, str]]:
        times = self.times
        for name in ("planned", "submitted", "started", "ended"):
            if (moment := getattr(times, name)) is not None:
                yield name.capitalize(), as_moment(moment)
        for name, span in (("To create", times.creating), ("In queue", times.queueing), ("To render", times.rendering)):
            if span is not None:
                yield name, as_span(span)

    def _text(self, name: str) -> str:
        value: Any = self.entry.request.get(name)
        if value is None:
            return ""
        return as_text(value, 10**9 if name == "prompt" else 100)


def make_card(number: int, entry: Entry, desk: Desk) -> Card:
    """Look at the file of an entry and think of what its user can do; blocks for the disk."""
    link, note = None, _NOTES.get(entry.stage, "")
    if entry.path is not None and entry.stage is Stage.DONE:
        link, note = desk.locate(entry.path)
    return Card(
        number=number,
        entry=entry,
        times=times_of(entry),
        link=link,
        note=note,
        commands=tuple(_commands(entry, desk)),
    )


_NOTES = {
    Stage.DONE: "No file was wanted.",
    Stage.READY: "The video is ready at the relay and not downloaded yet. Run the batch again to fetch it.",
    Stage.SUBMITTED: "Accepted. Run the batch again to see how it went on.",
    Stage.INTENDED: "Its create is under way.",
    Stage.PLANNED: "Waits for its turn; nothing was bought.",
    Stage.UNCERTAIN: "What became of its create is not known.",
    Stage.FAILED: "It ended without a video.",
    Stage.RESOLVED: "Given up by hand.",
}


def _commands(entry: Entry, desk: Desk) -> Iterator[tuple[str, str]]:
    if entry.stage is Stage.UNCERTAIN:
        yield "It was bought: note its id", desk.command(entry.key, "--id", "ID")
        yield "It is lost", desk.command(entry.key, "--lost")
        yield "Send again; may pay twice", desk.command(entry.key, "--retry")
    elif entry.stage is Stage.FAILED:
        yield "Buy it once more", desk.command(entry.key, "--retry")
        yield "Give it up", desk.command(entry.key, "--lost")
