"""The page as text: its own policy, nothing from elsewhere, and foreign texts as texts."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from gallery_entries import HOSTILE, ListedLedger, make_entry

from sora_async.batch.gallery import write_gallery
from sora_async.batch.gallery.wording import clean
from sora_async.batch.ledger import Stage

KNOWN = {
    "a",
    "b",
    "body",
    "button",
    "caption",
    "code",
    "dd",
    "details",
    "dialog",
    "div",
    "dl",
    "dt",
    "footer",
    "h1",
    "h2",
}
KNOWN |= {"h3", "head", "header", "html", "i", "input", "kbd", "label", "li", "link", "main", "meta", "noscript", "ol"}
KNOWN |= {"option", "p", "path", "script", "section", "select", "span", "style", "summary", "svg", "table", "tbody"}
KNOWN |= {"td", "th", "thead", "time", "title", "tr", "ul", "video"}


class Reader(HTMLParser):
    """Which tags, attributes and texts a parser finds."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self.tags[-1] if self.tags else "", []).append(data)


async def test_page_allows_only_its_own_style_and_script(tmp_path: Path) -> None:
    """The policy names them by their hashes, and everything that is not needed is off."""
    text = (await write_gallery(ListedLedger([make_entry()]), tmp_path)).read_text()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; media-src 'self' file:; img-src data:; ")
    assert "unsafe" not in policy[1]
    for kind in ("style", "script"):
        (content,) = re.findall(rf"<{kind}>(.*?)</{kind}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy[1]


async def test_page_refers_to_nothing_elsewhere(tmp_path: Path) -> None:
    """Every address in it is a fragment, inline data, or a file beside it."""
    (tmp_path / "boat.mp4").touch()
    page = await write_gallery(ListedLedger([make_entry(path="boat.mp4")]), tmp_path)
    reader = Reader(page.read_text())
    links = [value for name, value in reader.attributes if name in {"src", "href", "poster", "action", "srcset"}]
    assert "./boat.mp4" in links
    assert all(str(link).startswith(("#", "data:image/svg+xml,", "./")) for link in links)
    assert not any(name.startswith("on") or name == "style" for name, _ in reader.attributes)


async def test_page_keeps_hostile_texts_as_texts(tmp_path: Path) -> None:
    """Whatever stands in a prompt, a setting, a reason, a key or an answer, no tag comes of it."""
    entries = [
        make_entry(
            f"{number}{text}",
            stage,
            text,
            reason=text,
            raw=text.encode("utf-8", "replace"),
            path=text,
            facts={"status": text},
            task_id=text,
            request={text: text, "model": text, "orientation": text, "size": text, "duration": text, "images": text},
        )
        for number, text in enumerate(HOSTILE)
        for stage in Stage
    ]
    page = await write_gallery(ListedLedger(entries), tmp_path, title=HOSTILE[0], command="'<b>'")
    reader = Reader(page.read_bytes().decode())
    assert set(reader.tags) <= KNOWN
    assert [reader.tags.count(tag) for tag in ("script", "style", "title", "h3")] == [1, 1, 1, len(entries)]
    assert not any(name.startswith("on") for name, _ in reader.attributes)


@pytest.mark.parametrize("prompt", HOSTILE)
async def test_page_shows_a_hostile_prompt_letter_by_letter(prompt: str, tmp_path: Path) -> None:
    """Only what no page can hold is replaced."""
    page = await write_gallery(ListedLedger([make_entry(prompt=prompt)]), tmp_path)
    reader = Reader(page.read_bytes().decode())
    assert clean(prompt) in reader.texts["h3"]


async def test_page_counts_by_state_and_adds_up(tmp_path: Path) -> None:
    """The numbers at the top are of what is done; what needs the user is said at once."""
    entries = [make_entry(str(n), size=1_500_000) for n in range(3)]
    entries += [
        make_entry("bad", Stage.FAILED),
        make_entry("odd", Stage.UNCERTAIN),
        make_entry("odder", Stage.UNCERTAIN),
    ]
    text = (await write_gallery(ListedLedger(entries), tmp_path)).read_text()
    tiles = re.findall(r"<div(?: class=\"\w+\")?><dt>(.*?)</dt><dd>(.*?)</dd></div>", text)
    assert [(name, number.replace("\xa0", " ")) for name, number in tiles] == [
        ("videos", "3"),
        ("of film", "30 s"),
        ("on disk", "4.5 MB"),
        ("median rendering", "1 min 30 s"),
        ("failed", "1"),
        ("uncertain", "2"),
    ]
    assert "2 creates need your decision" in text
