"""The page of runs side by side."""

from support.html_pages import Page
from support.run_folders import write_run
from utils.runs.comparison.page import charts, write_page
from utils.runs.comparison.run_folder import read_run


def test_curves_of_all_runs_with_intervals_at_the_best_epoch(tmp_path):
    runs = [read_run(write_run(tmp_path / name, aps=aps)) for name, aps in (("a", (0.1, 0.3, 0.2)), ("b", (0.2,)))]
    made = charts(["a", "b"], runs, [{"ap": (0.3, 0.2, 0.4)}, {}])
    assert [chart.title for chart in made] == ["AP", "AP50", "Training loss", "Validation loss", "Learning rate"]
    curve, span, single = made[0].lines
    assert curve.style == "split0 dash0" and span.style == "split0 dash0 span" and single.style.endswith(" single")
    points = [tuple(map(float, point.split())) for point in curve.path[1:].split("L")]
    low, high = (tuple(map(float, point.split())) for point in span.path[1:].split("L"))
    assert low[0] == high[0] == points[1][0] and high[1] < points[1][1] < low[1]  # y grows downwards
    assert (low[1] - points[1][1]) - (points[1][1] - high[1]) < 0.2


def test_seventeen_runs_have_styles_of_their_own_but_for_the_last(tmp_path):
    runs = [read_run(write_run(tmp_path / str(number), aps=(0.1, 0.2))) for number in range(17)]
    styles = [line.style for line in charts(list(map(str, range(17))), runs, [{}] * 17)[0].lines]
    assert len(set(styles)) == 16


def test_the_page_has_no_script_and_asks_no_network(tmp_path):
    runs = [read_run(write_run(tmp_path / "a"))] * 2
    path = tmp_path / "comparison.html"
    rows = [("AP", ["<i>", "2"])]
    write_page(path, ["a", "b"], runs, [{}, {}], results=rows, settings=[], verdicts=["a is <better>"])
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert "a is <better>" in page.text and "<i>" in page.text and "None." in page.text
    assert "http" not in text.replace("http-equiv", "") and not page.all("script")
    assert all(svg.get("aria-label") or svg.get("aria-hidden") for svg in page.all("svg"))
