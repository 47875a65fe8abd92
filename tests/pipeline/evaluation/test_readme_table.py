"""The README's table of results."""

from __future__ import annotations

from pathlib import Path

import pytest

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import write_json
from multiner.pipeline.evaluation.readme_table import END, START, read_metrics, table, update


def metrics(ensemble: float, seed: int = 13) -> dict:
    scores = {
        "transformer": {"f1": 90.126},
        "spacy": {"f1": 83.5},
        "ensemble": {"f1": ensemble, "calibration": {"ece": 0.0213}},
    }
    return {
        "language": "en",
        "profile": "cpu",
        "seed": seed,
        "commit": f"{seed}abcdef0123",
        "threads": 2,
        "precision": "fp32",
        "minutes": {"total": 41.6},
        "data_hash": "0123456789abcdef",
        "corpora": {"invented": {"dev": scores, "dev_gate": scores, "test": scores}},
        "significance": {"invented": {"test": {"difference": 0.874, "low": 0.3, "high": 1.2, "p": 0.004}}},
    }


@pytest.fixture
def readme(tmp_path: Path) -> Path:
    path = tmp_path / "README.md"
    path.write_text(f"# Title\n\n{START}\nold\n{END}\n\nAfter.\n", encoding="utf-8")
    return path


def test_round_trip(readme: Path, tmp_path: Path) -> None:
    folder = tmp_path / "metrics" / "cpu"
    write_json(folder / "en.json", metrics(91.0))
    assert update(readme, folder, check=True)
    assert "old" in readme.read_text(encoding="utf-8"), "a check writes nothing"

    assert update(readme, folder)
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("# Title\n\n")
    assert text.endswith(f"{END}\n\nAfter.\n")
    assert "| English | invented | transformer | 90.13 | 90.13 |  |  |  |" in text
    assert (
        "| English | invented | ensemble | **91.00** | **91.00** |  | +0.87 (+0.30 to +1.20), p 0.004 | 0.021 |" in text
    )
    assert "seed 13" in text
    assert "42 minutes of training the legs," in text
    assert all(knob in text for knob in ("ensemble.folds", "transformer.start")), "what the minutes leave out"
    assert "`0123456789ab`" in text

    assert not update(readme, folder), "a second time there is nothing to do"
    write_json(folder / "en.json", metrics(92.0))
    assert update(readme, folder, check=True)


def test_further_seeds_stand_in_a_table_of_means_and_ranges(readme: Path, tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    write_json(folder / "en.json", metrics(91.0))
    assert "over all seeds" not in table(read_metrics(folder)), "one seed has no range"
    for seed, ensemble in ((14, 92.0), (15, 90.5)):
        write_json(folder / f"seed{seed}" / "en.json", metrics(ensemble, seed))
    assert update(readme, folder)
    text = readme.read_text(encoding="utf-8")
    assert "| English | invented | ensemble | **91.00** |" in text, "the first table is of the models' own seed"
    assert (
        "| English | invented | 91.17 (90.50 to 92.00) | 91.17 (90.50 to 92.00) | +0.87 (+0.87 to +0.87) "
        "| 0.021 (0.021 to 0.021) |" in text
    )
    assert "seeds 13 (commit `13abcdef`), 14 (commit `14abcdef`), 15 (commit `15abcdef`)" in text


def test_a_corpus_with_types_of_its_own_says_how_many_it_is_scored_by(tmp_path: Path) -> None:
    value = metrics(91.0)
    for figures in value["corpora"]["invented"]["test"].values():
        figures |= {"per_type": {"PER": {}, "LOC": {}, "ORG": {}, "MISC": {}}, "six_types": {"f1": figures["f1"] - 10}}
    text = table([value])
    assert "| English | invented (4 types) | spacy | 83.50 | 83.50 (6 types: 73.50) |  |" in text
    assert "| **91.00** | **91.00** (6 types: 81.00) |" in text


def test_missing_markers_and_missing_metrics_are_named(readme: Path, tmp_path: Path) -> None:
    with pytest.raises(NerError, match="no metrics"):
        update(readme, tmp_path / "nowhere")
    write_json(tmp_path / "en.json", metrics(91.0))
    readme.write_text(f"{END} {START}", encoding="utf-8")
    with pytest.raises(NerError, match="no place for the results"):
        update(readme, tmp_path)


def test_a_damaged_file_of_metrics_is_named(tmp_path: Path) -> None:
    (tmp_path / "en.json").write_text("<<<<<<< ours\n{}", encoding="utf-8")
    with pytest.raises(NerError, match=r"en\.json: no valid JSON: .*line 1"):
        read_metrics(tmp_path)
