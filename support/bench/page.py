"""The report as text: the page of the documentation, and the section of README, out of results."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import linear_regression, median

from support.bench import figures, goals
from support.bench.cases import COLD, DEPENDENCY, SOURCE, TITLES, TOOL, VERSION
from support.bench.figures import Results
from support.bench.goals import SCOPE, Verdict
from support.bench.ways import WAYS
from support.paths import REPOSITORY

RESULTS = REPOSITORY / "docs/benchmarks/results.json"
PAGE = REPOSITORY / "docs/benchmarks.md"
README = REPOSITORY / "README.md"
BEGIN, END = "<!-- Written by nox -s bench -- publish. -->", "<!-- End of what it writes. -->"
PICTURES = {
    "builds": "Seconds of a build",
    "sizes": "Sizes of the image",
    "sent": "Bytes that a push sends again",
    "running": "Run to first answer, and idle memory",
    "applications": "Seconds of a build, other applications, bases and engines",
    "growth": "Cost as work grows",
}
LAYOUTS = {
    "local": "Debian, Python in `/usr/local`",
    "debian": "Debian, its own Python",
    "alpine": "Alpine",
}


def page(results: Results, pictures: Sequence[str]) -> str:
    """Return the page of the documentation; ``pictures`` are names of plots beside it."""
    verdicts = goals.judge(results)
    missed = goals.missed(verdicts)
    parts = [
        "# Benchmarks",
        "Written by `nox -s bench -- publish` from `docs/benchmarks/results.json`; "
        "[Work on Seedpod](development.md#the-benchmark) says how to repeat it.",
        _about(results),
        "## Goals",
        f"{len(verdicts) - missed} of {len(verdicts)} are met.",
        table(("goal", "Seedpod", "against", "at most", "verdict"), map(_verdict, verdicts)),
        f"## {_heading(results['scopes'].get(SCOPE, {}).get('title', SCOPE))}",
        _builds(results, SCOPE),
        *_picture(pictures, "builds"),
        "Sizes are the bytes of the files in the image's layers; packed, each layer as gzip. Bytes "
        "of a push are what a registry received and did not have.",
        _images(results, SCOPE),
        *(part for name in ("sizes", "sent", "running") for part in _picture(pictures, name)),
        *_others(results, pictures),
        *_growth(results, pictures),
        *_remarks(results),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def readme(results: Results, pictures: Sequence[str]) -> str:
    """Return the section of README."""
    scope = results["scopes"].get(SCOPE, {"ways": {}})
    rows = []
    for name in (way for way in WAYS if way in scope["ways"]):
        builds = (figures.seconds(results, SCOPE, name, x) for x in (COLD, SOURCE, TOOL))
        rows.append(
            [
                WAYS[name].title,
                *(_seconds(each) for each in builds),
                _size(figures.bytes_of(results, SCOPE, name, "size")),
                _size(figures.bytes_of(results, SCOPE, name, "packed")),
                _size(figures.sent(results, SCOPE, name, SOURCE)),
                _seconds(figures.middle(results, SCOPE, name, "answers")),
            ]
        )
    head = (
        "the default web project",
        "cold build",
        "source edit",
        "`[tool.*]` edit",
        "image",
        "packed",
        "pushed after a source edit",
        "run to first answer",
    )
    verdicts = goals.judge(results)
    met = len(verdicts) - goals.missed(verdicts)
    parts = [
        BEGIN,
        _about(results),
        table(head, rows),
        *(
            f"![{PICTURES[name]}](docs/benchmarks/{name}.svg)"
            for name in ("builds",)
            if name in pictures
        ),
        _kinds(results),
        f"{met} of {len(verdicts)} goals are met. [Benchmarks](docs/benchmarks.md) has all cases "
        "and what was left out; the ways are the Dockerfiles of `support/bench/peers`.",
        END,
    ]
    return "\n\n".join(part for part in parts if part)


def with_section(text: str, section: str) -> str:
    """Return README with another section between its two marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + section + after


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown, without columns that are empty."""
    lines = [list(row) for row in rows]
    kept = [0, *(i for i in range(1, len(head)) if any(row[i] for row in lines))]
    text = [
        [head[i] for i in kept],
        ["---"] * len(kept),
        *([row[i] for i in kept] for row in lines),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in text)


def _about(results: Results) -> str:
    machine = results["machine"]
    scope = results["scopes"].get(SCOPE, {})
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    dirty = " with changes" if results["commit"].endswith("-dirty") else ""
    commit = results["commit"].removesuffix("-dirty")
    quick = "a quick run" if results["mode"] == "quick" else "one run"
    base = scope.get("base", "")
    stand_in = ", a stand-in for the official image" if base.startswith("seedpod/") else ""
    return (
        f"Of {quick} of `nox -s bench` on {results['date']} at commit {commit}{dirty}, "
        f"{_rounds(scope)}: {machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory']}, {machine['system']}, kernel {machine['kernel']}, load average "
        f"{results['load']} at the beginning; {versions}; base image `{base}`{stand_in}."
    )


def _rounds(scope: Results) -> str:
    rounds = len(scope.get("rounds", []))
    if not rounds:
        return "a round that is not finished"
    return "one round" if rounds == 1 else f"medians of up to {rounds} rounds"


def _heading(title: str) -> str:
    return title[:1].upper() + title[1:]


def _verdict(verdict: Verdict) -> list[str]:
    word = verdict.word if verdict.met else f"**{verdict.word}**"
    return [verdict.title, verdict.own, verdict.other, verdict.limit, word]


def _builds(results: Results, scope: str) -> str:
    ways = [name for name in WAYS if name in results["scopes"].get(scope, {}).get("ways", {})]
    cases = [
        case
        for case in TITLES
        if any(figures.seconds(results, scope, name, case) is not None for name in ways)
    ]
    rows = (
        [
            WAYS[name].title,
            *(_spread(figures.rounds(results, scope, name, case)) for case in cases),
        ]
        for name in ways
    )
    head = ("seconds: median (least to most)", *(TITLES[case] for case in cases))
    return table(head, rows) if cases else ""


def _images(results: Results, scope: str) -> str:
    cases = (SOURCE, TOOL, VERSION, DEPENDENCY)
    rows = []
    for name in (way for way in WAYS if way in results["scopes"].get(scope, {}).get("ways", {})):
        memory = figures.middle(results, scope, name, "memory")
        rows.append(
            [
                WAYS[name].title,
                _size(figures.bytes_of(results, scope, name, "size")),
                _size(figures.bytes_of(results, scope, name, "packed")),
                *(_size(figures.sent(results, scope, name, case)) for case in cases),
                _seconds(figures.middle(results, scope, name, "answers")),
                _size(memory),
            ]
        )
    pushes = [f"push: {TITLES[case].partition(':')[0]}" for case in cases]
    return table(("way", "size", "packed", *pushes, "run to first answer", "idle memory"), rows)


def _others(results: Results, pictures: Sequence[str]) -> list[str]:
    names = [name for name in results["scopes"] if name != SCOPE]
    parts = ["## Other applications, bases and engines"] if names else []
    parts += _picture(pictures, "applications")
    for name in names:
        scope = results["scopes"][name]
        parts += [
            f"### {_heading(scope['title'])}",
            f"{scope.get('packages', 0)} locked packages, `{scope.get('base', '')}`, "
            f"Docker {scope.get('engine', '')}, {_rounds(scope)}.",
            _builds(results, name),
            _images(results, name),
        ]
    kinds = _kinds(results)
    return [*parts, "## Sizes of Seedpod's images", kinds] if kinds else parts


def _kinds(results: Results) -> str:
    """Return a table of what kinds of project come to on which base, with both runtimes."""
    rows = []
    scopes = {"web-local": results["scopes"].get(SCOPE, {})}
    scopes["web-alpine"] = results["scopes"].get("alpine", {})
    scopes["cli-local"] = results["scopes"].get("cli", {})
    for name, found in {**scopes, **results["sizes"]}.items():
        kind, layout = name.split("-")
        for way in ("seedpod", "seedpod-full"):
            size = found.get("ways", {}).get(way, {})
            if "size" in size:
                title = f"{kind}, {WAYS[way].runtime}"
                rows.append([title, LAYOUTS[layout], _size(size["size"]), _size(size["packed"])])
    return table(("image", "base", "size", "packed"), rows) if rows else ""


def _growth(results: Results, pictures: Sequence[str]) -> list[str]:
    parts_of = results["growth"].values()
    growth = [series for part in parts_of for series in part if series["lines"]]
    parts = ["## Cost as work grows"] if growth else []
    parts += _picture(pictures, "growth")
    for series in growth:
        lines = {title: dict(points) for title, points in series["lines"].items()}
        rows = [
            [f"{x:g}", *(_number(line.get(x)) for line in lines.values())]
            for x in sorted({x for line in lines.values() for x in line})
        ]
        parts += [
            f"### {series['name']}",
            " ".join(filter(None, (f"In {series['of']}.", slopes(series)))),
            table((series["unit"], *lines), rows),
        ]
    return parts


def _remarks(results: Results) -> list[str]:
    scope = results["scopes"].get(SCOPE, {})
    unlike = sorted(
        {x for each in results["scopes"].values() for x in each.get("locked_otherwise", [])}
    )
    lines = [
        "Every way has the same base image, application and locked versions"
        + (f", but for {', '.join(unlike)}." if unlike else "."),
        f"The web application has {scope.get('packages', 0)} locked packages.",
        "*uv given* means that uv's program comes from a local image in place of the one that "
        "its makers publish, made beforehand and not timed; so do the fat image and the "
        "distroless one.",
        "*cold* is with empty cache mounts, by a name of their own, so that every package is "
        "downloaded; the base image is there. Where an environment comes out the same, the engine "
        "may still know the layer that a COPY makes of it by its content.",
        "The order of the ways is drawn for each case and round, and is in the results.",
        *(f"{remark}." for remark in results["remarks"]),
        *(f"Failed: {each['place']}: {each['error']}" for each in results["failures"]),
        *(f"Left out: {each['place']}, {each['why']}." for each in results["left_out"]),
    ]
    return ["## Remarks", "\n".join(f"- {line}" for line in lines)]


def slopes(series: Results) -> str:
    """Return in words what one more of a quantity that grows costs, '' without two points."""
    of, unit = series["of"], series["unit"]
    one = unit.removesuffix("s") if unit in ("variants", "locked packages") else unit
    lines = {title: points for title, points in series["lines"].items() if len(points) > 1}
    words = (f"{slope(points):.3g} {of} with {title}" for title, points in lines.items())
    return f"Each further {one} costs {' and '.join(words)}." if lines else ""


def slope(points: Sequence[Sequence[float]]) -> float:
    """Return by how much a line through points rises for one unit, by least squares."""
    xs, ys = zip(*points, strict=True)
    return float(linear_regression(xs, ys).slope)


def _spread(times: Sequence[float]) -> str:
    """Return the median of some seconds, with the least and the most where there are several."""
    if len(times) < 2:
        return "".join(map("{:.2f}".format, times))
    return f"{median(times):.2f} ({min(times):.2f} to {max(times):.2f})"


def _picture(pictures: Sequence[str], name: str) -> list[str]:
    return [f"![{PICTURES[name]}](benchmarks/{name}.svg)"] if name in pictures else []


def _optional(form: Callable[[float], str]) -> Callable[[float | None], str]:
    return lambda figure: "" if figure is None else form(figure)


def _show_size(size: float) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"


_seconds = _optional("{:.2f} s".format)
_number = _optional("{:.2f}".format)
_size = _optional(_show_size)


def pictures_in(folder: Path) -> list[str]:
    """Return the names of the plots in a folder, in the order of the page."""
    return [name for name in PICTURES if (folder / f"{name}.svg").exists()]
