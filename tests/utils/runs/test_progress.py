"""The progress of a run and its end: after ten steps, on a bar, and a line a minute without a terminal."""

import logging
from datetime import datetime

import pytest

from utils.runs.progress import RunProgress, duration_text, end_text


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def run(clock, progress, *, epochs, steps, step_s, between_s, begin=1):
    for epoch in range(begin, epochs + 1):
        progress.begin_epoch(epoch)
        for number in range(steps):
            clock.now += step_s if number or epoch > begin else 30  # the first one warms up
            progress.set_postfix_str("loss 0.500, data wait 2%")
            progress.update()
        clock.now += between_s
        progress.validation.update()


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, "progress")
    return logging.getLogger("progress")


def test_the_first_ten_steps_give_an_estimate_of_the_whole_run(log, caplog):
    clock = Clock()
    progress = RunProgress(log, epochs=50, steps=100, val_steps=30, hint="a lighter model", clock=clock)
    run(clock, progress, epochs=1, steps=9, step_s=2, between_s=0)
    assert not caplog.records
    clock.now += 2
    progress.update()
    first, hint = (record.getMessage() for record in caplog.records)
    seconds = 2 * 4990 + 50 * 30 * 2 / 3
    assert progress.seconds_left() == pytest.approx(seconds) and first.startswith(
        f"time left: {duration_text(seconds)}, ends "
    )
    assert hint == "a lighter model"


def test_a_short_run_gets_no_hint_and_a_validation_is_counted_once_it_is_known(log, caplog):
    clock = Clock()
    progress = RunProgress(log, epochs=4, steps=10, hint="a lighter model", clock=clock)
    run(clock, progress, epochs=2, steps=10, step_s=1, between_s=5)
    progress.begin_epoch(3)
    messages = [record.getMessage() for record in caplog.records if not record.getMessage().startswith("epoch")]
    assert [text.partition(",")[0] for text in messages] == ["time left: about 30 s"]
    assert progress.seconds_left() == pytest.approx(20 + 2 * 5)


def test_without_a_terminal_there_is_a_line_a_minute(log, caplog):
    clock = Clock()
    progress = RunProgress(log, epochs=3, steps=100, done=100, clock=clock)
    run(clock, progress, epochs=3, steps=100, step_s=2, between_s=70, begin=2)
    lines = [record.getMessage() for record in caplog.records if record.getMessage().startswith("epoch")]
    assert lines[0] == "epoch 2/3, step 16/100, loss 0.500, data wait 2%, about 6 min left"
    assert len(lines) == pytest.approx(clock.now / 60, abs=3)
    assert any(line.startswith("epoch 2/3, validation batch 1, ") for line in lines)


def test_the_other_processes_of_a_group_are_quiet(log, caplog):
    clock = Clock()
    progress = RunProgress(log, epochs=3, steps=100, quiet=True, hint="a lighter model", clock=clock)
    run(clock, progress, epochs=3, steps=100, step_s=20, between_s=70)
    assert not caplog.records


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "about 1 s"),
        (42, "about 42 s"),
        (60, "about 1 min"),
        (3570, "about 1 h"),
        (13200, "about 3 h 40 min"),
        (13260, "about 3 h 41 min"),
        (40000, "about 11 h 10 min"),
    ],
)
def test_durations_are_read_at_a_glance(seconds, text):
    assert duration_text(seconds) == text


def test_the_end_has_its_day_where_it_is_not_today():
    now = datetime(2024, 5, 1, 13, 25)
    assert end_text(13200, now) == "17:05"
    assert end_text(24 * 3600, now) == "Thursday 13:25"
    assert end_text(30 * 24 * 3600, now) == "2024-05-31 13:25"
