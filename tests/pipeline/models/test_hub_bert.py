"""Profile ``bert``: from an encoder in the hub's format to an ensemble that answers with exact offsets.

The encoders are made here, with the architecture, the class names and the files of bert-base-cased and
bert-base-multilingual-cased on the hub, but narrow and untrained.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import spacy
from safetensors.torch import load_file, save_file

from multiner.pipeline.config.settings import Workspace, load_params, overlay
from multiner.pipeline.core.document import Document
from multiner.pipeline.core.files import read_json
from multiner.pipeline.corpora import prepare
from multiner.pipeline.ensemble import fit
from multiner.pipeline.ensemble.model import Ensemble
from multiner.pipeline.models import load_base_model
from multiner.pipeline.models.pretrained import installation
from multiner.pipeline.models.training_documents import read_split
from multiner.pipeline.models.transformer import export, training
from multiner.pipeline.models.transformer.encoders import fetch, resolve_encoder
from multiner.pipeline.models.transformer.network import TorchTransformer
from multiner.pipeline.text.tokenizer import document_from_text

LETTERS = "abcdefghijklmnopqrstuvwxyzабвгдеёжзийклмнопрстуфхцчшщъыьэюяéüß"
SCALE = 1.5
TEXTS = {
    "en": "Zoë Müller-O'Neill left São Paulo\u00a0🙂 for Oslo;\r\nthe WHO's café stayed.",
    "ru": "Анна Ёлкина-Й прилетела в Пермь\u00a0🙂 из Осло;\r\nфирма «Ромашка» осталась.",
}


def make_hub_folder(folder: Path) -> None:
    """The files of a cased BERT of the hub: MaskedLM weights with the old names of the norms, WordPiece, no pickles."""
    import torch
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertForMaskedLM

    letters = [*LETTERS, *LETTERS.upper(), *"0123456789.,;:'«»-!?"]
    pieces = ["[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces += list(dict.fromkeys([*letters, *("##" + letter for letter in letters)]))
    torch.manual_seed(5)
    config = BertConfig(vocab_size=len(pieces), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
                        intermediate_size=64, max_position_embeddings=512)  # fmt: skip
    BertForMaskedLM(config).save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    for new, former in old.items():
        weights = {name.replace(new, former): tensor for name, tensor in weights.items()}
    weights["bert.embeddings.LayerNorm.gamma"].fill_(SCALE)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    BertWordPieceTokenizer(str(folder / "vocab.txt"), lowercase=False, strip_accents=False).save(
        str(folder / "tokenizer.json")
    )
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False, "model_max_length": 512}))


def make_rules(folder: Path, language: str, documents: list[Document]) -> None:
    """A pretrained pipeline that knows the names of these documents, and Oslo."""
    ruler = (nlp := spacy.blank(language)).add_pipe("entity_ruler")
    names = {(" ".join(each.words(span.start, span.end)), span.label) for each in documents for span in each.spans}
    patterns = [{"label": label, "pattern": name} for name, label in sorted(names)]
    ruler.add_patterns([*patterns, *({"label": "LOC", "pattern": place} for place in ("Oslo", "Осло"))])
    nlp.to_disk(folder)


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "ru"])
def test_from_the_hubs_files_to_an_ensemble(language: str, root: Path, tmp_path: Path) -> None:
    own = {"transformer": {"epochs": 2}, "shipped": {"pipeline": str(tmp_path / "rules")}, "ensemble": {"folds": 0}}
    params = overlay(load_params(root, "bert"), {
        "prepare": {"raw": "data/samples"}, "languages": {language: own},
        "ensemble": {"legs": ["transformer", "shipped"]},
        "transformer": {"batch_pieces": 256, "learning_rate": 3e-3, "head_learning_rate": 1e-2, "threads": 1},
    })  # fmt: skip
    workspace = Workspace(tmp_path, params)
    shutil.copytree(root / "data" / "samples", tmp_path / "data" / "samples")
    name = params["languages"][language]["transformer"]["encoder"]
    assert name in ("bert-base-cased", "bert-base-multilingual-cased")
    make_hub_folder(workspace.paths.encoder(name))
    assert read_json(workspace.paths.encoder(name) / "config.json")["architectures"] == ["BertForMaskedLM"]
    assert fetch(resolve_encoder(name, workspace.paths)) == str(workspace.paths.encoder(name))

    prepare.run(workspace, language)
    make_rules(tmp_path / "rules", language, read_split(workspace, language, "dev"))
    training.run(workspace, language)
    history = read_json(workspace.paths.trained(language) / "history.json")
    assert history[-1]["loss"] < history[0]["loss"]
    trained = TorchTransformer.load(workspace.paths.trained(language))
    norm = trained.model.bert.embeddings.LayerNorm.weight  # type: ignore[union-attr]
    assert abs(norm - SCALE).max() < 0.3, "the hub's weights are the start"
    config = read_json(workspace.paths.trained(language) / "config.json")
    assert config["architectures"] == ["BertForTokenClassification"]
    export.run(workspace, language)
    installation.run(workspace, language)
    fit.run(workspace, language)

    text = TEXTS[language]
    document = document_from_text(text, language)
    exported = load_base_model("transformer", workspace.paths.leg(language, "transformer"))
    pieces, unknown = trained.windower.pieces(document), trained.windower.special.unknown
    words = [word for word, ids in zip(document.words(), pieces, strict=True) if unknown in ids]
    assert set(words) <= {"🙂", "Zoë", "São"}, "words are split with their case and accents"
    assert exported.windower.pieces(document) == pieces  # type: ignore[attr-defined]
    (torch_rows,), (onnx_rows,) = trained.predict([document]), exported.predict([document])
    assert torch_rows.shape == onnx_rows.shape == (len(document.tokens), len(trained.labels))
    assert float(np.abs(torch_rows - onnx_rows).mean()) < 0.05

    legs = {leg: workspace.paths.leg(language, leg) for leg in ("transformer", "shipped")}
    (prediction,) = Ensemble.load(workspace.paths.ensemble(language), legs).predict([document])
    places = [text[document.tokens[span.start].start : document.tokens[span.end - 1].end] for span in prediction.spans]
    assert {"en": "Oslo", "ru": "Осло"}[language] in places
