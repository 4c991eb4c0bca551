"""Writes the report of an evaluation as one HTML page that needs no other file and no network."""

from itertools import chain
from pathlib import Path
from typing import Any

from markupsafe import Markup

from utils.evaluation_report import view
from utils.evaluation_report.data import ReportData
from utils.evaluation_report.images import embed_images
from utils.files import write_text_atomically
from utils.html.markup import STYLE, counted, environment, json_for_script, script_digest
from utils.images.pixel_range import PixelRange

FOLDER = Path(__file__).parent
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
MOST_IMAGES = 48  # of the gallery,
MOST_LABEL_ERRORS = 24  # and of the labels to look at
SECTIONS = {  # id -> name in the list of contents, and the part of the template that it needs
    "threshold-results": ("Threshold", "points"),
    "confusion": ("Confusions", "confusion"),
    "gallery": ("Images", "gallery"),
    "errors": ("Errors", "error_kinds"),
    "misses": ("Misses", "miss_tables"),
    "classes": ("Classes", "classes"),
    "labels": ("Labels", "label_errors"),
    "training": ("Training", "training_charts"),
    "dataset": ("Data", "dataset"),
    "repeat": ("Repeat", "commands"),
}


def write_report(path: Path, data: ReportData, *, pixel_range: PixelRange | None = None) -> None:
    """Write the report to `path`, whole or not at all. Parts that `data` lacks are left out.

    An image that cannot be shown has the reason in its place. `pixel_range` is that of the dataset, for images of more
    than 8 bits.

    Raises:
        OSError: `path` cannot be written.
    """
    write_text_atomically(Path(path), _page(data, pixel_range))


def _page(data: ReportData, pixel_range: PixelRange | None) -> str:
    gallery, suspects = data.get("gallery", [])[:MOST_IMAGES], data.get("label_errors", [])[:MOST_LABEL_ERRORS]
    images = embed_images([one["path"] for one in chain(gallery, suspects)], pixel_range=pixel_range)
    points, confusion = view.point_rows(data), view.confusion(data)
    script = (FOLDER / "report.js").read_text(encoding="utf-8")
    parts: dict[str, Any] = {
        "points": points,
        "confusion": confusion,
        "gallery": [
            {"name": one.get("name") or Path(one["path"]).name, "image": image}
            for one, image in zip(gallery, images, strict=False)
        ],
        "error_kinds": view.error_kinds(data),
        "score_bars": view.score_bars(data),
        "reliability": view.reliability(data.get("calibration")),
        "miss_tables": view.miss_tables(data),
        "miss_sentences": data.get("miss_sentences", []),
        "classes": view.class_table(data),
        "coco": [
            (view.COCO_NAMES.get(name, name), [view.number(value, 4)]) for name, value in data.get("coco", {}).items()
        ],
        "label_errors": _label_errors(suspects, images[len(gallery) :]),
        "label_rest": len(data.get("label_errors", [])) - len(suspects),
        "training_charts": view.training_charts(data),
        "dataset": [
            {
                "title": one["title"],
                "heads": one["heads"],
                "rows": [(row[0], ["–" if cell is None else cell for cell in row[1:]]) for row in one["rows"]],
            }
            for one in data.get("dataset", [])
        ],
        "settings": view.plain(data.get("settings")),
        "versions": view.plain(data.get("versions")),
        "git": view.plain(data.get("git")),
        "fingerprint": view.plain(data.get("fingerprint")),
        "commands": data.get("commands", []),
    }
    facts = {
        "model": data.get("model"),
        "split": data.get("split"),
        "images": counted(data["images"], "image") if "images" in data else None,
        "made": data.get("created"),
    }
    return (
        environment(FOLDER)
        .get_template("report.html")
        .render(
            title=data.get("title", "Evaluation"),
            policy=f"{POLICY}; script-src '{script_digest(script)}'",
            style=Markup(STYLE.read_text(encoding="utf-8") + (FOLDER / "report.css").read_text(encoding="utf-8")),
            script=Markup(script),
            page_data=json_for_script(_page_data(data, confusion)),
            facts={key: value for key, value in facts.items() if value},
            verdict=data.get("verdict", []),
            cautions=data.get("cautions", []),
            tiles=view.tiles(data.get("numbers", [])),
            contents={id_: name for id_, (name, part) in SECTIONS.items() if parts[part]},
            class_names=data.get("class_names", []),
            threshold=view.threshold_of(data),
            threshold_reason=data.get("threshold_reason", "").rstrip("."),
            iou=data.get("iou", 0.5),
            curve_charts=view.curve_charts(data),
            summary="",
            shown_kinds={"correct": "right", "missed": "missed"}
            | {kind: name.lower() for kind, (name, *_) in view.KINDS.items() if kind != "missed"},
            **parts,
        )
    )


def _label_errors(suspects: list, images: list) -> list[dict[str, Any]]:
    return [
        {
            "name": one.get("name") or Path(one["path"]).name,
            "kind": one.get("kind", ""),
            "text": one.get("text", ""),
            "image": image,
            "boxes": [
                (style, one[key]) for style, key in (("wrong", "box"), ("correct", "better_box")) if one.get(key)
            ],
        }
        for one, image in zip(suspects, images, strict=True)
    ]


def _page_data(data: ReportData, confusion: dict[str, Any] | None) -> dict[str, Any]:
    """Return what the page's script reads."""
    return {
        "names": ["all classes", *data.get("class_names", [])],
        "threshold": view.threshold_of(data),
        "kinds": {kind: text for kind, (_, _, text) in view.KINDS.items()},
        "curves": [
            {"label": c["label"] or 0} | {key: c[key] for key in ("objects", "scores", "tp", "fp")}  # type: ignore[literal-required]
            for c in data.get("curves", [])
        ],
        "confusion": {"thresholds": confusion["thresholds"], "counts": confusion["counts"]} if confusion else None,
        "gallery": [
            {
                "objects": [[*o["box"], o["label"], o["found"]] for o in one.get("objects", [])],
                "detections": [[*d["box"], d["label"], d["score"], d["kind"]] for d in one.get("detections", [])],
            }
            for one in data.get("gallery", [])[:MOST_IMAGES]
        ],
    }
