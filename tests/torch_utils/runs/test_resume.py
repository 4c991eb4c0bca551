"""A run that ended before its first checkpoint: the same command starts it again, and a resume says why it cannot."""

from pathlib import Path

import pytest
import torch

from torch_utils.runs.resume import open_run_dir, run_to_continue
from utils.cli.train_args import training_settings
from utils.errors import CheckpointError, ConfigError, ToolkitError

COMMAND = ["--config", "shapes.yaml", "--project-name", "first"]
RUN = Path("outputs/training/first")


@pytest.fixture(autouse=True)
def begun(tmp_path, monkeypatch) -> Path:
    """The folder as Ctrl-C leaves it while the first epoch is under way."""
    monkeypatch.chdir(tmp_path)
    RUN.mkdir(parents=True)
    settings = "project_name: first\nconfig: shapes.yaml\nrecipe: finetune\nimg_size: 640\n"
    for name, text in (("args.yaml", settings), ("train.log", "begun"), ("metrics.jsonl", "{}"), ("notes.txt", "mine")):
        (RUN / name).write_text(text)
    return RUN


def test_the_same_command_starts_over_and_keeps_the_users_files(begun, caplog):
    settings = training_settings(COMMAND)
    assert run_to_continue(settings) == (None, settings) and (begun / "train.log").exists()  # asked, not touched
    assert open_run_dir(settings, None, []) == begun
    assert {path.name for path in begun.iterdir()} - {".lock"} == {"notes.txt"}
    assert "ended before its first checkpoint; its files are replaced" in caplog.text


def test_resuming_it_is_refused_with_the_way_on(begun):
    with pytest.raises(ConfigError, match="ended before its first checkpoint. The same command without --resume"):
        run_to_continue(training_settings([*COMMAND, "--resume-training"]))
    with pytest.raises(CheckpointError, match=r"last_model\.pth: no such file"):
        run_to_continue(training_settings(["--config", "x", "-r", "--project-name", "never"]))


def test_a_folder_of_the_run_in_place_of_its_checkpoint_is_named(begun):
    torch.save({"a": torch.zeros(1)}, begun / "last_model.pth")
    with pytest.raises(ConfigError, match=r"first is a folder: to continue, give .*first/last_model\.pth"):
        training_settings(["-r", "--weights", str(begun)])


def test_a_checkpoint_blocks_and_what_it_advises_works(begun):
    (begun / "best_model.pth").write_bytes(b"x")
    with pytest.raises(ToolkitError, match="--weights .*best_model.pth starts a new run") as caught:
        run_to_continue(training_settings(COMMAND))
    assert "--resume-training" not in str(caught.value)
    (begun / "last_model.pth").write_bytes(b"x")
    with pytest.raises(ToolkitError, match="--resume-training continues it"):
        run_to_continue(training_settings(COMMAND))
    settings = training_settings([*COMMAND, "--exist-ok"])
    assert run_to_continue(settings) == (None, settings)
    open_run_dir(settings, None, [])
    assert not (begun / "last_model.pth").exists() and (begun / "notes.txt").exists()
