"""``ner language add``: params.yaml, profiles and dvc.yaml get their lines, and keep all others."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest
import yaml

from multiner.pipeline.additions.language import with_lines
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from tests.pipeline.additions.conftest import GERMAN, Ner, content, refusal


@pytest.fixture
def corpus(ner: Ner, german: Path) -> None:
    ner(f"corpus add {german}/deu.train --name muster -l de {GERMAN}")


def added(before: dict[str, bytes], after: dict[str, bytes]) -> dict[str, list[str]]:
    """The lines that each changed file has more; no line is missing."""
    changes: dict[str, list[str]] = {}
    for name in (each for each in after if each.endswith(".yaml")):
        old, new = (side.get(name, b"").decode().split("\n") for side in (before, after))
        lines = [line for line in difflib.ndiff(old, new) if line[:1] in "+-"]
        assert all(line.startswith("+ ") for line in lines), name
        if lines:
            changes[name] = [line[2:] for line in lines]
    return changes


def test_every_file_gets_its_lines(home: Path, ner: Ner, corpus: None) -> None:
    before = content(home)
    assert "de: added" in ner("language add de --start en").output
    changes = added(before, content(home))
    profile = ["  de: {transformer: {}, spacy: {}, shipped: {}, ensemble: {}}"]
    assert changes.pop("params.yaml")[0] == "  de:"
    encoder = ["      - languages.de.transformer", "          - languages.de.transformer"]
    starts = ['      de: {start: "data/out/${profile}/de/trained/start"}', "      de: {language: en}"]
    assert changes.pop("dvc.yaml") == [*encoder, *starts]
    assert changes == {f"params/{name}.yaml": profile for name in ("bert", "cpu", "demo", "light", "smoke")}
    graph = yaml.safe_load((home / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert tuple(graph.pop("train_start")["foreach"]) == ("ru", "de")
    assert {tuple(stage["foreach"]) for stage in graph.values() if "foreach" in stage} == {("en", "ru", "de")}
    workspace = Workspace.load(root=home)
    assert workspace.languages == ["en", "ru", "de"]
    assert workspace.legs("de") == ["transformer", "spacy"]
    assert workspace.section("transformer", "de")["start"] == "en"
    assert "de: German; LOC, MISC, ORG, PER; trained on muster; legs transformer, spacy" in ner("language list").output


def test_the_same_call_changes_nothing_and_ends_an_interrupted_one(home: Path, ner: Ner, corpus: None) -> None:
    ner("language add de")
    whole = content(home)
    assert "nothing to do" in ner("language add de").output
    for name in ("dvc.yaml", "params/smoke.yaml"):
        text = whole[name].decode()
        (home / name).write_text("\n".join(line for line in text.split("\n") if " de: " not in line))
    ner("language add de")
    assert content(home) == whole


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("language add qq --corpus muster", "spaCy knows no language 'qq'"),
        ("language add el --corpus muster", "the packaged encoder reads Latin and Cyrillic letters"),
        ("language add es", "no corpus of the language 'es'"),
        ("language add de --corpus none", "unknown corpus 'none'"),
        ("language add de --start fr", "unknown language 'fr'"),
        ("language add de --type PERS", "unknown entity type 'PERS'; did you mean PER?"),
        ("language add en --corpus muster", "en is configured with other values of types, train_on, report_on"),
        ("language add de --shipped de_core_news_xx", "no spaCy pipeline 'de_core_news_xx'"),
        ("language add de --vectors none", "no spaCy pipeline 'none'"),
        ("language add de --encoder packaged:e6", "no package has the encoder 'e6'"),
        ("language add de --encoder ./none", "no folder './none'"),
    ],
)
def test_nothing_is_changed_with_an_error(home: Path, ner: Ner, corpus: None, line: str, message: str) -> None:
    before = content(home)
    assert message in refusal(ner, line).message
    assert content(home) == before


@pytest.mark.parametrize(
    ("wish", "parameter"),
    [
        ("--start en", "transformer.start"),
        ("--encoder bert-base-cased", "transformer.encoder"),
        ("--vectors en_core_web_md", "spacy.vectors"),
        ("--shipped en_core_web_md", "shipped.pipeline"),
        ("--type PER", "types"),
    ],
)
def test_another_wish_for_a_configured_language_is_refused(
    home: Path, ner: Ner, corpus: None, wish: str, parameter: str
) -> None:
    ner("language add de")
    before = content(home)
    error = refusal(ner, f"language add de {wish}")
    assert error.message == f"de is configured with other values of {parameter}"
    line = int((error.where or "").removeprefix("params.yaml:"))
    assert before["params.yaml"].decode().split("\n")[line - 1] == "  de:"
    assert content(home) == before


def test_lines_go_to_the_end_of_their_mapping() -> None:
    text = "a: 1\nlanguages:   # all\n  en: {}\n\n  # Russian\n  ru:\n    x: 1\n\n# next\nb: 2\n"
    assert with_lines(text, "languages:", ["  de: {}"], "p.yaml") == text.replace("x: 1\n", "x: 1\n  de: {}\n")
    with pytest.raises(NerError, match="no place for a further language") as caught:
        with_lines("languages: {en: {}}\n", "languages:", ["  de: {}"], "p.yaml")
    assert caught.value.where == "p.yaml:1"
