"""Errors of the command line that every script shares."""

import pytest

from utils.cli.parser import Parser


def error_of(capsys, *words):
    parser = Parser(prog="tool.py")
    parser.add_argument("--input", required=True)
    parser.add_argument("--weights")
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(words)
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("word", ["--wieghts", "--wieghts=a.pth"])
def test_a_missing_argument_and_a_mistyped_one_are_named_in_one_line(capsys, word):
    error = error_of(capsys, word)
    assert error == (
        f"error: the following arguments are required: --input; unknown arguments: {word} (did you mean --weights?) "
        "(tool.py --help lists the arguments)\n"
    )


@pytest.mark.parametrize("words", [[], ["--weights", "a.pth"], ["--weig=a.pth"]])
def test_a_missing_argument_alone_names_nothing_else(capsys, words):
    assert "unknown" not in error_of(capsys, *words)
