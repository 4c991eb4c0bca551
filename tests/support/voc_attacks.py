"""Writes VOC XML that is made to do harm, and gives the error that it causes."""

import re
import subprocess
import sys

import pytest

from support.paths import ROOT
from utils.config.config import load_config
from utils.dataset.scan import raise_for_errors, scan_split
from utils.errors import DatasetError
from utils.formats.voc.xml_file import read_voc_file

MAX_MESSAGE = 4_000


def put(path, document):
    path.write_bytes(document if isinstance(document, bytes) else document.encode())


def annotation_of(path):
    scan = scan_split(load_config(path.parent.parent / "set.yaml"), "val", progress=False)
    raise_for_errors({"val": scan})
    (annotation,) = scan.annotations
    return annotation


def error_of(path):
    """The message about a file, alone and as part of its dataset."""
    with pytest.raises(DatasetError) as error:
        read_voc_file(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ") and len(message) <= MAX_MESSAGE and message.isprintable(), message
    with pytest.raises(DatasetError, match=re.escape(message)):
        annotation_of(path)
    return message


def in_python(program, *arguments):
    """The lines that a program prints, which runs in a process of its own."""
    result = subprocess.run([sys.executable, "-c", program, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2_000:]
    return result.stdout.splitlines()
