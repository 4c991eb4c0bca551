"""The report in a headless Chromium: what the slider, the filters and the keys change is seen, and is right."""

import numpy as np
import pytest

from support.browser import BROWSER, DRIVER, Browser
from support.report_data import HOSTILE, random_evaluation
from utils.evaluation_report.report import write_report
from utils.evaluation_report.view import counts_at

pytestmark = pytest.mark.skipif(not (DRIVER and BROWSER), reason="needs chromium and chromedriver")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return random_evaluation(tmp_path_factory.mktemp("images"), images=8, class_names=("cat", HOSTILE, "bird"))


@pytest.fixture(scope="module")
def page(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("report")
    write_report(folder / "report.html", data)
    with Browser(folder / "profile") as browser:
        browser.report = folder / "report.html"
        yield browser


@pytest.fixture(autouse=True)
def fresh(page):
    """Show the page anew, and expect it to have no errors at the end."""
    page.open(page.report)
    yield
    assert page.errors() == []


def text(page, id_: str) -> str:
    return page.run("return document.getElementById(arguments[0]).textContent", id_)


def slide(page, threshold: float) -> None:
    """Move the slider from 0 or 1, as a keyboard does: a step of 0.01 a key."""
    page.run("document.getElementById('threshold').focus()")
    steps = round(threshold * 100)
    page.press(*(["home", *["right"] * steps] if steps <= 50 else ["end", *["left"] * (100 - steps)]))


def boxes(page) -> dict[str, int]:
    """Count the boxes that are seen, by what they are."""
    return page.run("""
        const counts = { correct: 0, wrong: 0, missed: 0, annotated: 0 };
        for (const box of document.querySelectorAll("figure[data-image]:not([hidden]) .box")) {
          const area = box.getBoundingClientRect(), style = getComputedStyle(box);
          if (area.width && style.visibility === "visible") counts[box.classList[1]] += 1;
        }
        return counts;""")


def expected_boxes(data, threshold: float, *, label: int = 0, kinds=None) -> dict[str, int]:
    counts = {"correct": 0, "wrong": 0, "missed": 0, "annotated": 0}
    for image in data["gallery"]:
        for one in image["detections"]:
            if one["score"] >= threshold and label in (0, one["label"]) and (kinds is None or one["kind"] in kinds):
                counts["correct" if one["kind"] == "correct" else "wrong"] += 1
        for one in image["objects"]:
            if (one["found"] is None or one["found"] < threshold) and label in (0, one["label"]):
                counts["missed"] += kinds is None or "missed" in kinds
    return counts


def percent(part: int, whole: int) -> str:
    return f"{int(100 * part / whole + 0.5)} %" if whole else "–"


def expected_numbers(data, threshold: float, label: int = 0) -> tuple[str, str]:
    curve = data["curves"][label]
    right, wrong = counts_at(curve, threshold)
    return percent(right, right + wrong), percent(right, curve["objects"])


def matrix(page) -> np.ndarray:
    """Return the confusion matrix as shown, background last."""
    return np.array(
        page.run("""
        return [...document.getElementById("matrix").tBodies[0].rows].map(
          (row) => [...row.cells].slice(1).map((cell) => Number(cell.textContent)));""")
    )


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.8, 1.0])
def test_the_slider_moves_numbers_matrix_and_boxes(page, data, threshold):
    slide(page, threshold)
    assert text(page, "threshold-value") == f"{threshold:.2f}"
    assert (text(page, "precision"), text(page, "recall")) == expected_numbers(data, threshold)
    assert f"precision {text(page, 'precision')}" in text(page, "summary")
    assert boxes(page) == expected_boxes(data, threshold)
    given = data["confusion"]
    nearest = int(np.abs(np.array(given["thresholds"]) - threshold).argmin())
    order = [1, 2, 3, 0]
    assert (matrix(page) == np.array(given["counts"][nearest])[np.ix_(order, order)]).all()
    assert text(page, "confusion-threshold") == f"{given['thresholds'][nearest]:.2f}"
    cells = page.run("return [...document.querySelectorAll('#points tbody tr')].map((row) => row.cells[4].textContent)")
    assert cells == [expected_numbers(data, threshold, label)[0] for label in range(4)]


def test_the_dot_moves_along_the_curve(page, data):
    places = []
    for threshold in (0.2, 0.8):
        slide(page, threshold)
        right, wrong = counts_at(data["curves"][0], threshold)
        x, y = page.run(
            "const dot = document.querySelector('#pr-chart circle.chosen');"
            "return [+dot.getAttribute('cx'), +dot.getAttribute('cy')]"
        )
        assert x == pytest.approx(46 + 380 * right / data["curves"][0]["objects"], abs=0.06)
        assert y == pytest.approx(258 - 244 * right / (right + wrong), abs=0.06)
        places.append((x, y))
    assert places[0] != places[1]


def test_the_values_of_the_start_come_back(page, data):
    before = text(page, "summary"), boxes(page)
    slide(page, 0.9)
    assert (text(page, "summary"), boxes(page)) != before
    page.run("document.getElementById('reset').click()")
    assert (text(page, "summary"), boxes(page)) == before


def test_a_class_alone(page, data):
    for label in (1, 2, 3):
        page.run(
            "const all = document.getElementById('class'); all.value = arguments[0];"
            "all.dispatchEvent(new Event('change'))",
            str(label),
        )
        assert boxes(page) == expected_boxes(data, 0.5, label=label)
        assert (text(page, "precision"), text(page, "recall")) == expected_numbers(data, 0.5, label)
        assert data["class_names"][label - 1] in text(page, "summary")
        hidden = page.run("return [...document.querySelectorAll('figure[data-image]')].map((one) => one.hidden)")
        for image, is_hidden in zip(data["gallery"], hidden, strict=True):
            assert is_hidden == (sum(expected_boxes({"gallery": [image]}, 0.5, label=label).values()) == 0)


@pytest.mark.parametrize("kinds", [("missed",), ("localisation",), ("correct", "duplicate"), ()])
def test_kinds_of_errors_alone(page, data, kinds):
    page.run(
        "for (const one of document.querySelectorAll('.filters input:checked'))"
        " if (!arguments[0].includes(one.value)) one.click();",
        list(kinds),
    )
    assert boxes(page) == expected_boxes(data, 0.5, kinds=kinds)
    total = sum(expected_boxes(data, 0.5, kinds=kinds).values())
    assert (text(page, "gallery-summary").startswith("0 of 8 images")) == (total == 0)


def test_annotated_boxes_are_shown_when_asked_for(page, data):
    page.run("document.querySelector('.filters input[value=annotated]').click()")
    shown = boxes(page)
    assert shown["annotated"] + shown["missed"] == sum(len(image["objects"]) for image in data["gallery"])


def test_arrow_keys_go_through_the_boxes_of_an_image(page, data):
    assert page.run(
        "const one = document.querySelector('figure[data-image] .canvas svg'); one.focus();"
        "return document.activeElement === one && getComputedStyle(one).outlineStyle !== 'none'"
    )
    count = page.run("return document.querySelectorAll('figure[data-image=\"0\"] .box').length")
    said = []
    for _ in range(count):
        page.press("right")
        said.append(page.run("return document.querySelector('figure[data-image=\"0\"] .about').textContent"))
        assert page.run("return document.querySelector('.tip').textContent") == said[-1]
    shown = [one for one in data["gallery"][0]["detections"] if one["score"] >= 0.5 and one["kind"] != "ignored"]
    for one in shown:
        assert any(s.startswith(f"{data['class_names'][one['label'] - 1]} {one['score']:.2f}: ") for s in said)
    page.press("escape")
    assert page.run("return document.querySelector('figure[data-image=\"0\"] .about').textContent") == ""
    width = "return document.querySelector('figure[data-image=\"0\"]').getBoundingClientRect().width"
    before = page.run(width)
    page.press("enter")
    assert page.run(width) > before
    assert (
        page.run("return document.querySelector('figure[data-image=\"0\"] .enlarge').getAttribute('aria-pressed')")
        == "true"
    )


def test_the_pointer_on_a_box_shows_its_class_and_score(page, data):
    x, y = page.run("""
        const box = [...document.querySelectorAll("figure[data-image] .box")].at(-1);
        box.scrollIntoView({ block: "center", behavior: "instant" });
        const area = box.getBoundingClientRect();
        return [area.x + area.width / 2, area.y + area.height / 2];""")
    page.point_at(x, y)
    tip = page.run("return document.querySelector('.tip').textContent")
    assert tip and any(tip.startswith(name) for name in data["class_names"])


def test_every_control_is_reached_by_tab_and_has_a_name(page):
    page.run("document.activeElement.blur()")
    seen = []
    for _ in range(22):
        page.press("tab")
        seen.append(page.run("const at = document.activeElement; return at.id || at.className || at.tagName"))
    assert {"threshold", "reset", "class"} <= set(seen)
    tree = page.devtools("Accessibility.getFullAXTree")["nodes"]
    roles = {"slider", "button", "combobox", "checkbox", "image", "link", "MenuListPopup"} - {"MenuListPopup"}
    nameless = [
        n["role"]["value"]
        for n in tree
        if n.get("role", {}).get("value") in roles and not n.get("ignored") and not n.get("name", {}).get("value")
    ]
    assert nameless == []


@pytest.mark.parametrize(("scheme", "bright"), [("light", True), ("dark", False)])
def test_colours_follow_the_readers_scheme(page, scheme, bright):
    page.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    colour = page.run("return getComputedStyle(document.body).backgroundColor")
    assert (int(colour.split("(")[1].split(",")[0]) > 128) == bright


@pytest.mark.parametrize("width", [390, 768])
def test_nothing_is_wider_than_a_small_screen(page, width):
    page.devtools("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=True)
    try:
        page.open(page.report)
        assert page.run("return document.documentElement.scrollWidth") <= width
        assert page.run("return document.querySelector('.controls').getBoundingClientRect().height") < 240
    finally:
        page.devtools("Emulation.clearDeviceMetricsOverride")


def test_names_run_nothing_and_nothing_is_loaded(page):
    assert page.run("return document.title").startswith("run </script>")
    assert page.run("return document.scripts.length") == 2
    loaded = (
        "return performance.getEntriesByType('resource').map((one) => one.name).filter((n) => !n.startsWith('data:'))"
    )
    assert page.run(loaded) == []


def test_a_page_of_nothing_but_numbers_has_no_errors(page, tmp_path, data):
    for kept in ((), ("gallery", "class_names"), ("curves", "class_names"), ("epochs",)):
        write_report(tmp_path / "part.html", {key: data[key] for key in kept})
        page.open(tmp_path / "part.html")
        assert page.run("return document.readyState") == "complete"


def test_the_page_opens_at_the_chosen_score_itself(page, tmp_path, data):
    score = next(s for s in data["curves"][0]["scores"] if s < 0.7 and round(s, 2) > s)
    write_report(tmp_path / "report.html", data | {"threshold": score})
    page.open(tmp_path / "report.html")
    assert (text(page, "precision"), text(page, "recall")) == expected_numbers(data, score)
    assert boxes(page) == expected_boxes(data, score)
    slide(page, 0.9)
    page.run("document.getElementById('reset').click()")
    assert boxes(page) == expected_boxes(data, score)
