"""File names that are no UTF-8, through every format: kept where the format can, reported where it cannot."""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from convert_dataset import arguments, main
from support.clean_sets import write_clean_set
from support.paths import ROOT
from utils.checks.repair import repair
from utils.config.config import load_config
from utils.dataset.scan import scan_splits
from utils.dataset.writer import write_dataset
from utils.files import write_text_atomically
from utils.formats.formats import FORMATS
from utils.formats.voc.writer import escape_note, escaped
from utils.runs.console import attach_log_file, setup_logging

ODD = "gr\udcfcn \udcff"  # as Python has the bytes FC and FF

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="file names that are no UTF-8")


@pytest.fixture
def odd_set(tmp_path):
    yaml = write_clean_set(tmp_path / "set")
    for suffix in (".jpg", ".xml"):
        (tmp_path / "set" / "train" / f"a0{suffix}").rename(tmp_path / "set" / "train" / f"{ODD}{suffix}")
    return yaml


def names_of(yaml):
    scans = scan_splits(load_config(yaml), progress=False)
    assert not any(scan.errors for scan in scans.values())
    return sorted(a.image_path.name for scan in scans.values() for a in scan.annotations)


@pytest.mark.parametrize("kind", list(FORMATS))
def test_a_converted_copy_reads_back_with_the_same_names(odd_set, tmp_path, kind, capsys, monkeypatch):
    monkeypatch.setattr("convert_dataset.Signals", lambda: None)  # the handlers of this process stay
    out = tmp_path / kind
    assert main(arguments(["--config", str(odd_set), "--to", kind, "--output", str(out)])) == 0
    assert names_of(out / "dataset.yaml") == names_of(odd_set) and f"{ODD}.jpg" in names_of(odd_set)
    message = r"gr\udcfcn \udcff.jpg: not UTF-8" in capsys.readouterr().err
    assert message == (kind == "voc")
    assert not [path for path in out.rglob("*.*") if b"?" in path.read_bytes() and path.suffix in (".xml", ".json")]
    # and from that copy once more
    scans = scan_splits(load_config(out / "dataset.yaml"), progress=False)
    parts = {split: scan.annotations for split, scan in scans.items()}
    again = write_dataset(tmp_path / "again", parts, ("", "Mask", "Gloves"), "coco", progress=False)
    assert names_of(again) == names_of(odd_set)


def test_a_repaired_copy_has_the_same_names(odd_set, tmp_path):
    config = load_config(odd_set)
    lines = repair(config, scan_splits(config, progress=False), tmp_path / "fixed", progress=False)
    assert names_of(tmp_path / "fixed" / "dataset.yaml") == names_of(odd_set)
    assert [line for line in lines if "not UTF-8" in line]
    assert r"gr\udcfcn \udcff.jpg" in (tmp_path / "fixed" / "repairs.txt").read_text(encoding="utf-8")
    path = tmp_path / "fixed" / "train" / f"{ODD}.xml"
    assert ElementTree.parse(path).findtext("filename") == r"gr\udcfcn \udcff.jpg"


def test_the_check_reports_names_as_they_are(odd_set, tmp_path):
    (tmp_path / "set" / "train" / f"{ODD}.jpg").write_bytes(b"no image")
    words = [sys.executable, str(ROOT / "check_dataset.py"), "--config", str(odd_set), "-o", str(tmp_path / "report")]
    environment = os.environ | {"LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [*words, "--fix-to", str(tmp_path / "fixed")], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr and r"gr\udcfcn \udcff.jpg" in done.stdout
    findings = json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))["findings"]
    assert Path(findings[0]["image"]).read_bytes() == b"no image"
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert r"gr\xfcn" in page or r"gr\udcfcn" in page
    assert f"{ODD}.jpg" not in names_of(tmp_path / "fixed" / "dataset.yaml")


def test_logs_and_settings_take_any_name(tmp_path):
    log = setup_logging()
    attach_log_file(log, tmp_path / "train.log")
    log.info(f"{ODD}.jpg: damaged")
    for handler in list(log.handlers):
        handler.close()
        log.removeHandler(handler)
    assert r"gr\udcfcn \udcff.jpg: damaged" in (tmp_path / "train.log").read_text(encoding="utf-8")
    write_text_atomically(tmp_path / "a.json", json.dumps([ODD, "größe"], ensure_ascii=False))
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == [ODD, "größe"]


def test_what_xml_cannot_hold_is_escaped_and_nothing_else():
    plain = "größe 帽 🪖 \xa0\t\n"
    assert escaped(plain) == plain and escape_note([plain], "XML") == []
    assert escaped("a\x1b\x00\ufffe\udcfc") == r"a\x1b\x00\ufffe\udcfc"
    assert "and 1 more" in escape_note(["\x01", ODD, "a"], "XML")[0]
