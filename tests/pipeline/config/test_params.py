"""Parameters: what the schema allows is taken as it stands, all else is refused at once, by file, line and key."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from multiner.pipeline.config.corpora import published
from multiner.pipeline.config.schema import Params
from multiner.pipeline.config.schema_kinds import LEGS as NAMED
from multiner.pipeline.config.settings import Workspace, load_params, overlay, read_yaml
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.models import BASE_MODELS


@pytest.fixture
def home(root: Path, tmp_path: Path) -> Path:
    shutil.copytree(root / "params", tmp_path / "params")
    shutil.copyfile(root / "params.yaml", tmp_path / "params.yaml")
    return tmp_path


def change(home: Path, before: str, after: str) -> int:
    """Replace a piece of params.yaml; the line that it stands in."""
    path = home / "params.yaml"
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after, 1), encoding="utf-8")
    return text[: text.index(before)].count("\n") + 1


def refusal(home: Path, profile: str | None = None) -> str:
    with pytest.raises(NerError) as caught:
        load_params(home, profile)
    return str(caught.value)


def test_every_profile_passes_and_is_taken_as_it_stands(root: Path) -> None:
    base = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    profiles = sorted(path.stem for path in (root / "params").glob("*.yaml"))
    assert len(profiles) >= 4
    for profile in profiles:
        top = yaml.safe_load((root / "params" / f"{profile}.yaml").read_text(encoding="utf-8"))
        assert load_params(root, profile) == overlay(base, top) | {"profile": profile}


def test_the_schema_names_what_params_yaml_holds_and_the_legs_there_are(root: Path) -> None:
    params = load_params(root)
    assert set(params) == set(Params.model_fields)
    assert set(NAMED) == set(BASE_MODELS)


@pytest.mark.parametrize(
    ("before", "after", "key", "message"),
    [
        ("heldout: 0.2", "heldout: abc", "prepare.heldout", '"abc" is not a number'),
        ("heldout: 0.2", "heldout: -1", "prepare.heldout", "-1 should be greater than 0"),
        ("heldout: 0.2", "heldout: .nan", "prepare.heldout", "NaN should be a finite number"),
        ("limit: {}", "limit: 5", "prepare.limit", "5 is not a mapping"),
        ("limit: {}", "limit: {wnut17: 5}", "prepare.limit.wnut17", "5 is not a mapping"),
        ("limit: {}", "limit: {wnut17: {trian: 5}}", "prepare.limit.wnut17.trian", "unknown key; did you mean train?"),
        ("limit: {}", "limit: {factrueval: {}}", "prepare.limit.factrueval", "did you mean factrueval-name?"),
        ("legs: [transformer, spacy, shipped]", "legs: []", "ensemble.legs", "[] is empty"),
        ("legs: [transformer, spacy", "legs: [spacy, spacy", "ensemble.legs", "named twice: spacy"),
        ("legs: [transformer, spacy", "legs: [bert, spacy", "ensemble.legs.0", "unknown leg 'bert'"),
        ("weight_step: 0.1", "weight_step: 0", "ensemble.weight_step", "0 should be greater"),
        ("folds: 3}", "folds: 1}", "languages.ru.ensemble.folds", "one fold leaves nothing"),
        ("folds: 3}", "fold: 3}", "languages.ru.ensemble.fold", "did you mean folds?"),
        ("  bootstrap: 1000       #", "  bootstrap: 0 #", "evaluate.bootstrap", "0 should be greater"),
        ("min_f1: 30", "min_f1: null", "promotion.min_f1", "null is not a number"),
        (
            *("max_certain_loss:", "max_certain_losses:", "promotion.max_certain_losses"),
            "unknown key; did you mean max_certain_loss?",
        ),
        ("prepare:", "prepar:", "prepar", "unknown key; did you mean prepare?"),
        (
            "train_on: [factrueval-name]",
            "train_on: factrueval-name",
            "languages.ru.train_on",
            "write [factrueval-name]",
        ),
        ("types: [PER, LOC, ORG]\n", "types: [PER, LOK]\n", "languages.ru.types.1", "did you mean LOC?"),
        ("types: [PER, LOC, ORG]\n", "types: wnut\n", "languages.ru.types", "did you mean wnut17?"),
        ("epochs: 5", "epochs: yes", "languages.ru.transformer.epochs", "true is not a whole number"),
        ("epochs: 5", "epoch: 5", "languages.ru.transformer.epoch", "unknown key; did you mean epochs?"),
        ("epochs: 20, ", "epochs: 0, ", "languages.ru.spacy.epochs", "0 should be greater"),
        (", vectors: navec", "", "languages.ru.spacy.vectors", "the key is missing"),
        ("  patience: 3 ", "  patience: {ru: 3} ", "transformer.patience", "stands under languages.<code>"),
        (" learning_rate: 1.0e-4", " learning_rate: 1e-4", "transformer.learning_rate", "write 0.0001"),
        ("start: en ", "start: ru ", "languages.ru.transformer.start", "ru cannot start from its own documents"),
        ("start: en ", "start: fr ", "languages.ru.transformer.start", "unknown language 'fr'"),
        ('schedule: "@weekly"', "schedule: nonsense", "airflow.schedule", '"nonsense" is no schedule'),
        ('schedule: "@weekly"', 'schedule: "@sometimes"', "airflow.schedule", '"@sometimes" is no schedule'),
        ('schedule: "@weekly"', 'schedule: "61 * * * *"', "airflow.schedule", "is no schedule"),
        ('schedule: "@weekly"', 'schedule: "0 0 31 2 *"', "airflow.schedule", "is no schedule"),
        ("port: 8000", "port: 70000", "serving.port", "70000 should be less than or equal to 65535"),
        ("trusted_proxies: []", "trusted_proxies: ['*']", "serving.trusted_proxies.0", "'*' is no address"),
        ("trusted_proxies: []", "trusted_proxies: [10.0.0.1/8]", "serving.trusted_proxies.0", "is no address and no"),
        ("mlflow_port: 5000", "mlflow_port: 8000", "serving", "port 8000 is given to two parts"),
        ("keep_previous: auto", "keep_previous: sometimes", "serving.keep_previous", "is not true, false or auto"),
        ("keep_previous: auto", "keep_previous: 1", "serving.keep_previous", "is not true, false or auto"),
        ("cores: auto", "cores: 0", "serving.cores", "is not a whole number from 1 on, or auto"),
        ("memory: auto", "memory: 1.5", "serving.memory", "is not a whole number from 1 on, or auto"),
        ("cores: auto", "cores: many", "serving.cores", "is not a whole number from 1 on, or auto"),
        ("reconcile_seconds: 30", "reconcile_seconds: -1", "serving.reconcile_seconds", "-1 should be greater"),
        ("reconcile_seconds: 30", "reconcile_seconds: often", "serving.reconcile_seconds", "is not a number"),
        ("endpoints: {}", "endpoints: {en: here}", "serving.endpoints.en", '"here" is not a mapping'),
        ("endpoints: {}", "endpoints: {en: {}}", "serving.endpoints.en.url", "the key is missing"),
        ("endpoints: {}", "endpoints: {xx: {url: 'http://h'}}", "serving.endpoints.xx", "unknown language 'xx'"),
        ("endpoints: {}", "endpoints: {en: {url: 'h:9001'}}", "serving.endpoints.en.url", "scheme should be 'http'"),
        ("endpoints: {}", "endpoints: {en: {url: 'http://u:p@h'}}", "serving.endpoints.en.url", "without credentials"),
        ("endpoints: {}", "endpoints: {en: {url: 'http://h:x'}}", "serving.endpoints.en.url", "should be a valid URL"),
        (
            *("endpoints: {}", "endpoints: {en: {url: 'http://h', version: 7}}", "serving.endpoints.en.version"),
            "7 is not a text",
        ),
        (" dropout: {low: 0.0, high: 0.3}", " dropout: {low: 0.3}", "search.transformer.dropout", "give low and high"),
        (
            *(" dropout: {low: 0.0, high: 0.3}", " dropout: {low: 0.3, high: 0.1}", "search.transformer.dropout"),
            "low 0.3 is not below high 0.1",
        ),
        (
            *(" dropout: {low: 0.0, high: 0.3}", " dropout: {low: 0.0, high: 1.5}", "search"),
            "dropout cannot be 1.5: Input should be less than 1",
        ),
        (" dropout: {low: 0.0, high: 0.3}", " dropuot: {low: 0.0, high: 0.3}", "search", "no parameter dropuot"),
        ("shadow: off", "shadow: maybe", "serving.shadow", "is neither true nor false"),
        ("shadow_share: 0.1", "shadow_share: 0", "serving.shadow_share", "0 should be greater than 0"),
        ("canary_share: 0 ", "canary_share: 0.6 ", "serving.canary_share", "0.6 should be less than"),
        ("shadow_share: 0.1", "shadow_share: 1.5", "serving.shadow_share", "1.5 should be less than"),
        (
            *("train: {}", "train: {kubernetes: {memory: 8GB}}", "airflow.classes.train.kubernetes.memory"),
            "write an amount such as 2, 500m or 8Gi",
        ),
        ("score: {}", "score: {queues: big}", "airflow.classes.score.queues", "unknown key; did you mean queue?"),
        ("seed: 13", "seed: 13\nheldout: 0.3", "heldout", "unknown key; it belongs to prepare"),
    ],
)
def test_a_mistake_is_told_with_file_line_and_key(home: Path, before: str, after: str, key: str, message: str) -> None:
    line = change(home, before, after)
    refusal_text = refusal(home)
    assert re.fullmatch(
        rf"params\.yaml:({line}|{line + 1}|\d+): {re.escape(key)}: .*{re.escape(message)}.*", refusal_text
    ), refusal_text
    if "." in key and "\n" not in before + after:
        assert refusal_text.startswith(f"params.yaml:{line}:"), refusal_text


def test_a_language_without_parameters(home: Path) -> None:
    text = (home / "params.yaml").read_text(encoding="utf-8")
    cut = text[text.index("  ru:\n") : text.index("\nprepare:")]
    change(home, cut, "  ru: null\n")
    assert "languages.ru.train_on: the key is missing" in refusal(home)


def test_doubled_keys_are_refused_in_every_yaml_file(home: Path) -> None:
    line = change(home, "heldout: 0.2", "heldout: 0.2\n  heldout: 0.3")
    assert refusal(home) == f"params.yaml:{line + 1}: prepare.heldout: the key stands twice; leave one of them"
    other = home / "bounds.yaml"
    other.write_text("a: {b: 1,\n  b: 2}\n", encoding="utf-8")
    with pytest.raises(NerError, match=r"bounds\.yaml:2: the key a\.b stands twice"):
        read_yaml(other)


def test_all_mistakes_of_both_files_are_told_at_once(home: Path) -> None:
    first = change(home, "seed: 13", "seed: 13\nseed: x")
    second = change(home, "weight_step: 0.1", "weight_step: 0")
    (home / "params" / "demo.yaml").write_text("prepare:\ntransformer:\n  threads: 0\n", encoding="utf-8")
    refusal_text = refusal(home, "demo")
    for phrase in (
        f"{home}: 5 mistakes in the parameters",
        f"params.yaml:{first + 1}: seed: the key stands twice",
        f'params.yaml:{first + 1}: seed: "x" is not a whole number',
        f"params.yaml:{second}: ensemble.weight_step: 0 should be",
        "params/demo.yaml:1: prepare: null is not a mapping",
        "params/demo.yaml:3: transformer.threads: 0 should be",
    ):
        assert phrase in refusal_text


def test_a_missing_key_is_told_where_its_section_stands(home: Path) -> None:
    change(home, "  threads: 2", "  #")
    change(home, "\ntransformer:", "\n# further down\ntransformer:")
    line = (home / "params.yaml").read_text(encoding="utf-8").split("\n").index("transformer:") + 1
    assert refusal(home) == f"params.yaml:{line}: transformer.threads: the key is missing"


def test_a_profile_cannot_lead_elsewhere(home: Path) -> None:
    for profile in ("../params/cpu", "[cpu]", "{}", "12"):
        (home / "params.yaml").write_text(f"profile: {profile}\n", encoding="utf-8")
        assert "params.yaml:1: profile: unknown profile" in refusal(home)


@pytest.mark.parametrize(
    "text", ["a: 2020-13-45\n", "a: [1\n", "a: &x\n  b: *y\n", "? [a]\n: 1\n", "- 1\n", "a\n", "", "\x00"]
)
def test_what_is_no_mapping_in_yaml_gets_no_traceback(home: Path, text: str) -> None:
    (home / "params.yaml").write_text(text, encoding="utf-8")
    assert refusal(home).startswith("params.yaml")
    (home / "params.yaml").write_bytes(b"a: \xff\n")
    assert refusal(home) == "params.yaml: not UTF-8: byte 0xff"


@pytest.mark.parametrize(
    "parts",
    [
        {"languages": {"ru": None}},
        {"languages": {"ru": {"transformer": {"learning_rate": 5e-5, "start": None, "recase": {}}}}},
        {"languages": {"en": {"shipped": {"pipeline": None}}}, "ensemble": {"legs": ["spacy"]}},
        {"airflow": {"schedule": "30 2 * * 1-5"}},
        {"airflow": {"schedule": "@quarterly"}},
        {"promotion": {"min_behaviour": None, "behaviour_must": None}, "serving": {"keep_previous": False}},
        {"languages": {"en": {"types": "wnut17", "train_on": ["wnut17"], "report_on": ["wnut17"]}}},
        {"airflow": {"schedule": None}, "prepare": {"limit": {"conll2003": {"train": 40}}}},
    ],
)
def test_what_the_documentation_offers_is_allowed(home: Path, parts: dict[str, Any]) -> None:
    expected = overlay(load_params(home), parts)
    expected["languages"] = {code: params for code, params in expected["languages"].items() if params}
    (home / "params.yaml").write_text(yaml.safe_dump(expected), encoding="utf-8")
    (home / "params" / "cpu.yaml").write_text("{}\n", encoding="utf-8")
    assert load_params(home, "cpu") == expected


def test_every_corpus_can_be_named(home: Path) -> None:
    change(home, "limit: {}", f"limit: {{{', '.join(f'{corpus}: {{dev: 1}}' for corpus in published())}}}")
    assert len(load_params(home)["prepare"]["limit"]) == len(published())


GROWING = "growing: {}"


def test_growing_corpora_can_be_named_where_training_names_corpora(home: Path) -> None:
    change(
        home, GROWING, "growing: {tickets: {language: en, source: inbox, types: {city: LOC, x: null}, heldout: 0.1}}"
    )
    change(home, "train_on: [conll2003, wnut17]", "train_on: [conll2003, wnut17, tickets]")
    change(home, "repeat: {wnut17: 2}", "repeat: {wnut17: 2, tickets: 3}")
    assert load_params(home)["languages"]["en"]["train_on"][-1] == "tickets"


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ("{packages: {language: en}}", "data/raw has something else of this name"),
        ("{wnut17: {language: en}}", "data/raw has something else of this name"),
        ("{tickets: {language: de}}", "unknown language 'de'"),
        ("{tickets: {language: en, types: {city: TOWN}}}", "unknown entity type 'TOWN'"),
        ("{../tickets: {language: en}}", "growing"),
        ("{tickets: {language: en, heldout: 1.5}}", "growing.tickets.heldout"),
    ],
)
def test_growing_corpora_that_cannot_be(home: Path, declared: str, message: str) -> None:
    change(home, GROWING, f"growing: {declared}")
    assert message in refusal(home)


def test_a_language_trains_on_its_own_growing_corpora_alone(home: Path) -> None:
    change(home, "train_on: [conll2003, wnut17]", "train_on: [conll2003, wnut17, tickets]")
    assert "unknown corpus 'tickets'" in refusal(home)
    change(home, GROWING, "growing: {tickets: {language: ru}}")
    assert "languages.en.train_on names tickets, a growing corpus of ru" in refusal(home)
    change(home, "report_on: [conll2003, wnut17]", "report_on: [conll2003, tickets]")
    assert "languages.en.report_on" in refusal(home), "it has no test part"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("seed: 14\n", "seed"),
        ("profile: cpu\n", "profile"),
        ("airflow: {schedule: null}\n", "airflow"),
        ("languages: {en: {types: [PER]}}\n", "languages.en.types"),
        ("languages: {en: {train_on: [wnut17]}}\n", "languages.en.train_on"),
        ("languages: {en: {report_on: [wnut17]}}\n", "languages.en.report_on"),
        ("languages: {en: {spacy: {vectors: navec}}}\n", "languages.en.spacy.vectors"),
        ("spacy: {vectors_rows: 5}\n", "spacy.vectors_rows"),
    ],
)
def test_a_profile_sets_nothing_that_dvc_reads_in_params_yaml_alone(home: Path, text: str, key: str) -> None:
    (home / "params" / "smoke.yaml").write_text(f"prepare: {{}}\n{text}", encoding="utf-8")
    assert refusal(home, "smoke").startswith(f"params/smoke.yaml:2: {key}: a profile may not set it")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("<<: {seed: 14}\n", "params/smoke.yaml: seed"),
        ("languages: {en: {<<: {types: [PER]}}}\n", "params/smoke.yaml:2: languages.en.types"),
        ("export: &e {seed: 14}\n<<: *e\n", "params/smoke.yaml: seed"),
    ],
)
def test_a_profile_sets_no_such_key_by_a_merge_of_yaml_either(home: Path, text: str, place: str) -> None:
    (home / "params" / "smoke.yaml").write_text(f"prepare: {{}}\n{text}", encoding="utf-8")
    assert f"{place}: a profile may not set it" in refusal(home, "smoke")


def test_a_profile_adds_no_language(home: Path) -> None:
    (home / "params" / "smoke.yaml").write_text("languages:\n  fr: {transformer: {epochs: 1}}\n", encoding="utf-8")
    assert refusal(home, "smoke") == (
        "params/smoke.yaml:2: languages.fr: params.yaml has no such language; add it there, or remove it here"
    )


def test_a_languages_own_values_go_before_the_sections(home: Path) -> None:
    (home / "params" / "smoke.yaml").write_text("languages: {ru: {spacy: {dropout: 0.5}}}\n", encoding="utf-8")
    workspace = Workspace(home, load_params(home, "smoke"))
    russian, english = workspace.section("spacy", "ru"), workspace.section("spacy", "en")
    assert (russian["dropout"], russian["epochs"], russian["width"], russian["vectors"]) == (0.5, 20, 96, "navec")
    assert (english["dropout"], english["epochs"]) == (0.2, 8)


@pytest.mark.parametrize("file", ["params.yaml", "params/smoke.yaml", "dvc.yaml"])
def test_marks_of_a_conflict_are_named_in_every_file_of_the_workspace(root: Path, home: Path, file: str) -> None:
    shutil.copyfile(root / "dvc.yaml", home / "dvc.yaml")
    path = home / file
    path.write_text(f"<<<<<<< HEAD\n{path.read_text(encoding='utf-8')}", encoding="utf-8")
    message = refusal(home, "smoke")
    assert message.startswith(f"{file}:")
    assert "marks of a conflict" in message


def test_what_is_nested_too_deeply_is_refused(home: Path) -> None:
    (home / "params" / "smoke.yaml").write_text("seed: " + "[" * 3000, encoding="utf-8")
    assert refusal(home, "smoke") == "params/smoke.yaml: no valid YAML: nested too deeply"


def test_a_start_that_dvc_does_not_know_is_refused(root: Path, home: Path) -> None:
    shutil.copyfile(root / "dvc.yaml", home / "dvc.yaml")
    load_params(home)
    line = (
        change(home, "    transformer:\n      epochs: 3\n", "    transformer:\n      epochs: 3\n      start: ru\n") + 2
    )
    assert refusal(home) == (
        f"params.yaml:{line}: languages.en.transformer.start: dvc.yaml has another start; write there, under "
        "train_start, en: {language: ru}"
    )


def test_a_language_goes_without_a_pretrained_pipeline(home: Path) -> None:
    change(home, "pipeline: slovnet}", "pipeline: null}")
    workspace = Workspace.load(root=home)
    assert workspace.legs("ru") == workspace.section("ensemble", "ru")["legs"] == ["transformer", "spacy"]
    assert workspace.legs("en") == workspace.params["ensemble"]["legs"] == ["transformer", "spacy", "shipped"]
    change(home, "legs: [transformer, spacy, shipped]", "legs: [shipped]")
    assert "no pipeline, and ensemble.legs has no other leg" in refusal(home)
