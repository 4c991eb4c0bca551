"""Settings from the command line."""

from pathlib import Path

import pytest

from utils.cli.inference_args import video_arguments
from utils.cli.train_args import training_settings
from utils.errors import ConfigError

CONFIG = ("--config", "data_configs/ppe.yaml")


def test_the_commands_as_they_are_typed(capsys):
    settings = training_settings(
        "--model fasterrcnn_resnet50_fpn_v2 --config data_configs/ppe.yaml --epochs 50 "
        "--project-name fasterrcnn_resnet50_fpn_v2_ppe --use-train-aug --no-mosaic /".split()
    )
    assert (settings.model, settings.epochs, settings.use_train_aug, settings.no_mosaic) == (
        "fasterrcnn_resnet50_fpn_v2",
        50,
        True,
        True,
    )
    assert settings.config == Path("data_configs/ppe.yaml") and settings.schedule == "multistep"
    assert "'/'" in capsys.readouterr().err
    args = video_arguments(
        "--weights outputs/training/fasterrcnn_resnet50_fpn_v2_ppe/best_model.pth "
        "--input data/inference_data/video_1.mp4 --show-image --threshold 0.9".split()
    )
    assert args.show_image and args.threshold == 0.9 and args.input == "data/inference_data/video_1.mp4"


def test_short_and_other_spellings():
    short = "-m a -c b.yaml -d cpu -e 3 -j 2 -b 8 -ims 320 -pn n -vt -nm -uta -ca -w w.pth".split()
    other = (
        "--model a --data b.yaml --device cpu --epochs 3 --workers 2 --batch 8 --imgsz 320 --name n --vis-transformed "
        "--no-mosaic --use-train-aug --cosine-annealing --weights w.pth"
    ).split()
    assert training_settings(short) == training_settings(other)
    assert training_settings(short).schedule == "cosine"


def test_a_recipe_sets_defaults_and_flags_win():
    settings = training_settings([*CONFIG, "--recipe", "v2-paper"])
    assert (settings.epochs, settings.augment, settings.sync_bn, settings.weight_decay) == (400, ("lsj",), True, 4e-5)
    settings = training_settings(
        [*CONFIG, "--recipe", "v2-paper", "--epochs", "3", "--no-sync-bn", "--augment", "mixup"]
    )
    assert (settings.epochs, settings.augment, settings.sync_bn, settings.img_size) == (3, ("mixup",), False, 800)
    assert training_settings(CONFIG).augment == ("mosaic",)
    assert training_settings([*CONFIG, "-uta", "-nm"]).augment == ("train",)
    assert training_settings([*CONFIG, "--augment", "copy-paste", "mosaic", "-nm"]).augment == ("copy-paste",)
    assert training_settings([*CONFIG, "--ema"]).ema == 0.999 and training_settings(CONFIG).ema is None


def test_the_last_word_on_the_schedule_counts():
    assert training_settings([*CONFIG, "-ca", "--schedule", "constant"]).schedule == "constant"


def test_a_resumed_run_keeps_its_arguments_and_the_command_line_wins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "outputs" / "training" / "first"
    run.mkdir(parents=True)
    (run / "args.yaml").write_text(
        "config: mine.yaml\nepochs: 40\nlr: 0.005\nschedule: cosine\nweights: start.pth\nseed: 3\nunknown: 1\n"
    )
    settings = training_settings(["-r", "-pn", "first", "--epochs", "60"])
    assert (settings.config, settings.epochs, settings.lr, settings.schedule, settings.seed) == (
        Path("mine.yaml"),
        60,
        0.005,
        "cosine",
        3,
    )
    assert settings.weights is None
    (run / "args.yaml").write_text("- 1\n")
    with pytest.raises(ConfigError, match=r"args\.yaml: expected keys"):
        training_settings(["-r", "-pn", "first"])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "--config: which dataset"),
        ((*CONFIG, "-r"), "--resume-training takes"),
        (("-r",), "work:\\n  --resume-training takes"),
        (("-r", "-pn", "nowhere"), "there is no run at outputs.training.nowhere; outputs.training has"),
        ((*CONFIG, "--epochs", "3", "--close-mosaic", "3"), "leaves none of 3 epochs: --no-mosaic"),
        ((*CONFIG, "-r", "-pn", "a", "--exist-ok"), "--exist-ok starts one over"),
        ((*CONFIG, "--augment", "mosiac"), "'mosiac' is unknown .did you mean mosaic"),
        ((*CONFIG, "--augment", "lsj", "multi-scale"), "lsj and multi-scale contradict each other"),
        ((*CONFIG, "--find-lr", "--find-batch-size"), "one after the other"),
        ((*CONFIG, "-r", "-pn", "a", "--find-lr"), "leave --resume-training out"),
        ((*CONFIG, "-w", "a.pth", "--pretrained", "coco"), "leave --pretrained out"),
        ((*CONFIG, "-w", "a.pth", "--backbone-weights", "b.pth"), "leave --backbone-weights out"),
        ((*CONFIG, "--backbone-weights", "b.pth", "--pretrained", "imagenet"), "leave --pretrained out"),
    ],
)
def test_what_contradicts_itself_is_reported(arguments, expected):
    with pytest.raises(ConfigError, match=expected):
        training_settings(arguments)


@pytest.mark.parametrize("part", (["--end", "0"], ["--start", "3", "--end", "3"]))
def test_a_part_of_a_video_without_any_time(part):
    with pytest.raises(ConfigError, match="nothing lies between them"):
        video_arguments(["-i", "a.mp4", *part])


@pytest.mark.parametrize("wrong", ("--epochs 0", "--lr nan", "--lr 0", "--img-size 12", "--seed -1", "--batch 1.5"))
def test_numbers_out_of_range(wrong, capsys):
    with pytest.raises(SystemExit):
        training_settings([*CONFIG, *wrong.split()])
    assert "expected a" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--bach-size 4", "unknown arguments: --bach-size (did you mean --batch-size?) 4"),
        ("--augmnet=train", "--augmnet=train (did you mean --augment?)"),
        ("--xyzzy", "unknown arguments: --xyzzy ("),
    ],
)
def test_a_mistyped_flag_gets_a_suggestion(capsys, words, message):
    with pytest.raises(SystemExit) as ended:
        training_settings(["--config", "data_configs/ppe.yaml", *words.split()])
    error = capsys.readouterr().err
    assert ended.value.code == 2 and message in error
    assert error.startswith("error: ") and error.count("\n") == 1 and "--help lists the arguments" in error
