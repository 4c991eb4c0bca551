"""The files of an evaluation."""

import json
from pathlib import Path

import yaml

from utils.evaluation.verdict.numbers import Evaluation
from utils.evaluation.verdict.source import Source
from utils.evaluation_report.data import ReportData
from utils.evaluation_report.model_card import write_model_card
from utils.evaluation_report.report import write_report
from utils.files import write_text_atomically
from utils.images.pixel_range import PixelRange

EVALUATION_FILE, THRESHOLDS_FILE = "evaluation.json", "thresholds.yaml"
REPORT_FILE, CARD_FILE = "report.html", "MODEL_CARD.md"
COCO_FILES = ("predictions.json", "ground_truth.json")
FILES = (REPORT_FILE, CARD_FILE, EVALUATION_FILE, THRESHOLDS_FILE, *COCO_FILES)


def write_evaluation(
    folder: Path, evaluation: Evaluation, source: Source, report: ReportData, *, pixel_range: PixelRange | None = None
) -> list[str]:
    """Write the files of an evaluation; returns their names."""
    names = [REPORT_FILE, CARD_FILE, EVALUATION_FILE, THRESHOLDS_FILE]
    write_report(folder / REPORT_FILE, report, pixel_range=pixel_range)
    write_model_card(folder / CARD_FILE, report)
    write_text_atomically(folder / EVALUATION_FILE, json.dumps(evaluation.numbers, ensure_ascii=False, indent=1))
    text = yaml.safe_dump(evaluation.numbers["thresholds"], allow_unicode=True, sort_keys=False)
    write_text_atomically(folder / THRESHOLDS_FILE, text)
    for name, content in zip(COCO_FILES, (source.results, source.ground_truth), strict=True):
        if content is not None:
            write_text_atomically(folder / name, json.dumps(content, ensure_ascii=False))
            names.append(name)
    return names
