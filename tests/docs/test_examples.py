"""Every code block of the documents is typed by a test, or by another check that the list of such names."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.e2e.examples import ELSEWHERE, PAGES_ELSEWHERE, Example, elsewhere, examples, pattern


def test_what_is_not_typed_runs_elsewhere(root: Path) -> None:
    blocks = [each for each in examples(root) if each.page not in PAGES_ELSEWHERE]
    counts = Counter(phrase for each in blocks for phrase in elsewhere(each))
    assert counts.keys() == ELSEWHERE.keys(), "every entry of the list stands for a block"
    assert sum(not elsewhere(each) for each in blocks) > 20
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    for place in (each.partition(",")[0] for each in ELSEWHERE.values()):
        assert f"\n{place.removeprefix('make ')}:" in makefile or (root / place).is_file(), place


def test_commands_and_outputs_of_a_block() -> None:
    code = '$ curl -d \'{"a": 1,\n    "b": 2}\' \\\n    localhost\n{"kept":1, …}\n$ printf x |\n    cat\nx\n'
    commands = Example("page", "console", code).commands()
    assert [output for _, output in commands] == ['{"kept":1, …}\n', "x\n"]
    assert commands[0][0].endswith("localhost\n")
    assert commands[1][0] == "printf x |\n    cat\n"
    comment = Example("page", "sh", "false  # it doesn't matter\ntrue\n")
    assert len(comment.commands()) == 2
    assert Example("page", "sh", "a  # one\nb\n").commands() == [("a  # one\n", ""), ("b\n", "")]


def test_an_output_may_differ_in_numbers_and_where_an_ellipsis_stands() -> None:
    shown = pattern('{"kept":1,"text":"Oslo …"} in 20,000 (a.b)\n')
    assert shown.fullmatch('{"kept":23,"text":"Oslo is far"} in 7 (a.b)\n')
    assert not shown.fullmatch('{"kept":x,"text":"Oslo is far"} in 7 (a.b)\n')
    assert not shown.fullmatch('{"kept":1,"text":"Oslo …"} in 1 (a-b)\n')
