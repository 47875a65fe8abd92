"""The exported transformer: it predicts as the trained one, and the same alone, in batches and in threads."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnxruntime import InferenceSession

from multiner.pipeline.config.settings import Workspace, load_params, overlay
from multiner.pipeline.core.decoding import decode_spans, span_f1
from multiner.pipeline.core.document import from_words, write_jsonl
from multiner.pipeline.core.environment import THREADS, thread_count
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import read_json, write_json
from multiner.pipeline.core.iob2 import bio_labels
from multiner.pipeline.models import load_base_model
from multiner.pipeline.models.transformer.export import TokenScaled, export, quantise, run
from multiner.pipeline.models.transformer.inference import (
    BEHIND,
    CALL,
    ROW,
    TransformerModel,
    batches,
    packed_inputs,
    row_length,
)
from multiner.pipeline.models.transformer.network import TorchTransformer
from multiner.pipeline.models.transformer.packed import PackedEncoder
from tests.pipeline.models.conftest import PEOPLE, PLACES, TYPES, invented

Export = Callable[[str], Path]
loaded = cache(TransformerModel.load)


@pytest.fixture(scope="module")
def exported(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Export:
    """The folder of the exported transformer, by precision."""
    folders: dict[str, Path] = {}

    def exports(precision: str) -> Path:
        if precision not in folders:
            folders[precision] = tmp_path_factory.mktemp("exported") / precision
            export(trained, folders[precision], precision)
        return folders[precision]

    return exports


def various():  # noqa: ANN201
    """Documents of many lengths: empty, one word, several windows, one sentence longer than a window."""
    long = from_words("long", [["Yesterday", "Ada", "went", "to", "Oslo"] * 12])
    return [from_words("none", []), from_words("one", [["Ada"]]), long, *invented(30, 6), *invented(3, 1)]


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_a_text_is_answered_alone_as_among_others_to_the_bit(exported: Export, precision: str) -> None:
    model, documents = load_base_model("transformer", exported(precision)), various()
    for document, rows in zip(documents, model.predict(documents), strict=True):
        (alone,) = model.predict([document])
        assert rows.shape == (len(document.tokens), len(model.labels))
        assert rows.dtype == np.float32
        np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-5)
        np.testing.assert_array_equal(alone, rows)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=5), min_size=1, max_size=33), st.randoms())
def test_windows_of_all_lengths_in_one_call_are_answered_as_alone(
    exported: Export, lengths: list[list[int]], chance: Random
) -> None:
    """Documents with sentences of 1 to 9 words, in any order: batched, shuffled and alone they have the same bits."""
    model = loaded(exported("int8"))
    names = PEOPLE + PLACES
    documents = [
        from_words(str(number), [[chance.choice(names) for _ in range(words)] for words in sentences])
        for number, sentences in enumerate(lengths)
    ]
    together = model.predict(documents)
    order = chance.sample(range(len(documents)), len(documents))
    for index, rows in zip(order, model.predict([documents[index] for index in order]), strict=True):
        np.testing.assert_array_equal(rows, together[index])
        np.testing.assert_array_equal(rows, model.predict([documents[index]])[0])


def test_a_call_holds_windows_with_rows_of_one_length_up_to_a_limit() -> None:
    lengths = [3, 40, 16, 17, 200, 33, 48, 16, 1] + [30] * 20 + [300]
    calls = batches(lengths)
    assert sorted(index for call in calls for index in call) == list(range(len(lengths)))
    for call in calls:
        (row,) = {row_length(lengths[index]) for index in call}
        assert row % ROW == 0
        assert len(call) == 1 or len(call) * row <= CALL
    assert [len(call) for call in calls] == [1, 1, 1, 2, 7, 7, 6, 1, 2, 2]
    assert batches([]) == []


def test_windows_lie_one_after_another_and_rows_show_where() -> None:
    inputs = packed_inputs([[5, 6, 7], [8, 9]])
    assert inputs["pieces"].tolist() == [5, 6, 7, 8, 9]
    assert inputs["positions"].tolist() == [0, 1, 2, 0, 1]
    assert inputs["rows"].tolist() == [[0, 1, 2] + [0] * (ROW - 3), [3, 4] + [3] * (ROW - 2)]
    assert inputs["places"].tolist() == [0, 1, 2, ROW, ROW + 1]
    assert (inputs["mask"][:, 0, 0] == 0).sum(axis=1).tolist() == [3, 2]
    assert np.exp(np.float32(BEHIND)) == 0


def test_the_graph_in_pytorch_answers_as_the_exported_one(trained: Path, exported: Export) -> None:
    """Its operators for ONNX Runtime have a second form, in PyTorch, which tracing runs."""
    inputs = packed_inputs([[2, 40, 41, 3], [2, 50, 3], [2, 60, 61, 62, 63, 3]])
    (rows,) = InferenceSession(exported("int8") / "model.onnx", providers=["CPUExecutionProvider"]).run(None, inputs)
    packed = PackedEncoder(TorchTransformer.load(trained).model).eval()
    with torch.inference_mode():
        expected = packed(*(torch.from_numpy(each) for each in inputs.values()))
    np.testing.assert_allclose(rows, expected.numpy(), atol=1e-3)


def test_an_encoder_that_cannot_be_packed_is_answered_window_by_window(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So are exports of earlier versions, which say nothing of batches."""
    monkeypatch.setattr("multiner.pipeline.models.transformer.export.packable", lambda model: False)
    export(trained, tmp_path / "leg", "int8")
    leg = read_json(tmp_path / "leg" / "leg.json")
    assert not leg.pop("exact_batches")
    write_json(tmp_path / "leg" / "leg.json", leg)
    model, documents = load_base_model("transformer", tmp_path / "leg"), various()
    for document, rows in zip(documents, model.predict(documents), strict=True):
        np.testing.assert_array_equal(model.predict([document])[0], rows)
    gold = invented(30, 6)
    spans = [
        decode_spans(rows, each.sentences, model.labels) for rows, each in zip(model.predict(gold), gold, strict=True)
    ]
    assert span_f1(gold, spans) > 90


def test_the_number_of_threads_changes_no_bit(exported: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = []
    for threads in ("1", "2", "5"):
        monkeypatch.setenv(THREADS, threads)
        answers.append(np.concatenate(TransformerModel.load(exported("int8")).predict(various())))
    np.testing.assert_array_equal(answers[0], answers[1])
    np.testing.assert_array_equal(answers[0], answers[2])


def test_several_callers_get_what_each_would_get_alone(exported: Export) -> None:
    model, documents = load_base_model("transformer", exported("int8")), various()
    expected = np.concatenate(model.predict(documents))
    with ThreadPoolExecutor(4) as pool:
        for result in pool.map(lambda _: np.concatenate(model.predict(documents)), range(12)):
            np.testing.assert_array_equal(result, expected)


def test_a_token_of_great_magnitude_takes_no_range_from_the_others(tmp_path: Path) -> None:
    """Through int8, the other tokens' products keep their precision beside a token a thousand times as large."""
    torch.manual_seed(2)
    linear, tokens = torch.nn.Linear(64, 16), torch.randn(1, 12, 64)
    tokens[0, 0] *= 1000
    errors = {}
    for name, layer in {"plain": linear, "scaled": TokenScaled(linear)}.items():
        plain, int8 = tmp_path / f"{name}.onnx", tmp_path / f"{name}.int8.onnx"
        torch.onnx.export(layer.eval(), (tokens,), str(plain), dynamo=False, input_names=["x"])
        quantise(plain, int8)
        (result,) = InferenceSession(int8, providers=["CPUExecutionProvider"]).run(None, {"x": tokens.numpy()})
        exact = linear(tokens).detach().numpy()
        np.testing.assert_allclose(layer(tokens).detach().numpy(), exact, rtol=1e-4, atol=1e-4)
        errors[name] = float(np.abs(result - exact)[0, 1:].mean())
    assert errors["scaled"] < 0.02 < 10 * errors["scaled"] < errors["plain"]


def test_it_answers_as_the_trained_model(trained: Path, exported: Export) -> None:
    documents = various()
    torch_rows = np.concatenate(TorchTransformer.load(trained).predict(documents))
    onnx_rows = np.concatenate(load_base_model("transformer", exported("fp32")).predict(documents))
    np.testing.assert_allclose(onnx_rows, torch_rows, atol=1e-5)
    model, gold = load_base_model("transformer", exported("int8")), invented(30, 6)
    result = [
        decode_spans(rows, each.sentences, model.labels) for rows, each in zip(model.predict(gold), gold, strict=True)
    ]
    assert span_f1(gold, result) > 90


def test_the_leg_holds_what_inference_needs_and_its_figures(exported: Export) -> None:
    assert {path.name for path in exported("int8").iterdir()} == {
        "model.onnx", "tokenizer.json", "leg.json", "history.json"
    }  # fmt: skip
    assert read_json(exported("int8") / "leg.json")["precision"] == "int8"
    sizes = [(exported(precision) / "model.onnx").read_bytes() for precision in ("int8", "fp32")]
    assert len(sizes[0]) < len(sizes[1])


def test_the_stage_notes_its_score_on_the_tune_half(
    trained: Path, tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    params = overlay(load_params(root, "cpu"), {"languages": {"en": {"types": TYPES, "train_on": ["conll2003"]}}})
    workspace = Workspace(tmp_path, params)
    write_jsonl(workspace.paths.documents("en") / "conll2003.dev.jsonl", invented(30, 12))
    with pytest.raises(NerError, match="no trained transformer"):
        run(workspace, "en")
    workspace.paths.trained("en").parent.mkdir(parents=True)
    workspace.paths.trained("en").symlink_to(trained)
    run(workspace, "en")
    assert read_json(workspace.paths.leg("en", "transformer") / "leg.json")["dev_f1"] > 90
    assert "development F1" in capsys.readouterr().out


def test_what_cannot_be_is_named(
    trained: Path, exported: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NerError, match=r"export\.precision"):
        export(trained, tmp_path / "leg", "int4")
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in exported("int8").iterdir():
        (broken / path.name).write_bytes(path.read_bytes()[:100] if path.suffix == ".onnx" else path.read_bytes())
    with pytest.raises(NerError, match="does not load"):
        load_base_model("transformer", broken)
    monkeypatch.setenv(THREADS, "many")
    with pytest.raises(NerError, match="not a number of threads"):
        thread_count()


SCRIPT = """
import json, sys
from pathlib import Path
import multiner.pipeline.inference.documents, multiner.pipeline.inference.pyfunc
from multiner.pipeline.text.tokenizer import document_from_text
ensemble = multiner.pipeline.inference.documents.load_ensemble(Path(sys.argv[1]))
found = ensemble.predict([document_from_text("Ada went to Oslo.", "en")])[0]
print(json.dumps([sorted(found.legs), sorted({name.split(".")[0] for name in sys.modules})]))
import torch
"""


@pytest.mark.slow
def test_inference_imports_no_training_framework(exported: Export, tmp_path: Path, root: Path) -> None:
    """Both are installed here, and thinc would import PyTorch; whoever wants it later can have it."""
    import spacy

    shutil.copytree(exported("int8"), tmp_path / "transformer")
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "LOC", "pattern": "Oslo"}])
    nlp.to_disk(tmp_path / "spacy")
    write_json(tmp_path / "spacy" / "shipped.json", {"labels": bio_labels(TYPES)})
    members = [{"name": name, "temperature": 1.0, "weight": 0.5} for name in ("spacy", "transformer")]
    write_json(tmp_path / "ensemble.json", {"language": "en", "types": TYPES, "members": members, "chooser": None})
    process = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], env={**os.environ, "PYTHONPATH": str(root)},
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert process.returncode == 0, process.stderr
    legs, imported = json.loads(process.stdout.splitlines()[-1])
    assert legs == ["spacy", "transformer"]
    assert {"onnxruntime", "spacy", "tokenizers"} <= set(imported)
    assert not set(imported) & {
        "accelerate",
        "airflow",
        "dvc",
        "great_expectations",
        "safetensors",
        "torch",
        "transformers",
    }
