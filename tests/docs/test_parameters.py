"""The reference of params.yaml says what each key means."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.usefixtures("generators")


def test_every_key_of_params_yaml_has_its_comment_in_the_reference(root: Path) -> None:
    import parameters

    params = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    sections = dict(
        re.findall(r"^## (?:`(\w+)`|Top level)\n(.*?)(?=^## |\Z)", parameters.markdown(root), flags=re.M | re.S)
    )
    assert set(sections) - {""} == {name for name in params if name not in ("profile", "seed", "languages", "growing")}
    keys = [(name, key) for name in sections if name for key in params[name]]
    assert len(keys) > 80
    for name, key in [*keys, *(("", key) for key in ("profile", "seed", "languages", "growing"))]:
        row = re.search(rf"^\| `{key}` \| (.+) \| (.+) \| (.*) \|$", sections[name], flags=re.M)
        assert row, (name, key)
        assert row[3].strip(), f"params.yaml: {name}.{key} has no comment"


def test_a_language_has_the_comment_of_its_own_keys_and_the_profiles_what_they_set(root: Path) -> None:
    import parameters

    text = parameters.markdown(root)
    assert '| `train_on` | `["conll2003", "wnut17"]` | a list; each item: text | corpora whose train part' in text
    assert "| `launcher.processes` | `1` | whole number, ≥ 1 |" in text
    assert '| `demo` | `prepare.raw: "data/samples"`' in text
