"""The files of an evaluation."""

import json
from pathlib import Path

import yaml

from utils.evaluation.verdict.numbers import Evaluation
from utils.evaluation.verdict.source import Source
from utils.files import write_text_atomically

EVALUATION_FILE, THRESHOLDS_FILE = "evaluation.json", "thresholds.yaml"
COCO_FILES = ("predictions.json", "ground_truth.json")
FILES = (EVALUATION_FILE, THRESHOLDS_FILE, *COCO_FILES)


def write_evaluation(folder: Path, evaluation: Evaluation, source: Source) -> list[str]:
    """Write the files of an evaluation; returns their names."""
    names = [EVALUATION_FILE, THRESHOLDS_FILE]
    write_text_atomically(folder / EVALUATION_FILE, json.dumps(evaluation.numbers, ensure_ascii=False, indent=1))
    text = yaml.safe_dump(evaluation.numbers["thresholds"], allow_unicode=True, sort_keys=False)
    write_text_atomically(folder / THRESHOLDS_FILE, text)
    for name, content in zip(COCO_FILES, (source.results, source.ground_truth), strict=True):
        if content is not None:
            write_text_atomically(folder / name, json.dumps(content, ensure_ascii=False))
            names.append(name)
    return names
