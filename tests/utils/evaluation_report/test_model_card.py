"""The model card: what it says, that names cannot change how it reads, and that it does without any part."""

import re

from support.report_data import HOSTILE, random_evaluation
from utils.evaluation_report.model_card import text, write_model_card


def card_of(data, folder) -> str:
    write_model_card(folder / "MODEL_CARD.md", data)
    return (folder / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_the_whole_card(tmp_path):
    data = random_evaluation(tmp_path)
    card = card_of(data, tmp_path)
    assert re.findall("^## (.*)$", card, re.MULTILINE) == [
        *("Results", "Threshold", "Data", "Limits", "How to use it", "Made with")
    ]
    for line in (
        "- Model: fasterrcnn\\_resnet50\\_fpn\\_v2",
        "- Scored on: val, 4 images",
        "- It finds 8 of 10 objects.",
        "| AP | 0.45 | 0.38–0.52 | over ten overlaps |",
        "| AR | – | – |  |",
        "| cat | 3 | 0.40 (0.30–0.50) | – | – | – |",
        "Confidence threshold 0.50: there F1 is highest.",
        "- Made for indoor images.",
        "- val: 4 images, 1a2b",
    ):
        assert line in card.splitlines()
    assert len(card.splitlines()) < 90


def test_names_are_shown_as_they_are(tmp_path):
    data = random_evaluation(tmp_path, class_names=("a|b", HOSTILE, "# [x](y)\n\n## z", "`code`"))
    card = card_of(data, tmp_path)
    outside = re.sub(r"```bash\n.*?\n```", "", card, flags=re.DOTALL)
    assert not re.search(r"(?<!\\)[<>]", outside) and "\\<script\\>" in outside
    assert "\n## z" not in card and "| a\\|b |" in card and "\u2028" not in outside
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in outside.splitlines() if line.startswith("| a\\|b")}
    assert widths <= {5, 7}
    assert text("a\r\nb\x00c") == "a b c"


def test_a_fence_is_longer_than_the_backticks_in_a_command(tmp_path):
    card = card_of({"commands": [{"purpose": "Use it:", "command": "echo '````'"}]}, tmp_path)
    assert "`````bash\necho '````'\n`````" in card


def test_parts_without_data_are_absent(tmp_path):
    assert card_of({}, tmp_path) == "# Model\n"
    assert card_of({"title": "run", "verdict": ["Good."]}, tmp_path) == "# run\n\n## Results\n\n- Good.\n"
