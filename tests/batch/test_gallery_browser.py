"""The page in a real browser, opened from the disk: it plays, filters, obeys the keyboard, and runs nothing foreign."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import CHROMIUM, Tab, open_tab, run_browser
from gallery_entries import HOSTILE, STARTED, ListedLedger, make_entry

from sora_async.batch.gallery import write_gallery
from sora_async.batch.ledger import Entry, Stage
from sora_async.sandbox.render import render

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")

SHOWN = "[...document.querySelectorAll('.card:not([hidden]) .prompt')].map((prompt) => prompt.textContent)"
STRANGE = ["a b#1?.mp4", '50% "it\'s".mp4', "<&>/deep;=+@:.mp4", "日本.mp4", "javascript:alert(1).mp4"]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with run_browser(tmp_path_factory.mktemp("chromium") / "profile") as address:
        yield address


@pytest.fixture
async def tab(browser: str) -> AsyncIterator[Tab]:
    """A page that must have nothing to complain about, and ask for nothing but files, when the test is over."""
    async with open_tab(browser) as tab:
        yield tab
        assert tab.complaints == []
        assert [link for link in tab.requests if not link.startswith(("file:///", "data:"))] == []


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A real H.264 file of each orientation."""
    folder = tmp_path_factory.mktemp("films")
    shapes = {"landscape": "128x72", "portrait": "72x128"}
    for name, size in shapes.items():
        fields: dict[str, Any] = {"prompt": "boat", "images": [], "orientation": name, "size": size, "seed": 1}
        render(folder / name, duration_s=2, on_progress=lambda _: None, **fields)
    return {name: folder / name for name in shapes}


Put = Callable[..., Entry]


@pytest.fixture
def put(films: dict[str, Path], tmp_path: Path) -> Put:
    """Makes an entry whose file is really there."""

    def make(key: str, prompt: str, orientation: str = "landscape", path: str | None = None, **fields: Any) -> Entry:
        name = path or f"{key}.mp4"
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(films[orientation], tmp_path / name)
        request = {"orientation": orientation, **fields.pop("request", {})}
        return make_entry(key, prompt=prompt, path=name, request=request, **fields)

    return make


@pytest.fixture
def mixed(put: Put) -> list[Entry]:
    """Some of each kind."""
    return [
        put("1", "beta boat", planned_at=STARTED, ended_at=STARTED + 50),
        put("2", "alpha cat", "portrait", planned_at=STARTED + 1, request={"model": "veo3.1"}),
        make_entry("3", Stage.FAILED, "delta dog", reason="refused by moderation", planned_at=STARTED + 2),
        make_entry("4", Stage.UNCERTAIN, "gamma gull", reason="502 after it left", planned_at=STARTED + 3),
        put("5", "epsilon eel", planned_at=STARTED + 4, ended_at=STARTED + 500),
    ]


async def open_page(tab: Tab, entries: list[Entry], folder: Path, fragment: str = "", **view: Any) -> None:
    page = await write_gallery(ListedLedger(entries), folder, ledger_file="a.db")
    await tab.open(page.as_uri() + fragment, **view)


async def choose(tab: Tab, select: str, value: str) -> None:
    code = f"choice = document.getElementById({select!r}); choice.value = {value!r}; "
    await tab.run(code + "choice.dispatchEvent(new Event('change'))")


async def test_videos_in_view_play_by_themselves(tab: Tab, mixed: list[Entry], tmp_path: Path) -> None:
    """Silent and in a loop; the button stops them all."""
    await open_page(tab, mixed, tmp_path, height=2000)
    playing = "[...document.querySelectorAll('.card video')].filter((video) => video.muted && video.currentTime > 0.3)"
    await tab.until(f"{playing}.length === 3")
    await tab.run("document.getElementById('motion').click()")
    await tab.until("[...document.querySelectorAll('.card video')].every((video) => video.paused)")


async def test_video_has_a_poster_and_rests_where_motion_is_unwelcome(
    tab: Tab, mixed: list[Entry], tmp_path: Path
) -> None:
    """With reduced motion each shows the picture of its first moment."""
    await open_page(tab, mixed, tmp_path, height=2000, prefers_reduced_motion="reduce")
    await tab.until(
        "[...document.querySelectorAll('.card video')].filter((video) => video.readyState >= 2).length === 3"
    )
    states = await tab.run(
        "[...document.querySelectorAll('.card video')].map((video) => [video.paused, video.currentTime])"
    )
    assert all(paused and abs(seconds - 0.1) < 0.05 for paused, seconds in states)


@pytest.mark.parametrize("path", STRANGE)
async def test_video_with_a_strange_name_plays(tab: Tab, put: Put, tmp_path: Path, path: str) -> None:
    """Every name that a file system takes is found again."""
    await open_page(tab, [put("1", "boat", path=path)], tmp_path)
    await tab.run("document.querySelector('.open').click()")
    await tab.until("document.querySelector('#viewer video').currentTime > 0.2")
    assert await tab.run("document.querySelector('#viewer video').error") is None


async def test_video_that_is_broken_says_so(tab: Tab, put: Put, tmp_path: Path) -> None:
    """A file that no browser can play is told apart from one that loads."""
    entry = put("1", "boat")
    (tmp_path / "1.mp4").write_bytes(b"no film")
    await open_page(tab, [entry], tmp_path)
    await tab.until("document.querySelector('.card').classList.contains('broken')")


async def test_filters_narrow_and_count(tab: Tab, mixed: list[Entry], tmp_path: Path) -> None:
    """Each filter narrows what the others left, and the counts answer what each choice would show."""
    await open_page(tab, mixed, tmp_path)
    await tab.run("document.querySelector('.chip[data-stage=done]').click()")
    assert await tab.run(SHOWN) == ["beta boat", "alpha cat", "epsilon eel"]
    await choose(tab, "orientation", "=portrait")
    assert await tab.run(SHOWN) == ["alpha cat"]
    counts = "[...document.querySelectorAll('.chip')].map((chip) => chip.textContent)"
    assert await tab.run(counts) == ["Done 1", "Uncertain 0", "Failed 0"]
    assert await tab.run("document.getElementById('model').selectedOptions[0].textContent") == "All"
    await choose(tab, "model", "=sora-2-all")
    assert await tab.run(SHOWN) == []
    assert await tab.run("document.getElementById('nothing').checkVisibility()")
    await tab.run("document.getElementById('reset').click()")
    assert len(await tab.run(SHOWN)) == 5
    assert not await tab.run("document.getElementById('nothing').checkVisibility()")


@pytest.mark.parametrize(
    ("order", "prompts"),
    [
        ("newest", ["epsilon eel", "gamma gull", "delta dog", "alpha cat", "beta boat"]),
        ("longest", ["epsilon eel", "alpha cat", "delta dog", "beta boat", "gamma gull"]),
        ("prompt", ["alpha cat", "beta boat", "delta dog", "epsilon eel", "gamma gull"]),
    ],
)
async def test_sort_puts_cards_in_order_and_back(
    tab: Tab, mixed: list[Entry], tmp_path: Path, order: str, prompts: list[str]
) -> None:
    """Each order has its key, and the order of entering is found again."""
    await open_page(tab, mixed, tmp_path)
    before = await tab.run(SHOWN)
    await choose(tab, "sort", order)
    assert await tab.run(SHOWN) == prompts
    await choose(tab, "sort", "entered")
    assert await tab.run(SHOWN) == before


async def test_search_finds_words_of_prompts_and_reasons(tab: Tab, mixed: list[Entry], tmp_path: Path) -> None:
    """All words must be found, in any case; `/` goes to the field and Escape empties it."""
    await open_page(tab, mixed, tmp_path)
    await tab.press("/")
    await tab.type("REFUSED dog")
    await tab.until(f"{SHOWN}.join() === 'delta dog'")
    assert await tab.run("document.getElementById('found').textContent") == "1 of 5"
    await tab.press("Escape")
    await tab.until(f"{SHOWN}.length === 5")


async def test_address_keeps_the_filters(tab: Tab, mixed: list[Entry], tmp_path: Path) -> None:
    """A link that was copied shows the same to whoever opens it; what it cannot mean is ignored."""
    await open_page(tab, mixed, tmp_path, "#q=a&state=done.nonsense&model=veo3.1&orientation=x&sort=constructor")
    assert await tab.run(SHOWN) == ["alpha cat"]
    await choose(tab, "sort", "prompt")
    assert await tab.run("location.hash") == "#q=a&state=done&model=veo3.1&sort=prompt"
    await tab.run("document.querySelector('.undecided a').click()")
    await tab.until(f"{SHOWN}.join() === 'gamma gull'")


async def test_keyboard_alone_plays_and_leaves(tab: Tab, mixed: list[Entry], tmp_path: Path) -> None:
    """Arrows move, Enter plays, arrows go on to the next, Space pauses, Escape goes back to the card."""
    await open_page(tab, mixed, tmp_path)
    await tab.run("document.querySelector('.open').focus()")
    await tab.press("ArrowRight")
    assert await tab.run("document.activeElement.closest('.card').id") == "e2"
    assert await tab.run("getComputedStyle(document.activeElement).outlineStyle") != "none"
    await tab.press("Enter")
    await tab.until("document.querySelector('#viewer[open] video')?.currentTime > 0.2")
    assert await tab.run("document.getElementById('viewer-title').textContent") == "alpha cat"
    await tab.press("ArrowRight")
    assert await tab.run("document.getElementById('viewer-title').textContent") == "epsilon eel"
    await tab.press(" ")
    await tab.until("document.querySelector('#viewer video').paused")
    await tab.press("Escape")
    await tab.until("document.activeElement.closest('.card')?.id === 'e5'")
    assert not await tab.run("document.getElementById('viewer').open")


async def test_every_control_is_reached_by_tab_and_has_a_name(tab: Tab, mixed: list[Entry], tmp_path: Path) -> None:
    """A screen reader has a word for each, and the first leads past the filters."""
    await open_page(tab, mixed, tmp_path)
    await tab.press("Tab")
    assert await tab.run("document.activeElement.textContent") == "Skip to the videos"
    tree = (await tab.call("Accessibility.getFullAXTree"))["nodes"]
    roles = {"button", "link", "searchbox", "combobox", "main", "search", "image", "dialog"}
    named = [(node["role"]["value"], node.get("name", {}).get("value")) for node in tree if not node["ignored"]]
    assert [pair for pair in named if pair[0] in roles - {"main"} and not pair[1]] == []
    assert {role for role, _ in named} >= {"banner", "main", "search", "contentinfo", "searchbox", "combobox"}


async def test_uncertain_entry_shows_commands_that_can_be_copied(tab: Tab, mixed: list[Entry], tmp_path: Path) -> None:
    """Each choice has its command and its button."""
    await open_page(tab, mixed, tmp_path, "#state=uncertain")
    codes = "[...document.querySelectorAll('.card:not([hidden]) code')].map((code) => code.textContent)"
    start = "sora-async ledger resolve 4"
    assert await tab.run(codes) == [f"{start} {way} --ledger a.db" for way in ("--id ID", "--lost", "--retry")]
    await tab.run("document.querySelector('.card:not([hidden]) .settle button').focus()")
    await tab.press("Enter")
    await tab.until("document.querySelector('.card:not([hidden]) .settle button').textContent === 'Copied'")


async def test_hostile_texts_run_nothing(tab: Tab, tmp_path: Path, put: Put) -> None:
    """No dialog, no error, no breach of the page's policy; the words are all there."""
    entries = [put(str(number), text) for number, text in enumerate(HOSTILE)]
    entries += [make_entry(f"f{number}", Stage.FAILED, text, reason=text) for number, text in enumerate(HOSTILE)]
    await open_page(tab, entries, tmp_path)
    await tab.run("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    await tab.run("document.querySelector('.open').click()")
    await tab.until("document.querySelector('#viewer video').currentTime > 0.1")
    assert (await tab.run(SHOWN))[:4] == HOSTILE[:4]
    assert await tab.run("document.images.length + document.scripts.length") == 1


@pytest.mark.parametrize("state", ["", "#state=uncertain", "viewer"])
async def test_narrow_phone_never_scrolls_sideways(tab: Tab, put: Put, tmp_path: Path, state: str) -> None:
    """At 360 px there is one column, and the longest word breaks."""
    entries = [put("1", "w" * 3000, "portrait"), make_entry("k" * 200, Stage.UNCERTAIN, "cat", reason="r" * 500)]
    await open_page(tab, entries, tmp_path, state if state != "viewer" else "", width=360, height=740)
    await tab.run("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    if state == "viewer":
        await tab.run("document.querySelector('.open').click()")
    inside = "[...document.querySelectorAll('body *')].filter((e) => e.checkVisibility() && !e.closest('.scroll, svg'))"
    widest = await tab.run(f"Math.max(...{inside}.map((element) => element.getBoundingClientRect().right))")
    assert widest <= 360.5
    assert await tab.run("document.documentElement.scrollWidth") == 360


CONTRAST = """(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const paint = (colors) => {
    for (const color of colors) { canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => rgb.map((part) => part / 255)
    .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  const poor = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility() || element.closest("option, .skip, script")) continue;
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.unshift(getComputedStyle(at).backgroundColor);
    const below = ["#fff", ...layers];
    const [one, other] = [light(paint(below)), light(paint([...below, getComputedStyle(element).color]))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) poor.push(`${element.className} ${element.textContent.slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return poor;
})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_text_has_enough_contrast(tab: Tab, tmp_path: Path, put: Put, scheme: str) -> None:
    """4.5 to 1 or better, in light and in dark, for every state, chosen or not, and in the viewer."""
    entries = [put("1", "cat"), *(make_entry(stage.value, stage, "a prompt") for stage in Stage)]
    await open_page(tab, entries, tmp_path, height=3000, prefers_color_scheme=scheme)
    await tab.run("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    assert await tab.run(CONTRAST) == []
    await tab.run("document.querySelectorAll('.chip').forEach((chip) => chip.click())")
    await tab.run("document.querySelector('.open').click()")
    assert await tab.run(CONTRAST) == []
    assert len(await tab.screenshot()) > 10_000


async def test_page_without_script_still_shows_it_all(tab: Tab, mixed: list[Entry], tmp_path: Path) -> None:
    """Videos have their own controls, texts and commands are there, and no control that would do nothing."""
    await tab.call("Emulation.setScriptExecutionDisabled", value=True)
    await open_page(tab, mixed, tmp_path)
    text = (await tab.call("DOM.getDocument", depth=-1))["root"]
    names = json.dumps(text)
    assert names.count('"nodeName": "VIDEO"') == 4
    assert names.count('"controls"') == 4
    assert "gamma gull" in names
    shown = {"nodeId": text["nodeId"], "selector": ".tools[hidden], .keys[hidden], dialog:not([open])"}
    assert len((await tab.call("DOM.querySelectorAll", **shown))["nodeIds"]) == 3


async def test_timeline_says_the_same_to_eyes_and_ears(tab: Tab, mixed: list[Entry], tmp_path: Path) -> None:
    """The picture has a text, the axis has moments, and the table has the numbers."""
    await open_page(tab, mixed, tmp_path)
    label = await tab.run("document.querySelector('.plot svg').getAttribute('aria-label')")
    assert label.startswith(
        "How many were submitted (4), started (4), finished (3), failed (1) over time, 21 September 2026"
    )
    rows = await tab.run("[...document.querySelectorAll('tr')].map((row) => [...row.cells].map((c) => c.textContent))")
    assert rows[0] == ["UTC", "Submitted", "Started", "Finished", "Failed"]
    assert rows[-1][1:] == ["4", "4", "3", "1"]
    assert await tab.run("document.querySelector('.plot svg .finished').getBoundingClientRect().height") > 20


async def test_thousands_open_and_filter_with_few_videos_alive(tab: Tab, put: Put, tmp_path: Path) -> None:
    """With 2,000 entries only what is near the window is loaded, wherever that is."""
    one = put("1", "boat", path="boat.mp4")
    entries = [
        make_entry(str(n), prompt=f"boat number {n}", path=one.path, planned_at=STARTED + n) for n in range(2000)
    ]
    await open_page(tab, entries, tmp_path, "#sort=newest")
    await tab.until("document.querySelector('.card video')?.currentTime > 0.2")
    assert await tab.run(f"{SHOWN}[0]") == "boat number 1999"
    await tab.run("scrollTo(0, document.body.scrollHeight)")
    await tab.until("document.querySelector('#e1 video')?.readyState >= 2")
    assert await tab.run("document.querySelectorAll('.card video').length") < 60
    await tab.press("/")
    await tab.type("number 77")
    await tab.until("document.getElementById('found').textContent === '38 of 2,000'")
