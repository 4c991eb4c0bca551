"""The checkpoint that an export was made of, as export.json beside it says."""

import json
from pathlib import Path

REPORT = "export.json"


def read_report(folder: Path) -> dict | None:
    """Return the report of the exports in a folder; None where there is none of export.py's."""
    try:
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return report if isinstance(report, dict) and isinstance(report.get("exports"), dict) else None


def origin_of(path: Path) -> Path | None:
    """Return the checkpoint that an exported file was made of; None where nothing says it, or where it has gone.

    None, too, where a checkpoint of that name was written after the export: it may have other weights.
    """
    for entry in (path, path.absolute().parent):  # the folder, of an OpenVINO model
        for about in (read_report(entry.parent) or {"exports": {}})["exports"].values():
            if isinstance(about, dict) and about.get("file") == entry.name and isinstance(about.get("weights"), str):
                weights = Path(about["weights"])
                same = weights.is_file() and weights.stat().st_mtime_ns == about.get("weights_time_ns")
                return weights if same else None
    return None
