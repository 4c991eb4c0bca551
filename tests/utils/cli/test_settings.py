"""Settings of a training: the same from flags and from Python, checked when they are made."""

from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path

import pytest
import yaml

from utils.cli.settings import MUST_AGREE, TrainSettings, disagreements
from utils.cli.train_args import training_settings
from utils.errors import ConfigError


def test_flags_and_python_give_the_same():
    assert training_settings(["--config", "a.yaml"]) == TrainSettings(config="a.yaml")
    typed = training_settings("--config a.yaml --recipe v2-paper -e 3 --img-size 96 -uta --ema 0.9".split())
    made = TrainSettings.of_recipe("v2-paper", config="a.yaml", epochs=3, img_size=96, use_train_aug=True, ema=0.9)
    assert typed == made and typed.augment == ("lsj", "train") and typed.clip_norm is None
    with pytest.raises(FrozenInstanceError):
        typed.epochs = 4


def test_a_file_of_settings_has_every_key_in_plain_types():
    settings = TrainSettings(config="a/b.yaml", weights=Path("w.pth"), augment=["mosaic", "mixup"])
    plain = settings.as_dict()
    assert yaml.safe_load(yaml.safe_dump(plain)) == plain
    assert (plain["config"], plain["augment"], plain["lr_steps"]) == ("a/b.yaml", ["mixup", "mosaic"], [0.7, 0.9])
    assert TrainSettings(**plain) == settings and set(plain) == {field.name for field in fields(settings)}


def test_all_faults_come_in_one_error():
    with pytest.raises(ConfigError) as caught:
        TrainSettings(epochs=2, close_mosaic=2, optimizer="adam", batch_size=0, augment=["mosiac"], amp="half")
    for words in ("--optimizer: expected one of sgd, adamw, got 'adam'", "--amp", "--batch-size", "2 epochs", "mosiac"):
        assert words in str(caught.value)
    with pytest.raises(ConfigError, match="unknown recipe 'paper': there are finetune, v2-paper"):
        TrainSettings.of_recipe("paper")


def test_a_resumed_run_is_compared_with_its_beginning():
    now = TrainSettings(resume_training=True, epochs=9, lr=0.5, ema=0.9, global_batch=4)
    begun = now.begun_with({"epochs": 3, "ema": 0.5, "img_size": 320, "model": "m", "augment": ["lsj"], "unknown": 1})
    filled = now.filled_from(begun)
    assert (filled.img_size, filled.model, filled.ema, filled.epochs, filled.augment) == (320, "m", 0.9, 9, ("mosaic",))
    assert disagreements(begun, filled) == ["--ema: the run has 0.5, here it is 0.9"]
    assert disagreements(begun, replace(filled, ema=0.5)) == []
    for key in MUST_AGREE:  # what an older version did not write cannot differ
        assert getattr(now.begun_with({}), key) == getattr(now, key)
