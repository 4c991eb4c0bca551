"""One HTML page of runs side by side: verdicts, curves, results and settings, without a script or a network."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from utils.evaluation_report.charts import Line, LineChart, line_chart
from utils.files import write_text_atomically
from utils.html.markup import STYLE, environment
from utils.runs.comparison.run_folder import RunFolder
from utils.runs.comparison.tables import Row, Span

FOLDER = Path(__file__).parent
HUES, DASHES = 4, 4  # of the style sheet; after 16 runs the lines begin again
# (title, key of an epoch's record, key of an interval), each chart from 0
CHARTS = (
    ("AP", "val/map_50_95", "ap"),
    ("AP50", "val/map_50", "ap_50"),
    ("Training loss", "train/loss", ""),
    ("Validation loss", "val/loss", ""),
    ("Learning rate", "lr", ""),
)


def write_page(
    path: Path,
    names: Sequence[str],
    runs: Sequence[RunFolder],
    intervals: Sequence[Mapping[str, Span]],
    *,
    results: Sequence[Row],
    settings: Sequence[Row],
    verdicts: Sequence[str],
) -> None:
    """Write the page; names may hold anything, and are escaped."""
    html = (
        environment(FOLDER)
        .get_template("page.html")
        .render(
            style=STYLE.read_text(encoding="utf-8") + (FOLDER / "page.css").read_text(encoding="utf-8"),
            names=names,
            styles=[_style(index) for index in range(len(names))],
            charts=charts(names, runs, intervals),
            results=results,
            settings=settings,
            verdicts=verdicts,
        )
    )
    write_text_atomically(path, html)


def charts(names: Sequence[str], runs: Sequence[RunFolder], intervals: Sequence[Mapping[str, Span]]) -> list[LineChart]:
    """Lay out a chart for each number that any run has, over the epochs; intervals stand at the best epochs."""
    last = max((record["epoch"] for run in runs for record in run.epochs), default=0)
    made = []
    for title, key, interval_key in CHARTS:
        lines = []
        for index, (name, run, found) in enumerate(zip(names, runs, intervals, strict=True)):
            points = [(record["epoch"], record[key]) for record in run.epochs if record.get(key, -1) != -1]
            if points:
                style = _style(index) + " single" * (len(points) == 1)
                lines.append(Line(name, points * 2 if len(points) == 1 else points, style, dots=len(points) <= 40))
            if points and interval_key in found and run.best.get("epoch"):
                value, low, high = found[interval_key]
                text = f"{name}, 95 % of {value:.3f}"
                lines.append(Line(text, [(run.best["epoch"], low), (run.best["epoch"], high)], f"{_style(index)} span"))
        if lines:
            label = f"{title} over the epochs of {len(lines)} runs; the table has the numbers of the best epochs"
            made.append(
                line_chart(title, lines, x_name="epoch", y_name=title, label=label, x_span=(1, last), y_span=None)
            )
    return made


def _style(index: int) -> str:
    return f"split{index % HUES} dash{index // HUES % DASHES}"
