"""An uncased MPNet: the case of words has vectors of its own, in training, in the trained model and in both exports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import AutoTokenizer, MPNetConfig, MPNetModel, PreTrainedTokenizerFast

from multiner.pipeline.core.document import from_words
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import read_json
from multiner.pipeline.models import load_base_model
from multiner.pipeline.models.transformer.export import export
from multiner.pipeline.models.transformer.network import CasedEmbedding, TorchTransformer, add_case, drops_case
from multiner.pipeline.models.windows import SpecialPieces, Windower, case_of
from tests.pipeline.models.conftest import fit, invented

PIECES = ["<s>", "<pad>", "</s>", "[UNK]", *map(chr, range(33, 65)), *map(chr, range(91, 127))]
VOCABULARY = [*PIECES, *("##" + piece for piece in PIECES[4:])]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A narrow MPNet of two layers, whose vocabulary has no capitals."""
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("mpnet")
    words = Tokenizer(models.WordPiece({piece: index for index, piece in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    words.normalizer, words.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", unk_token="[UNK]", cls_token="<s>", sep_token="</s>"
    ).save_pretrained(folder)
    config = MPNetConfig(
        vocab_size=len(VOCABULARY), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=130, pad_token_id=1, bos_token_id=0, eos_token_id=2,
    )  # fmt: skip
    MPNetModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def trained_uncased(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The MPNet, trained with frozen embeddings."""
    folder = tmp_path_factory.mktemp("uncased")
    fit(encoder, folder / "trained", folder / "checkpoints", freeze_embeddings=True, epochs=2, checkpoint_seconds=60)
    return folder / "trained"


@pytest.mark.parametrize(
    ("word", "case"),
    [
        ("oslo", 0), ("@ada", 0), ("3rd", 0), ("Oslo", 1), ("#Oslo", 1), ("I", 1), ("UN", 2), ("U.S.", 2),
        ("iPhone", 3), ("McLaren", 3), ("1990", 4), ("1,000", 4), ("...", 5), ("", 5),
    ],
)  # fmt: skip
def test_the_case_of_a_word_is_one_of_six(word: str, case: int) -> None:
    assert case_of(word) == case


def test_the_case_of_a_word_is_in_the_numbers_of_its_pieces(encoder: Path) -> None:
    windower = Windower(Tokenizer.from_file(str(encoder / "tokenizer.json")), SpecialPieces(0, 2, 3), 64, 1000)
    lower, title, capitals = windower.pieces(from_words("d", [["ada", "Ada", "ADA"]]))
    assert [piece + 1000 for piece in lower] == title
    assert [piece + 2000 for piece in lower] == capitals


def test_only_an_uncased_tokenizer_drops_case(encoder: Path, tiny_encoder: Path) -> None:
    assert drops_case(AutoTokenizer.from_pretrained(encoder))
    assert not drops_case(AutoTokenizer.from_pretrained(tiny_encoder))


def test_an_encoder_begins_as_it_was(encoder: Path) -> None:
    model, pieces = MPNetModel.from_pretrained(encoder).eval(), torch.tensor([[0, 40, 41, 42, 2]])
    before = model(pieces).last_hidden_state
    add_case(model, encoder)
    cased = pieces + torch.tensor([[0, 1, 1, 1, 0]]) * len(VOCABULARY)
    torch.testing.assert_close(model(cased).last_hidden_state, before)


def test_the_vectors_of_case_are_trained_and_saved_though_the_others_are_frozen(
    encoder: Path, trained_uncased: Path
) -> None:
    assert read_json(trained_uncased / "leg.json")["vocabulary"] == len(VOCABULARY)
    embedding: Any = TorchTransformer.load(trained_uncased).model.get_input_embeddings()
    assert isinstance(embedding, CasedEmbedding)
    torch.testing.assert_close(embedding.weight, MPNetModel.from_pretrained(encoder).embeddings.word_embeddings.weight)
    assert (embedding.case[:2].abs().amax(dim=1) > 0).all()


def test_a_training_goes_on_from_the_vectors_of_case(trained_uncased: Path, tmp_path: Path) -> None:
    """As `ner tune` does with a trained model."""
    fit(
        trained_uncased,
        tmp_path / "trained",
        tmp_path / "checkpoints",
        epochs=1,
        learning_rate=0.0,
        head_learning_rate=0.0,
    )
    before, after = (
        TorchTransformer.load(folder).model.get_input_embeddings() for folder in (trained_uncased, tmp_path / "trained")
    )
    torch.testing.assert_close(after.case, before.case)


def test_the_gradient_of_the_vectors_of_case_is_the_same_each_time() -> None:
    """With two threads, too: else the same inputs would give another model, and so other figures."""
    chance, threads = torch.Generator().manual_seed(5), torch.get_num_threads()
    embedding = CasedEmbedding(torch.nn.Embedding(100, 384))
    pieces = torch.randint(600, (8, 128), generator=chance)
    weights = torch.randn((8, 128, 384), generator=chance)
    try:
        torch.set_num_threads(2)
        gradients = [
            torch.autograd.grad((embedding(pieces) * weights).sum(), embedding.case, retain_graph=True)[0]
            for _ in range(20)
        ]
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(gradients[0], other) for other in gradients[1:])


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("int8", 0.05)])
def test_the_export_answers_as_the_trained_model_and_the_same_alone(
    trained_uncased: Path, tmp_path: Path, precision: str, tolerance: float
) -> None:
    long = from_words("long", [["Yesterday", "Ada", "went", "to", "OSLO", "and", "oslo"] * 9])
    documents = [*invented(30, 6), long, from_words("one", [["ada"]]), from_words("none", [])]
    export(trained_uncased, tmp_path / "leg", precision)
    assert read_json(tmp_path / "leg" / "leg.json")["exact_batches"] == (precision == "int8")
    model, expected = load_base_model("transformer", tmp_path / "leg"), TorchTransformer.load(trained_uncased)
    answers = model.predict(documents)
    np.testing.assert_allclose(np.concatenate(answers), np.concatenate(expected.predict(documents)), atol=tolerance)
    for document, rows in zip(documents, answers, strict=True):
        np.testing.assert_array_equal(model.predict([document])[0], rows)


@pytest.mark.parametrize("fixture", ["encoder", "tiny_encoder"])
def test_windows_longer_than_the_encoders_positions_are_refused(
    fixture: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    message = "positions for 128 pieces, and windows have up to 129"
    with pytest.raises(NerError, match=message):
        fit(request.getfixturevalue(fixture), tmp_path / "trained", tmp_path / "checkpoints", max_pieces=129)
