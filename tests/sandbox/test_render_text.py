"""Text in any script, with the fonts a test makes for itself."""

import pathlib
import struct
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, features

from sora_async.sandbox import render_caption
from sora_async.sandbox.render_fonts import Fonts, folders, font_files
from sora_async.sandbox.render_text import Pen, clean, clusters, words

BARE = Pen(fonts=Fonts([]), size=20)
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)


def outline_font(path: pathlib.Path, characters: str) -> pathlib.Path:
    """Write a TrueType font that draws each of the characters as a black square, and all others as nothing."""
    points = (100, 900, 900, 100), (0, 0, 800, 800)
    deltas = [[after - before for before, after in zip((0, *axis), axis, strict=False)] for axis in points]
    square = struct.pack(">5h2H", 1, 100, 0, 900, 800, 3, 0) + b"\1" * 4
    square += b"".join(struct.pack(">4h", *axis) for axis in deltas)
    square += bytes(-len(square) % 4)
    groups = b"".join(struct.pack(">3I", ord(each), ord(each), 1) for each in sorted(characters))
    cmap = struct.pack(">2H2HI", 0, 1, 3, 10, 12) + struct.pack(">2H3I", 12, 0, 16 + len(groups), 0, len(characters))
    head = struct.pack(">4I2H16x4h2H3h", 0x10000, 0, 0, 0x5F0F3CF5, 0, 1000, 0, 0, 1000, 1000, 0, 8, 2, 1, 0)
    tables = {
        b"cmap": cmap + groups,
        b"glyf": square,
        b"head": head,
        b"hhea": struct.pack(">I3hH11hH", 0x10000, 900, -100, 0, 1000, *[0] * 11, 2),
        b"hmtx": struct.pack(">HhHh", 1000, 0, 1000, 100),
        b"loca": struct.pack(">3I", 0, 0, len(square)),
        b"maxp": struct.pack(">I14H", 0x10000, 2, 4, 1, 0, 0, 2, *[0] * 8),
    }
    offset, directory, content = 12 + 16 * len(tables), b"", b""
    for tag, table in tables.items():
        directory += tag + struct.pack(">3I", 0, offset + len(content), len(table))
        content += table + bytes(-len(table) % 4)
    path.write_bytes(struct.pack(">I4H", 0x10000, len(tables), 64, 2, 48) + directory + content)
    return path


def bitmap_font(path: pathlib.Path, character: str) -> pathlib.Path:
    """Write a font that has one character, and that at 96 pixels only; the first glyph stands for all others."""
    glyph = "STARTCHAR x\nENCODING {}\nSWIDTH 1000 0\nDWIDTH 96 0\nBBX 96 96 0 0\nBITMAP\n{}\nENDCHAR\n"
    blank, square = ("\n".join([row * 12] * 96) for row in ("00", "FF"))
    path.write_text(
        "STARTFONT 2.1\nFONT -x-x-medium-r-normal--96-960-72-72-c-960-iso10646-1\nSIZE 96 72 72\n"
        "FONTBOUNDINGBOX 96 96 0 0\nSTARTPROPERTIES 5\nPIXEL_SIZE 96\nFONT_ASCENT 96\nFONT_DESCENT 0\n"
        'CHARSET_REGISTRY "ISO10646"\nCHARSET_ENCODING "1"\nENDPROPERTIES\nCHARS 2\n'
        + glyph.format(0, blank)
        + glyph.format(ord(character), square)
        + "ENDFONT\n",
        encoding="ascii",
    )
    return path


def ink(pen: Pen, line: str) -> tuple[int, int, int, int] | None:
    layer = Image.new("RGBA", (300, 60))
    pen.draw(layer, line, 150, 40)
    return layer.getchannel("A").getbbox()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        (" a\tb\r\nc\u2028d\0\x1b[31m ", "a b c d [31m"),
        ("a\ud800b", "a\ufffdb"),
        ("a\u202eb\ufeffc", "abc"),
        ("e\u0301", "\xe9"),
        ("👩\u200d👧", "👩\u200d👧"),
    ],
)
def test_clean_makes_one_printable_line(text: str, expected: str) -> None:
    """Nothing that controls a terminal or a layout is left."""
    assert clean(text) == expected


def test_clean_cuts_an_endless_text() -> None:
    """What could never be shown is not measured either, and the cut is marked."""
    assert clean("x" * 10_000) == "x" * 500 + "…"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ab", ["a", "b"]),
        ("x\u0323y", ["x\u0323", "y"]),
        ("👩\u200d👧!", ["👩\u200d👧", "!"]),
        ("👍🏽", ["👍🏽"]),
        ("\u0301a", ["\u0301", "a"]),
        ("a" + "\u0301" * 99, ["a" + "\u0301" * 7]),
    ],
)
def test_clusters_keep_together_what_is_drawn_together(text: str, expected: list[str]) -> None:
    """A mark is never cut from its letter, and a pile of marks is kept low."""
    assert clusters(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("one two", ["one ", "two"]),
        ("海滩。上", ["海", "滩。", "上"]),
        ("（海滩）", ["（海", "滩）"]),
        ("cat猫 dog", ["cat", "猫 ", "dog"]),
    ],
)
def test_words_break_lines_where_readers_expect(text: str, expected: list[str]) -> None:
    """Closing marks never start a line, and opening ones never end it."""
    assert list(words(text)) == expected


def test_wrap_breaks_between_words() -> None:
    """Lines are filled in turn, and no word is cut that fits."""
    assert BARE.wrap("aaaa bbbb cccc", BARE.width("aaaa bbbb"), 3) == ["aaaa bbbb", "cccc"]


def test_wrap_cuts_a_word_longer_than_a_line() -> None:
    """An address without spaces is shown on as many lines as it takes."""
    assert BARE.wrap("mmmmmm", BARE.width("mmm"), 3) == ["mmm", "mmm"]


def test_wrap_ends_in_an_ellipsis_when_lines_run_out() -> None:
    """A reader sees that there is more."""
    lines = BARE.wrap("one two three four five six", BARE.width("three"), 2)
    assert len(lines) == 2
    assert lines[1].endswith("…")
    assert BARE.width(lines[1]) <= BARE.width("three")


def test_wrap_of_a_line_too_narrow_for_anything_is_an_ellipsis() -> None:
    """Even an absurd width ends."""
    assert BARE.wrap("mmm", 1, 1) == ["…"]


@given(ANY_TEXT)
def test_wrap_accepts_any_text(text: str) -> None:
    """No text breaks the layout: a line is too wide only if one cluster is."""
    for line in BARE.wrap(text, 200, 3):
        assert BARE.width(line) <= 200 or len(clusters(line)) == 1


@given(ANY_TEXT)
def test_legible_leaves_only_what_fonts_can_draw(text: str) -> None:
    """With no font but Pillow's own, every base character left is one it has."""
    for each in BARE.legible(text):
        assert BARE.fonts.covering(each) or unicodedata.category(each) in {"Mn", "Me", "Mc", "Cf"}


def test_legible_names_single_characters_by_code_point() -> None:
    """A stray emoji without a font does not hide the sentence around it."""
    assert BARE.legible("a \U0001f431 sits") == "a [U+1F431] sits"


def test_legible_says_so_when_a_script_has_no_font() -> None:
    """A row of code points would help nobody."""
    assert BARE.legible("海滩上的猫") == "[5 characters that no font on this machine can show]"


def test_legible_keeps_a_script_that_a_font_covers(tmp_path: pathlib.Path) -> None:
    """A font is found by what it draws, not by what it is called."""
    fonts = Fonts([outline_font(tmp_path / "one.ttf", "海滩"), outline_font(tmp_path / "two.ttf", "上的猫")])
    assert Pen(fonts=fonts, size=20).legible("海滩上的猫") == "海滩上的猫"


def test_runs_change_font_only_where_they_must(tmp_path: pathlib.Path) -> None:
    """Pillow's own font draws all it can, spaces included; each other character gets the first font that has it."""
    path = outline_font(tmp_path / "one.ttf", "海滩a")
    runs = Fonts([path]).runs(clusters("a b 海滩 c"))
    assert [(typeface.path, text) for typeface, text in runs] == [(None, "a b "), (path, "海滩"), (None, " c")]


def test_runs_prefer_a_font_that_has_a_whole_cluster(tmp_path: pathlib.Path) -> None:
    """A letter and its mark come from one font, also when an earlier font has the letter alone."""
    path = outline_font(tmp_path / "one.ttf", "1\u20e3")
    assert [(face.path, text) for face, text in Fonts([path]).runs(["1\u20e3"])] == [(path, "1\u20e3")]


def test_runs_drop_a_mark_that_no_font_joins() -> None:
    """The letter is shown without its mark rather than beside an empty box."""
    assert [text for _, text in Fonts([]).runs(["1\u20e3"])] == ["1"]


def test_fonts_pass_over_a_file_that_is_no_font(tmp_path: pathlib.Path) -> None:
    """One damaged file does not end the search."""
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"no font")
    good = outline_font(tmp_path / "good.ttf", "猫")
    face = Fonts([broken, good]).covering("猫")
    assert face is not None
    assert face.path == good


def test_fonts_pass_over_a_glyph_that_is_damaged(tmp_path: pathlib.Path) -> None:
    """A character that a font has but cannot draw is looked for in the next font."""
    good, bad = (outline_font(tmp_path / name, "猫") for name in ("good.ttf", "bad.ttf"))
    one_contour, many = (struct.pack(">5h", count, 100, 0, 900, 800) for count in (1, 30_000))
    bad.write_bytes(bad.read_bytes().replace(one_contour, many))
    face = Fonts([bad, good]).covering("猫")
    assert face is not None
    assert face.path == good


def test_draw_centres_a_line_of_several_fonts(tmp_path: pathlib.Path) -> None:
    """Runs are set one after another around the middle."""
    pen = Pen(fonts=Fonts([outline_font(tmp_path / "one.ttf", "猫")]), size=20)
    box = ink(pen, "猫mm猫")
    assert box is not None
    assert abs((box[0] + box[2]) / 2 - 150) <= 2
    assert box[2] - box[0] == pytest.approx(pen.width("猫mm猫"), abs=6)


def test_draw_scales_a_font_of_bitmaps(tmp_path: pathlib.Path) -> None:
    """Emoji fonts of one size only fit in with the text."""
    pen = Pen(fonts=Fonts([bitmap_font(tmp_path / "one.bdf", "猫")]), size=24)
    assert pen.width("猫") == pytest.approx(24)
    assert ink(pen, "猫") == (138, 16, 162, 40)


def test_draw_sets_runs_from_the_right_in_a_line_that_starts_so(tmp_path: pathlib.Path) -> None:
    """In a Hebrew line the Latin word that follows stands to the left."""
    pen = Pen(fonts=Fonts([outline_font(tmp_path / "one.ttf", "אב")]), size=20)
    layer = Image.new("RGBA", (300, 60))
    pen.draw(layer, "אבiiiiii", 150, 40)
    squares = layer.crop((150, 0, 300, 60)).getchannel("A").histogram()[255]
    letters = layer.crop((0, 0, 150, 60)).getchannel("A").histogram()[255]
    assert squares > letters * 2


def test_draw_without_the_layout_library_hides_joiners(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Pillow cannot join, the joiner is left out and drawn by nobody as a box."""
    monkeypatch.setattr(features, "check", lambda _: False)
    fonts = Fonts([outline_font(tmp_path / "one.ttf", "👩👧")])
    assert [text for _, text in fonts.runs(["👩\u200d👧"])] == ["👩👧"]


def test_font_files_lists_regular_weights_in_order_of_preference(tmp_path: pathlib.Path) -> None:
    """Known families come in their order; other weights, other files and missing folders are passed over."""
    inner = tmp_path / "truetype"
    inner.mkdir()
    for name in ("DejaVuSans.ttf", "NotoSansCJK-Regular.ttc", "NotoSansCJK-Bold.ttc", "Zapfino.ttf", "arial.txt"):
        (inner / name).touch()
    found = font_files([tmp_path, tmp_path / "missing"])
    assert [path.name for path in found] == ["NotoSansCJK-Regular.ttc", "DejaVuSans.ttf"]


def test_folders_do_without_a_home(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account without a home folder, as in some containers, still has the system's fonts."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tmp_path / ".fonts" in folders()
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.delenv(name, raising=False)
    assert pathlib.Path("/usr/share/fonts") in folders()
    assert all(place.name != ".fonts" for place in folders())


@pytest.mark.parametrize("prompt", ["", " \n\t", "\u202e\ufeff"])
def test_caption_of_a_blank_prompt_is_none(prompt: str) -> None:
    """No band is drawn without words on it."""
    assert render_caption.caption(prompt, (320, 180)) is None


@given(ANY_TEXT)
def test_caption_accepts_any_prompt(prompt: str) -> None:
    """Whatever the prompt and whatever fonts this machine has, the layers lie within the frame on even places."""
    for layer in render_caption.overlays(prompt, (320, 180)):
        width, height = layer.colour.size
        assert layer.left + width <= 320
        assert layer.top + height <= 180
        assert [each % 2 for each in (layer.left, layer.top, width, height)] == [0, 0, 0, 0]


@pytest.mark.parametrize("size", [(64, 64), (1920, 64), (64, 1920), (1920, 1920)])
def test_overlays_fit_frames_of_any_size(size: tuple[int, int]) -> None:
    """Even the smallest frame takes a long prompt."""
    for layer in render_caption.overlays("word " * 900, size):
        assert layer.left >= 0
        assert layer.top >= 0
        assert layer.left + layer.colour.size[0] <= size[0]
