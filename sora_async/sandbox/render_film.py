"""A film from scenes: slow camera moves, cross-fades, a caption, and the encoder."""

import functools
import itertools
import math
import pathlib
import random
from collections.abc import Callable, Iterator, Sequence

import attrs
import av

from sora_async.sandbox import render_caption, render_pictures
from sora_async.sandbox.render_frames import Box, Overlay, Planes, tag_colours

FRAME_RATE = 24
MOST_PICTURES = 20
SHORTEST_SCENE_S = 0.5
FADE_S = 1.0

_GRADIENTS = 3
_FULL_MOVE_S = 10.0
_CLOSEST_VIEW = 0.88
_STEP = 3
_PROGRESS_REPORTS = 20
# B-frames and a little motion search make the fastest preset's files four times smaller for a tenth more time,
# and deblocking keeps gradients smooth.
_X264 = {"preset": "ultrafast", "crf": "28", "bf": "3", "x264-params": "b-adapt=0:subme=1:deblock=0,0"}


@attrs.frozen(kw_only=True)
class Scene:
    """One picture and the camera's way over it."""

    planes: Planes
    """The picture; any size, with the frame's proportions."""
    start: Box
    """What the camera sees first, as fractions of the picture."""
    end: Box
    """What the camera sees last, as fractions of the picture."""

    def at(self, moment: float, size: tuple[int, int]) -> Planes:
        """Show the scene at a moment from 0.0 to 1.0, scaled to `size`."""
        width, height = self.planes.size
        left, top, right, bottom = (a + (b - a) * moment for a, b in zip(self.start, self.end, strict=True))
        box = (left * width, top * height, min(right, 1.0) * width, min(bottom, 1.0) * height)
        return self.planes.view(box, size)


@attrs.frozen(kw_only=True)
class Film:
    """Scenes of equal length, one after another."""

    scenes: Sequence[Scene]
    """What is shown; at least one."""
    overlays: Sequence[Overlay]
    """What is painted over every frame."""
    size: tuple[int, int]
    """Width and height of the frame in pixels."""
    duration_s: float
    """Length in seconds."""
    fade_s: float
    """Length of the cross-fade between two scenes, in seconds."""

    @property
    def frame_count(self) -> int:
        """How many frames the film has."""
        return round(self.duration_s * FRAME_RATE)

    def picture(self, time_s: float) -> Planes:
        """Compose what is seen at a time in seconds."""
        slot_s = self.duration_s / len(self.scenes)
        time_s = min(max(time_s, 0.0), self.duration_s)
        cut = round(time_s / slot_s)
        from_cut_s = time_s - cut * slot_s
        if 0 < cut < len(self.scenes) and abs(from_cut_s) < self.fade_s / 2:
            share = 0.5 + from_cut_s / self.fade_s
            before, after = self._scene(cut - 1, time_s), self._scene(cut, time_s)
            picture = before.mix(after, share * share * (3 - 2 * share))
        else:
            picture = self._scene(min(int(time_s / slot_s), len(self.scenes) - 1), time_s)
        for overlay in self.overlays:
            overlay.draw_on(picture)
        return picture

    def _scene(self, index: int, time_s: float) -> Planes:
        slot_s = self.duration_s / len(self.scenes)
        since_s = time_s - index * slot_s + self.fade_s / 2
        return self.scenes[index].at(min(max(since_s / (slot_s + self.fade_s), 0.0), 1.0), self.size)

    def frames(self) -> Iterator[Planes]:
        """Give the frames in order, composing only every third one.

        The camera moves about a pixel between two composed pictures, so what lies between is their blend.
        Each composed picture lies halfway between two frames, so that no frame is a sharp one among soft ones.
        """
        weights = [(index + 0.5) / _STEP for index in range(_STEP)]
        times = ((index * _STEP - 0.5) / FRAME_RATE for index in itertools.count())
        pairs = itertools.pairwise(map(self.picture, times))
        frames = (first.mix(second, weight) for first, second in pairs for weight in weights)
        return itertools.islice(frames, self.frame_count)


def compose(
    *,
    prompt: str,
    images: Sequence[str],
    size: tuple[int, int],
    duration_s: float,
    seed: int,
    on_progress: Callable[[float], None],
) -> Film:
    """Decode the images and lay out the text; scenes last at least half a second, at most 20 are shown."""
    chance = random.Random(seed)  # noqa: S311 -- picks colours, guards nothing
    most = min(MOST_PICTURES, int(duration_s / SHORTEST_SCENE_S))
    pictures = [functools.partial(render_pictures.from_link, link, size) for link in images[:most]]
    blanks = [functools.partial(render_pictures.gradient, chance, size) for _ in range(_GRADIENTS)]
    makers = pictures or blanks
    slot_s = duration_s / len(makers)
    fade_s = min(FADE_S, slot_s / 2) if images else slot_s
    reach = min(1.0, (slot_s + fade_s) / _FULL_MOVE_S)
    scenes = []
    for index, make in enumerate(makers):
        on_progress(0.0)
        start, end = _camera(chance, reach)
        planes = Planes.from_rgb(make())
        scenes.append(Scene(planes=planes, start=end if index % 2 else start, end=start if index % 2 else end))
    return Film(
        scenes=scenes, overlays=render_caption.overlays(prompt, size), size=size, duration_s=duration_s, fade_s=fade_s
    )


def _camera(chance: random.Random, reach: float) -> tuple[Box, Box]:
    """Choose a wide and a close view; the shorter the scene, the smaller the move, so that speed stays the same."""
    span = 1 - (1 - _CLOSEST_VIEW) * reach
    angle = chance.uniform(0, math.tau)
    left, top = ((1 - span) * (0.5 + 0.5 * turn) for turn in (math.cos(angle), math.sin(angle)))
    return (0.0, 0.0, 1.0, 1.0), (left, top, left + span, top + span)


def encode(film: Film, path: pathlib.Path, on_progress: Callable[[float], None]) -> None:
    """Write the film as H.264 in MP4 with its index first, so that a browser can play it while it loads."""
    every = max(1, film.frame_count // _PROGRESS_REPORTS)
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", FRAME_RATE, options=_X264)
        stream.width, stream.height = film.size
        stream.pix_fmt = "yuv420p"
        # Frame threads encode while the next picture is composed; PyAV's default, slices, would make us wait.
        stream.codec_context.thread_type = "FRAME"
        stream.codec_context.thread_count = 2
        tag_colours(stream.codec_context)
        for index, picture in enumerate(film.frames()):
            if index % every == 0:
                on_progress(index / film.frame_count)
            frame = picture.to_frame()
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    on_progress(1.0)
