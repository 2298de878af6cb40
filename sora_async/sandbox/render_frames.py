"""Pictures as a video holds them, and the few operations on them that a film needs.

Every pixel is moved in C on 8-bit planes, half as many bytes as RGB, and without a conversion for each frame.
"""

from typing import NamedTuple, Self

import av
from PIL import Image

Box = tuple[float, float, float, float]

# Rows of BT.709 with video range (16..235), the colours every player assumes for high definition.
_RGB_TO_YCC = (
    (0.18259, 0.61423, 0.06201, 16.0),
    (-0.10064, -0.33857, 0.43922, 128.0),
    (0.43922, -0.39894, -0.04027, 128.0),
)
_BT709 = 1
_VIDEO_RANGE = 1


class Planes(NamedTuple):
    """A picture as yuv420p: full-size brightness and two colour planes of half its width and height."""

    luma: Image.Image
    blue: Image.Image
    red: Image.Image

    @classmethod
    def from_rgb(cls, picture: Image.Image) -> Self:
        """Convert an RGB picture whose width and height are even."""
        matrix = tuple(value for row in _RGB_TO_YCC for value in row)
        luma, blue, red = picture.convert("RGB", matrix).split()
        return cls(luma, blue.reduce(2), red.reduce(2))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture, in pixels."""
        return self.luma.size

    def view(self, box: Box, size: tuple[int, int]) -> "Planes":
        """Scale the part within `box` (left, top, right, bottom; fractions of a pixel count) to `size`."""
        half_box = (box[0] / 2, box[1] / 2, box[2] / 2, box[3] / 2)
        half_size = (size[0] // 2, size[1] // 2)
        bilinear = Image.Resampling.BILINEAR
        return Planes(
            self.luma.resize(size, bilinear, box),
            self.blue.resize(half_size, bilinear, half_box),
            self.red.resize(half_size, bilinear, half_box),
        )

    def mix(self, other: "Planes", weight: float) -> "Planes":
        """Blend towards a picture of the same size: 0.0 gives this one, 1.0 the other."""
        return Planes(*(Image.blend(mine, theirs, weight) for mine, theirs in zip(self, other, strict=True)))

    def to_frame(self) -> av.VideoFrame:
        """Copy the picture into a frame for the encoder."""
        frame = av.VideoFrame(*self.size, "yuv420p")
        for plane, image in zip(frame.planes, self, strict=True):
            plane.update(image.tobytes("raw", "L", plane.line_size, 1))
        return frame


class Overlay(NamedTuple):
    """A half transparent picture with a fixed place on the frame."""

    colour: Planes
    opacity: Planes
    left: int
    top: int

    @classmethod
    def from_rgba(cls, layer: Image.Image, left: int, top: int) -> Self:
        """Convert an RGBA layer; its size and its place, in pixels, must be even numbers."""
        alpha = layer.getchannel("A")
        half = alpha.reduce(2)
        return cls(Planes.from_rgb(layer.convert("RGB")), Planes(alpha, half, half), left, top)

    def draw_on(self, picture: Planes) -> None:
        """Paint the layer over the picture, in place."""
        places = ((self.left, self.top), *[(self.left // 2, self.top // 2)] * 2)
        for base, colour, mask, place in zip(picture, self.colour, self.opacity, places, strict=True):
            base.paste(colour, place, mask)


def tag_colours(context: av.VideoCodecContext) -> None:
    """Write into the stream which colours `Planes.from_rgb` made, so that players need not guess."""
    context.colorspace = _BT709
    context.color_primaries = _BT709
    context.color_trc = _BT709
    context.color_range = _VIDEO_RANGE
