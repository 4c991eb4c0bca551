"""A .pt2 file is read only where it holds what export.py writes: nothing in it is run to find that out."""

import io
import json
import pickle
import zipfile

import pytest
import torch

from utils.errors import CheckpointError
from utils.exported.engines import open_engine
from utils.exported.pt2 import GRAPH, SAMPLE_INPUTS, read_pt2

GUARD = "(1 + (((-1) + L['images'].size()[3]) // 32)) != 1"
SIZE = "Add(Mul(Integer(32), Symbol('s89', positive=True, integer=True)), Integer(-1))"
CONFIG = {"config": {"a": {"path_name": "weight_0", "use_pickle": False}}}
RAN = []


class Bomb:
    """Anything whose loading runs code."""

    def __reduce__(self):
        return RAN.append, (1,)


def parts():
    graph = {"nodes": [{"target": "torch.ops.aten.add.Tensor", "size": {"expr_str": SIZE}}], "guards_code": [GUARD]}
    inputs = io.BytesIO()
    torch.save(((), {}), inputs)
    return {
        GRAPH: json.dumps(graph),
        SAMPLE_INPUTS: inputs.getvalue(),
        "data/weights/model_weights_config.json": json.dumps(CONFIG),
        "data/constants/model_constants_config.json": "{}",
        "data/weights/weight_0": b"1234",
        "extra/metadata.json": '{"toolkit_export": "1"}',
        "archive_format": "pt2",
        ".data/version": "3",
    }


def write(path, members):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(f"model/{name}", content)
    return path


def graph_with(**changes):
    return json.dumps({"nodes": [{"target": "torch.ops.aten.add.Tensor", "deep": [changes]}]})


def test_what_export_writes_is_read(tmp_path):
    file = read_pt2(write(tmp_path / "a.pt2", parts()))
    assert file.metadata == {"toolkit_export": "1"}
    assert zipfile.ZipFile(file.archive).read("model/data/weights/weight_0") == b"1234"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"extra/metadata.json": None}, "not from export.py"),
        ({"extra/metadata.json": "[1]"}, "expected a dict of texts"),
        ({"extra/metadata.json": "{"}, "not a readable model"),
        ({GRAPH: None}, f"lacks {GRAPH}"),
        ({SAMPLE_INPUTS: None}, f"lacks {SAMPLE_INPUTS}"),
        ({"data/aotinductor/model/x.so": b"code"}, "holds data/aotinductor/model/x.so"),
        ({"data/weights/model.pt": b"code"}, "holds data/weights/model.pt"),
        ({"data/constants/custom_obj_0": b"code"}, "holds data/constants/custom_obj_0"),
        ({"data/weights/model_weights_config.json": '{"a": {"use_pickle": true}}'}, "pickled objects"),
        ({GRAPH: graph_with(target="os.system")}, "has the operator os.system"),
        ({GRAPH: graph_with(target="torch.ops.aten.add.Tensor.__class__")}, "has the operator"),
        ({GRAPH: graph_with(expr_str="__import__('os').system('x')")}, "has the expression"),
        ({GRAPH: graph_with(guards_code=["L['images'].__class__"])}, "has the expression"),
        ({GRAPH: graph_with(guards_code=["exec('x')"])}, "has the expression"),
        ({GRAPH: graph_with(expr_str=7)}, "has the expression"),
    ],
)
def test_anything_else_is_refused_by_name(tmp_path, changes, message):
    members = {name: content for name, content in (parts() | changes).items() if content is not None}
    with pytest.raises(ValueError, match=message) as caught:
        read_pt2(write(tmp_path / "a.pt2", members))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


@pytest.mark.parametrize("content", [b"", b"PK", pickle.dumps(Bomb())])
def test_no_archive_is_one_line(tmp_path, content):
    (tmp_path / "a.pt2").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"a\.pt2: not a readable model") as caught:
        open_engine(tmp_path / "a.pt2")
    assert "\n" not in str(caught.value) and not RAN


def test_pickled_code_among_the_sample_inputs_does_not_run(tmp_path):
    from utils.exported.metadata import ExportMetadata

    about = ExportMetadata(
        model_name="x", class_names=["__background__", "a"], img_size=64, long_side=96, max_detections=9, lowest_score=0
    )
    inputs = io.BytesIO()
    torch.save(Bomb(), inputs)
    members = {SAMPLE_INPUTS: inputs.getvalue(), "extra/metadata.json": json.dumps(about.to_strings())}
    with pytest.raises(CheckpointError, match="not a readable model"):
        open_engine(write(tmp_path / "a.pt2", parts() | members))
    assert not RAN


def test_a_name_that_is_there_twice_is_refused(tmp_path):
    path = write(tmp_path / "a.pt2", parts())
    with zipfile.ZipFile(path, "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("model/archive_format", "pt2")
    with pytest.raises(ValueError, match="a name twice"):
        read_pt2(path)
