"""Markdown as GitHub reads it becomes the same page in the site."""

from __future__ import annotations

import pytest
from markdown import markdown

pytestmark = pytest.mark.usefixtures("generators")


def page(text: str) -> str:
    import github

    return markdown(github.rewritten(text), extensions=["tables", "pymdownx.superfences"])


def test_a_list_and_a_table_need_no_blank_line_before_them() -> None:
    assert page("Two things:\n- one\n- two").count("<li>") == 2
    assert "<td>1</td>" in page("Figures:\n| a |\n|---|\n| 1 |")
    assert "<td>1</td>" in page("```\n- code\n```\n| a |\n|---|\n| 1 |")


def test_an_item_after_a_paragraph_within_a_list_is_an_item() -> None:
    text = "- one:\n  - inner\n  - inner\n\n  A paragraph.\n- two\n\nAfter."
    assert page(text).count("<li>") == 4
    assert page(text).endswith("<p>After.</p>")
    assert page("1. one\n   goes on\n   - inner\n2. two").count("<ul>") == 1


def test_code_stays_as_it_is() -> None:
    import github

    code = "```\nText:\n- one\n  - two\n| a |\n```\n"
    assert github.rewritten(code).startswith(code.removesuffix("\n"))
