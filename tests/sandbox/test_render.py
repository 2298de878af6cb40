"""The film as a player sees it: written by `render`, read back by PyAV."""

import base64
import concurrent.futures
import io
import itertools
import pathlib
import subprocess
import sys
from collections.abc import Callable, Sequence

import av
import pytest
from PIL import Image, ImageChops, ImageStat

from sora_async.sandbox import render as subject

SMALLEST = "128x72"


def ignore(_: float) -> None:
    """Takes progress that a test does not look at."""


def make(
    target: pathlib.Path,
    *,
    prompt: str = "",
    images: Sequence[str] = (),
    orientation: str = "landscape",
    size: str = SMALLEST,
    duration_s: float = 1.0,
    seed: int = 1,
    on_progress: Callable[[float], None] = ignore,
) -> list[Image.Image]:
    subject.render(
        target,
        prompt=prompt,
        images=images,
        orientation=orientation,
        size=size,
        duration_s=duration_s,
        seed=seed,
        on_progress=on_progress,
    )
    with av.open(str(target)) as container:
        return [frame.to_image() for frame in container.decode(video=0)]


def plain(colour: str) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (160, 90), colour).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def difference(first: Image.Image, second: Image.Image) -> float:
    return max(ImageStat.Stat(ImageChops.difference(first, second)).mean)


def centre(frame: Image.Image) -> tuple[int, ...]:
    pixel = frame.getpixel((frame.width // 2, frame.height // 2))
    assert isinstance(pixel, tuple)
    return pixel


@pytest.fixture
def target(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "film.mp4"


def test_render_stream_is_h264_in_the_colours_browsers_play(target: pathlib.Path) -> None:
    """The file holds one H.264 stream in yuv420p at 24 frames a second."""
    make(target)
    with av.open(str(target)) as container:
        (stream,) = container.streams
        assert stream in container.streams.video
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == 24


def test_render_index_stands_before_the_pictures(target: pathlib.Path) -> None:
    """A player can begin before the file is complete."""
    make(target)
    content = target.read_bytes()
    assert content[4:8] == b"ftyp"
    assert 0 < content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize(("asked", "frames"), [(1.5, 36), (0.0, 24), (float("nan"), 24), (-5, 24)])
def test_render_duration_is_the_asked_one_of_at_least_a_second(target: pathlib.Path, asked: float, frames: int) -> None:
    """The clip has every frame of its duration, and the container says the same."""
    assert len(make(target, duration_s=asked)) == frames
    with av.open(str(target)) as container:
        assert container.duration == pytest.approx(frames / 24 * av.time_base, abs=av.time_base / 24)


def test_render_duration_has_a_limit(target: pathlib.Path) -> None:
    """Nobody can ask for a film without end: the first report of an endless one shows its 1440 frames."""

    class EnoughError(Exception):
        pass

    seen: list[float] = []

    def stop_early(share: float) -> None:
        seen.append(share)
        if share:
            raise EnoughError

    with pytest.raises(EnoughError):
        make(target, duration_s=float("inf"), on_progress=stop_early)
    assert seen[-1] == 72 / 1440


@pytest.mark.parametrize(
    ("size", "orientation", "expected"),
    [
        ("small", "landscape", (1280, 720)),
        ("small", "portrait", (720, 1280)),
        ("large", "landscape", (1920, 1080)),
        (" LARGE ", "Portrait", (1080, 1920)),
        ("720P", "landscape", (1280, 720)),
        ("1080p", "portrait", (1080, 1920)),
        ("4320p", "landscape", (1920, 1080)),
        ("0p", "landscape", (64, 64)),
        ("720x1280", "landscape", (720, 1280)),
        ("641 × 361", "landscape", (640, 360)),
        ("99999x1", "landscape", (1920, 64)),
        ("gigantic", "sideways", (1280, 720)),
        ("", "", (1280, 720)),
    ],
)
def test_frame_size_reads_what_relays_accept(size: str, orientation: str, expected: tuple[int, int]) -> None:
    """Each spelling gives even sides within limits, and an unknown one gives the small size."""
    assert subject.frame_size(size, orientation) == expected


def test_render_frame_has_the_size_that_was_asked_for(target: pathlib.Path) -> None:
    """Orientation and size reach the file."""
    assert make(target, size="small", orientation="portrait")[0].size == (720, 1280)


def test_render_without_images_moves(target: pathlib.Path) -> None:
    """A text-to-video preview is an animation, not a still."""
    frames = make(target)
    assert difference(frames[0], frames[-1]) > 5


def test_render_seed_decides_the_pictures(target: pathlib.Path) -> None:
    """The same seed gives the same film, and another seed another."""
    first, again, other = (make(target, seed=seed)[0] for seed in (1, 1, 2))
    assert difference(first, again) == 0
    assert difference(first, other) > 5


def test_render_image_fills_the_frame(target: pathlib.Path) -> None:
    """A data URI is what the video shows."""
    red, green, blue = centre(make(target, images=[plain("red")])[12])
    assert red > 220
    assert max(green, blue) < 40


def test_render_images_fade_into_each_other_in_order(target: pathlib.Path) -> None:
    """The first image gives way to the second through a mixture of both."""
    frames = make(target, images=[plain("red"), plain("blue")])
    reds = [centre(frame)[0] for frame in frames]
    blues = [centre(frame)[2] for frame in frames]
    assert (reds[0] > 220, reds[-1] < 40) == (True, True)
    assert (blues[0] < 40, blues[-1] > 220) == (True, True)
    assert any(60 < red < 200 and 60 < blue < 200 for red, blue in zip(reds, blues, strict=True))


def test_render_move_over_an_image_is_smooth(target: pathlib.Path) -> None:
    """No two neighbouring frames are far apart while the whole way is long."""
    buffer = io.BytesIO()
    Image.linear_gradient("L").rotate(90).save(buffer, "PNG")
    link = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    frames = make(target, images=[link], size="320x180", duration_s=4.0)
    steps = [difference(first, second) for first, second in itertools.pairwise(frames)]
    assert difference(frames[0], frames[-1]) > 2
    assert max(steps) < 1.5


def test_render_more_images_than_fit_are_left_out(target: pathlib.Path) -> None:
    """Each shown image keeps half a second, so a second of video shows two."""
    frames = make(target, images=[plain(colour) for colour in ("red", "blue", "lime")])
    assert centre(frames[-1])[2] > 220


def test_render_prompt_darkens_and_writes_on_the_lower_edge(target: pathlib.Path) -> None:
    """The caption changes the bottom of the picture, and only that."""
    white = [plain("white")]
    without, captioned = (make(target, prompt=text, images=white, size="640x360")[12] for text in ("", "a cat"))
    bottom, middle = (0, 320, 640, 360), (0, 100, 640, 250)
    assert difference(without.crop(bottom), captioned.crop(bottom)) > 50
    assert difference(without.crop(middle), captioned.crop(middle)) < 5


def test_render_mark_is_in_the_upper_right_corner(target: pathlib.Path) -> None:
    """Nobody takes a preview for a paid video."""
    frame = make(target, images=[plain("white")], size="640x360")[12]
    right = frame.crop((540, 0, 640, 40))
    assert difference(right, Image.new("RGB", right.size, "white")) > 20


def test_render_link_that_is_no_data_uri_becomes_a_placeholder(target: pathlib.Path) -> None:
    """Another address gives another picture, though nothing is fetched."""
    cat, dog = (
        make(target, images=[f"https://example.com/{name * 9}.png"], size="640x360")[0] for name in ("cat", "dog")
    )
    area = (160, 120, 480, 240)
    assert difference(cat.crop(area), dog.crop(area)) > 0.5


def test_render_progress_rises_from_nothing_to_all(target: pathlib.Path) -> None:
    """There are at least ten reports, in order, from 0.0 to 1.0."""
    seen: list[float] = []
    make(target, on_progress=seen.append)
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    assert len(seen) >= 10


@pytest.mark.parametrize("moment", [0.0, 0.5, 1.0])
def test_render_abort_leaves_no_file(target: pathlib.Path, moment: float) -> None:
    """What on_progress raises comes out, and the folder is as it was."""

    class StopError(Exception):
        pass

    def stop(share: float) -> None:
        if share >= moment:
            raise StopError

    with pytest.raises(StopError):
        make(target, on_progress=stop)
    assert list(target.parent.iterdir()) == []


def test_render_into_a_missing_folder_raises(tmp_path: pathlib.Path) -> None:
    """A file that cannot be written is an OSError."""
    with pytest.raises(OSError, match="No such file"):
        make(tmp_path / "missing" / "film.mp4")


def test_render_replaces_an_older_file(target: pathlib.Path) -> None:
    """The target is written whole in place of what was there."""
    target.write_bytes(b"old")
    assert len(make(target)) == 24
    assert list(target.parent.iterdir()) == [target]


def test_render_twice_at_once_gives_what_each_gives_alone(tmp_path: pathlib.Path) -> None:
    """Two worker threads share fonts without disturbing each other."""
    make(tmp_path / "alone.mp4", prompt="a cat")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda name: make(tmp_path / name, prompt="a cat"), ("one.mp4", "two.mp4")))
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


@pytest.mark.parametrize("missing", ["av", "PIL"])
def test_require_says_what_to_install(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing package is named together with the command that brings it."""
    for name in [name for name in sys.modules if name.partition(".")[0] == missing]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(subject.RenderUnavailable) as caught:
        subject.require()
    assert str(caught.value) == f"rendering needs {missing}: pip install 'sora_async[sandbox]'"


def test_render_module_loads_without_the_extra() -> None:
    """A sandbox that renders nothing needs neither package; only asking for a video fails."""
    program = (
        "import sys; sys.modules.update(av=None, PIL=None)\n"
        "from sora_async.sandbox import render\n"
        "try: render.require()\n"
        "except render.RenderUnavailable: print('unavailable')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "unavailable\n"
