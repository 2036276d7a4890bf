"""Plots of the results, as SVG. Only these need matplotlib, which is in a group of its own."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from support.bench import figures
from support.bench.cases import CASES, DEPENDENCY, REGISTRY, SOURCE, TITLES, VERSION
from support.bench.goals import SCOPE
from support.bench.plan import FEW_CASES
from support.bench.ways import WAYS

FONT = "DejaVu Sans"
OWN_COLOUR, PEER_COLOUR = "#2a7f62", "#9aa5b1"
# Of ways that are drawn beside each other; the same in every plot.
COLOURS = {
    "seedpod": OWN_COLOUR,
    "seedpod-full": "#7fc4a8",
    "uv-given": "#4c6ef5",
    "uv-installed": "#9775fa",
    "poetry-multi-stage": "#e8590c",
}
BAR_INCHES, COLUMN_INCHES = 0.26, 4.6
LINES = (OWN_COLOUR, "#9775fa", "#e8590c")
OTHER_CASES = (*FEW_CASES, REGISTRY)
Results = dict[str, Any]
Value = Callable[[str], float | None]


def draw(results: Results, folder: Path) -> list[str]:
    """Write every plot for which there are figures; return their names."""
    mpl.rcParams.update(
        {
            "axes.spines.right": False,
            "axes.spines.top": False,
            # The long list of all fonts that matplotlib knows would be in every word.
            "font.sans-serif": [FONT],
            "font.size": 9,
            # The same figures give the same file, and text stays text.
            "svg.fonttype": "none",
            "svg.hashsalt": "seedpod",
        }
    )
    drawn = {
        "builds": _builds(results),
        "sizes": _sizes(results),
        "sent": _sent(results),
        "running": _running(results),
        "applications": _applications(results),
        "growth": _growth(results),
    }
    for name, figure in drawn.items():
        if figure:
            path = folder / f"{name}.svg"
            figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
            text = path.read_text(encoding="utf-8")
            # Ends of lines are free of spaces in this repository.
            path.write_text(re.sub(r" +$", "", text, flags=re.MULTILINE), encoding="utf-8")
    return [name for name, figure in drawn.items() if figure]


def _bars(axes: Axes, title: str, value: Value, form: str = "{:.1f}", *, log: bool = False) -> None:
    """Draw a bar for each way that has a figure, in the ways' order from the top."""
    found = [(way, value(way.name)) for way in WAYS.values()]
    rows = [(way, figure) for way, figure in found if figure is not None][::-1]
    bars = axes.barh(
        [way.title for way, _ in rows],
        [figure for _, figure in rows],
        color=[PEER_COLOUR if way.is_peer else OWN_COLOUR for way, _ in rows],
    )
    axes.bar_label(bars, [form.format(figure) for _, figure in rows], padding=3)
    axes.set_title(title, loc="left", fontweight="bold")
    axes.margins(x=0.15, y=0.01)
    if log:
        axes.set_xscale("log")
    axes.set_xticks([])
    axes.spines.bottom.set_visible(False)
    axes.tick_params(left=False, bottom=False, which="both", labelbottom=False)


def _grid(panels: Sequence[Callable[[Axes], None]], rows: int, columns: int = 2) -> Figure | None:
    """Return a figure with a panel for each function, None without any."""
    if not panels:
        return None
    lines = -(-len(panels) // columns)
    height = max(1.2, BAR_INCHES * rows + 0.5)
    figure = Figure(figsize=(COLUMN_INCHES * columns, height * lines), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False).flatten()
    for axes, panel in zip(grid, panels, strict=False):
        panel(axes)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    return figure


def _ways(results: Results) -> int:
    return len(results["scopes"].get(SCOPE, {}).get("ways", {}))


def _panel(title: str, value: Value, form: str = "{:.1f}", *, log: bool = False) -> Any:
    if not any(value(name) is not None for name in WAYS):
        return None
    return lambda axes: _bars(axes, title, value, form, log=log)


def _builds(results: Results) -> Figure | None:
    def of(case: str) -> Value:
        return lambda way: figures.seconds(results, SCOPE, way, case)

    panels = [_panel(f"{short(case)}, s", of(case), "{:.2f}") for case in CASES]
    return _grid([panel for panel in panels if panel], _ways(results))


def _sizes(results: Results) -> Figure | None:
    def of(what: str) -> Value:
        def value(way: str) -> float | None:
            size = figures.bytes_of(results, SCOPE, way, what)
            return None if size is None else size / 1e6

        return value

    panels = [_panel("image, MB", of("size")), _panel("packed, MB", of("packed"))]
    return _grid([panel for panel in panels if panel], _ways(results))


def _sent(results: Results) -> Figure | None:
    def of(case: str) -> Value:
        def value(way: str) -> float | None:
            sent = figures.sent(results, SCOPE, way, case)
            return None if sent is None else sent / 1e3

        return value

    panels = [
        _panel(f"pushed after: {short(case)}, kB", of(case), "{:,.1f}", log=True)
        for case in (SOURCE, VERSION, DEPENDENCY)
    ]
    return _grid([panel for panel in panels if panel], _ways(results))


def _running(results: Results) -> Figure | None:
    def memory(way: str) -> float | None:
        used = figures.middle(results, SCOPE, way, "memory")
        return None if used is None else used / 1e6

    panels = [
        _panel(
            "run to first answer, s",
            lambda way: figures.middle(results, SCOPE, way, "answers"),
            "{:.2f}",
        ),
        _panel("idle memory, MB", memory),
    ]
    return _grid([panel for panel in panels if panel], _ways(results))


def _applications(results: Results) -> Figure | None:
    """Return a panel for each other scope: its cases side by side, a colour for each way."""
    scopes = {name: x for name, x in results["scopes"].items() if name != SCOPE and x["ways"]}
    figure = _grid([_grouped(results, name) for name in scopes], rows=10)
    if figure:
        shown = [way for way in COLOURS if any(way in scope["ways"] for scope in scopes.values())]
        handles = [Patch(color=COLOURS[way], label=WAYS[way].title) for way in shown]
        figure.legend(handles=handles, loc="outside upper left", ncols=len(shown), frameon=False)
    return figure


def _grouped(results: Results, name: str) -> Callable[[Axes], None]:
    scope = results["scopes"][name]
    ways = [way for way in COLOURS if way in scope["ways"]]
    cases = [
        case
        for case in OTHER_CASES
        if any(figures.seconds(results, name, way, case) is not None for way in ways)
    ]

    def draw_panel(axes: Axes) -> None:
        height = 0.8 / len(ways)
        for place, way in enumerate(ways):
            found = [figures.seconds(results, name, way, case) for case in cases]
            at = [row + place * height for row in range(len(cases))]
            bars = axes.barh(at, [each or 0 for each in found], height, color=COLOURS[way])
            axes.bar_label(bars, ["" if x is None else f"{x:.1f}" for x in found], padding=3)
        axes.set_yticks(
            [row + 0.4 - height / 2 for row in range(len(cases))], [short(case) for case in cases]
        )
        axes.invert_yaxis()
        axes.margins(x=0.12)
        axes.set_xticks([])
        axes.tick_params(left=False)
        axes.spines.bottom.set_visible(False)
        axes.set_title(f"{scope['title'].removeprefix('the ')}, s", loc="left", fontweight="bold")

    return draw_panel


def short(case: str) -> str:
    """Return the title of a case without its explanation."""
    return TITLES[case].partition(":")[0]


def _growth(results: Results) -> Figure | None:
    """Return a panel for each quantity that grows: a line for each figure."""
    parts = results["growth"].values()
    panels = [_line(series) for part in parts for series in part if series["lines"]]
    return _grid(panels, rows=9)


def _line(series: dict[str, Any]) -> Callable[[Axes], None]:
    def draw_panel(axes: Axes) -> None:
        for place, (label, points) in enumerate(series["lines"].items()):
            xs = [point[0] for point in points]
            ys = [point[1] for point in points]
            axes.plot(xs, ys, marker="o", color=LINES[place % len(LINES)], label=label)
        axes.set_xlabel(series["unit"])
        axes.set_ylabel(series["of"])
        axes.set_ylim(bottom=0)
        axes.set_xlim(left=0)
        axes.set_title(series["name"], loc="left", fontweight="bold")
        axes.legend(fontsize=7, frameon=False)

    return draw_panel
