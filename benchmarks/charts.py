"""The charts of the README, drawn from what the suite found: polls against lag, and memory against waiting tasks.

The same numbers give the same bytes with the same matplotlib. To draw from an earlier run:
`python -m benchmarks.charts FILE`, where FILE is the JSON that it wrote.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.report import read_results

FOLDER = Path(__file__).with_name("charts")
BLUE, ORANGE, GREY = "#0b62a4", "#c2410c", "#4b5563"
SHORT_NAMES = {"Growing(1.5, 1.5, 5)": "growing, 1.5 to 5 s"}
ASIDE: dict[str, Any] = {"xytext": (8, -4)}
BELOW: dict[str, Any] = {"xytext": (14, -9)}
ABOVE: dict[str, Any] = {"xytext": (0, 9), "ha": "left"}
UP_LEFT: dict[str, Any] = {"xytext": (-6, 7), "ha": "right"}
DOWN_RIGHT: dict[str, Any] = {"xytext": (6, -14), "ha": "left"}
PLACES = {"Fixed(5)": BELOW, "growing, 1.5 to 5 s": ABOVE}
TITLES = {"log-normal": "no progress told", "noisy progress": "progress told, noisy and not linear"}


def memory_points(details: Mapping[str, Any], kind: str) -> list[tuple[int, float]]:
    """How many wait, and the MiB that they take together; in the order of their number."""
    return [
        (int(count), int(count) * kinds[kind]["each_bytes"] / 2**20)
        for count, kinds in sorted(details.items(), key=lambda item: int(item[0]))
    ]


def other_points(workload: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """The lag and the polls of the pacings that are no curve."""
    return {SHORT_NAMES.get(name, name): (score["lag_s"], score["polls"]) for name, score in workload["others"].items()}


@contextmanager
def _figure(name: str, panels: int) -> Iterator[Any]:
    """Axes to draw on, which are then written as a picture that needs no fonts of its reader."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    # Nothing of the settings of whoever draws.
    mpl.rcdefaults()
    mpl.use("svg")
    style: Any = {"svg.hashsalt": "sora_async", "axes.spines.top": False, "axes.spines.right": False, "font.size": 11}
    mpl.rcParams.update(style)
    figure, axes = plt.subplots(1, panels, figsize=(9 if panels > 1 else 7, 4.2), sharey=True, squeeze=False)
    yield axes[0]
    figure.tight_layout()
    FOLDER.mkdir(exist_ok=True)
    figure.savefig(FOLDER / name, facecolor="white", metadata={"Date": None})
    plt.close(figure)


def _label_number(value: float, _: object = None) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def _label(axes: Any, text: str, point: tuple[float, float], colour: str, place: Mapping[str, Any]) -> None:
    axes.annotate(text, point, textcoords="offset points", color=colour, fontsize=9, **place)


def draw_polls(details: Mapping[str, Any]) -> None:
    """Polls for each task against the mean lag, by pacing; a panel for each workload."""
    with _figure("polls.svg", len(details["curves"])) as panels:
        for axes, (name, curve) in zip(panels, details["curves"].items(), strict=True):
            axes.plot(*zip(*curve["optimum"], strict=True), "--", color=GREY, label="optimum that knows the durations")
            axes.plot(*zip(*curve["adaptive"], strict=True), "o-", color=BLUE, label="Adaptive, aim 1 to 20 s")
            others = other_points(details["workloads"][name])
            axes.plot(*zip(*others.values(), strict=True), "s", color=ORANGE, label="fixed and growing times")
            for label, point in others.items():
                _label(axes, label, point, ORANGE, PLACES.get(label, ASIDE))
            axes.set(title=TITLES[name], xlabel="mean lag behind a task's end, s", xscale="log", yscale="log")
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter(_label_number)
            axes.set_xticks([0.5, 1, 2, 5, 10, 20], minor=False)
            axes.minorticks_off()
            axes.grid(color="#e5e7eb")
        panels[0].set_ylabel("polls for each task")
        panels[-1].legend(loc="upper right", fontsize=9, framealpha=1)


def draw_memory(details: Mapping[str, Any]) -> None:
    """Memory against how many tasks wait."""
    lines = (
        ("wait", "client.wait", BLUE, "o-", UP_LEFT),
        ("sleep", "an asyncio task that sleeps", GREY, "s--", DOWN_RIGHT),
    )
    with _figure("memory.svg", 1) as (axes,):
        for kind, label, colour, style, place in lines:
            points = memory_points(details, kind)
            axes.plot(*zip(*points, strict=True), style, color=colour, label=label)
            for count, mib in points:
                _label(axes, f"{mib * 1024 / count:.1f} KB each", (count, mib), colour, place)
        axes.set(xlabel="tasks that wait at once", ylabel="memory of all of them, MiB", xscale="log", yscale="log")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(_label_number)
        axes.minorticks_off()
        axes.margins(0.2)
        axes.grid(color="#e5e7eb")
        axes.legend(loc="upper left", fontsize=9, framealpha=1)


def draw(details: Mapping[str, Any]) -> None:
    """Draw both, from the details of the benchmarks by name."""
    draw_polls(details["polling"])
    draw_memory(details["waiting"])


if __name__ == "__main__":
    draw({result.name: result.details for result in read_results(Path(sys.argv[1]).read_text())})
