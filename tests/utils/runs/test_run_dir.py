import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from support.paths import ROOT
from utils.errors import ToolkitError
from utils.files import atomic_path, write_text_atomically
from utils.runs.run_dir import create_run_dir


def test_unnamed_runs_count_on_from_the_highest(tmp_path):
    root = tmp_path / "outputs" / "training"
    assert create_run_dir(root, None) == root / "res_1"
    (root / "res_7").mkdir()
    (root / "res_x").mkdir()
    (root / "res_9").write_text("a file takes its name too")
    assert create_run_dir(root, None) == root / "res_10"


def test_unnamed_runs_asked_for_at_once_get_a_folder_each(tmp_path):
    found, gate = [], threading.Barrier(8)

    def ask():
        gate.wait()
        found.extend(create_run_dir(tmp_path, None).name for _ in range(5))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(f"res_{n}" for n in range(1, 41))


SETTINGS = "project_name: first\nrecipe: finetune\nimg_size: 640\n"


@pytest.mark.parametrize(
    ("checkpoint", "advice", "not_advised"),
    [
        ("last_model.pth", "--resume-training continues it", "--weights"),
        ("best_model.pth", "--weights .*best_model.pth starts a new run", "--resume-training"),
        ("last_model_state.pth", "--weights .*last_model_state.pth starts a new run", "--resume-training"),
    ],
)
def test_a_folder_with_a_checkpoint_is_refused_and_left_alone(tmp_path, checkpoint, advice, not_advised):
    run_dir = create_run_dir(tmp_path, "first")
    assert create_run_dir(tmp_path, "first") == run_dir  # still empty
    for name, text in ((checkpoint, "weights"), ("args.yaml", SETTINGS), ("notes.txt", "mine")):
        (run_dir / name).write_text(text)
    with pytest.raises(ToolkitError, match=advice) as caught:
        create_run_dir(tmp_path, "first")
    for word in (str(run_dir), "--exist-ok", "--project-name"):
        assert word in str(caught.value)
    assert not_advised not in str(caught.value)
    assert {p.name for p in run_dir.iterdir()} >= {checkpoint, "args.yaml", "notes.txt"}


def test_a_folder_without_a_checkpoint_is_free_and_keeps_what_is_not_a_runs(tmp_path):
    """The files of a run that ended before its first checkpoint blocks nothing."""
    run_dir = create_run_dir(tmp_path, "first")
    for name, text in (("args.yaml", SETTINGS), ("train.log", "x"), ("labels.png", "x"), ("metrics.jsonl", "x")):
        (run_dir / name).write_text(text)
    (run_dir / "notes.txt").write_text("mine")
    (run_dir / "exported.onnx").write_text("mine")
    assert create_run_dir(tmp_path, "first") == run_dir
    assert {p.name for p in run_dir.iterdir()} - {".lock"} == {"notes.txt", "exported.onnx"}
    assert create_run_dir(tmp_path, "first") == run_dir  # the user's files alone block nothing either


@pytest.mark.parametrize("name", ["config.yaml", "args.yaml", "train.log", "map.png", "loss_mine.png"])
def test_the_users_files_under_a_runs_names_are_never_overwritten(tmp_path, name):
    """Nobody but a run writes args.yaml with all of its settings; without it the files are the user's."""
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / name).write_text("lr: 3\nCLASSES: [Mask]\n")
    with pytest.raises(ToolkitError, match=f"has {name}, which a run would overwrite"):
        create_run_dir(tmp_path, "first")
    assert (tmp_path / "first" / name).read_text() == "lr: 3\nCLASSES: [Mask]\n"


def test_two_processes_never_train_in_one_folder(tmp_path):
    code = (
        "import sys, pathlib; from utils.runs.run_dir import create_run_dir, lock_run_dir\n"
        "run = create_run_dir(pathlib.Path(sys.argv[1]), 'first'); (run / 'args.yaml').write_text(sys.argv[2])\n"
        "print(run, flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", code, str(tmp_path), SETTINGS]
    with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        run_dir = Path(other.stdout.readline().strip())
        for exist_ok in (False, True):
            with pytest.raises(ToolkitError, match="another process is training there"):
                create_run_dir(tmp_path, "first", exist_ok=exist_ok)
        assert (run_dir / "args.yaml").read_text() == SETTINGS
        other.kill()
        other.wait()
    assert create_run_dir(tmp_path, "first") == run_dir  # at once, however it ended


def test_exist_ok_removes_what_a_run_writes_and_nothing_else(tmp_path):
    run_dir = create_run_dir(tmp_path, "bccd/first")
    ours = ["args.yaml", "metrics.jsonl", "loss_rpn_box_reg.png", "train_batch_3.jpg", "best_model.pth"]
    ours.append(".map.0a1b.partial.png")  # of a killed run
    theirs = ["notes.txt", "exported.onnx", "figure.png", "sub/metrics.jsonl"]
    (run_dir / "sub").mkdir()
    (run_dir / "map.png").mkdir()  # a folder is never ours
    for name in (*ours, *theirs):
        (run_dir / name).write_text("x")
    assert create_run_dir(tmp_path, "bccd/first", exist_ok=True) == run_dir
    left = sorted(str(path.relative_to(run_dir)) for path in run_dir.rglob("*") if path.name != ".lock")
    assert left == sorted([*theirs, "sub", "map.png"])


@pytest.mark.parametrize("name", ["", ".", "..", "../out", "a/../../b", "/abs"])
def test_names_that_leave_the_root_are_refused(tmp_path, name):
    with pytest.raises(ToolkitError, match="cannot name a run"):
        create_run_dir(tmp_path / "root", name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["run", "run/inner", None])
def test_a_file_in_the_way_is_named(tmp_path, name):
    root = tmp_path if name else tmp_path / "run"
    (tmp_path / "run").write_text("a file")
    with pytest.raises(ToolkitError, match="run.* cannot be made"):
        create_run_dir(root, name)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_root_is_named(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(ToolkitError, match="cannot be made"):
            create_run_dir(tmp_path, "run")
    finally:
        tmp_path.chmod(0o700)


def test_atomic_path_replaces_on_success(tmp_path):
    path = tmp_path / "best.model.pth"
    path.write_text("old")
    with atomic_path(path) as partial:
        assert partial.parent == tmp_path and partial.suffix == ".pth"
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["best.model.pth"]


def test_atomic_path_keeps_the_old_file_on_failure(tmp_path):
    path = tmp_path / "model.pth"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_path(path) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["model.pth"]


def test_text_is_written_as_it_stands(tmp_path):
    write_text_atomically(tmp_path / "a.yaml", "größe: 1\nзначение: 2\n")
    assert (tmp_path / "a.yaml").read_bytes() == "größe: 1\nзначение: 2\n".encode()
