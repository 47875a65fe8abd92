"""Models of the real classes for real servers, small enough to be made by a test."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from multiner.pipeline.core.files import write_json
from multiner.pipeline.core.iob2 import bio_labels
from multiner.serving.backends.backend import ServedModel

TYPES = ["PER", "LOC"]


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., ServedModel]:
    """Saves a model of the real classes as registration does; its legs are small, but take their time on long texts."""
    import mlflow
    import spacy
    import torch
    from mlflow.types import ParamSchema
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForTokenClassification, PreTrainedTokenizerFast

    from multiner.pipeline.models.transformer.export import export
    from multiner.pipeline.registry.lineage import MODEL_CODE
    from multiner.pipeline.registry.packaging import freeze_code, signature

    folder, labels = tmp_path_factory.mktemp("saved"), bio_labels(TYPES)
    torch.manual_seed(1)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = [*special, "Ada", "saw", "Oslo", "and", "Bo", "Lima", ",", "."]
    words = Tokenizer(models.WordLevel({word: at for at, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token"), special, strict=True))
    size = {"hidden_size": 512, "num_hidden_layers": 4, "num_attention_heads": 8, "intermediate_size": 2048}
    config = BertConfig(vocab_size=len(vocabulary), num_labels=len(labels), max_position_embeddings=66, **size)
    BertForTokenClassification(config).save_pretrained(folder / "trained")
    PreTrainedTokenizerFast(tokenizer_object=words, **names).save_pretrained(folder / "trained")
    write_json(folder / "trained" / "leg.json", {"labels": labels, "max_pieces": 64, "context": 16})
    write_json(folder / "trained" / "history.json", [])
    export(folder / "trained", folder / "transformer", "fp32")
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns(
        [{"label": "PERSON", "pattern": "Ada"}, {"label": "GPE", "pattern": "Oslo"}]
    )
    nlp.to_disk(folder / "shipped")
    write_json(folder / "shipped" / "shipped.json", {"labels": labels})
    members = [
        {"name": name, "temperature": 1.0, "weight": weight}
        for name, weight in (("shipped", 0.9), ("transformer", 0.1))
    ]
    write_json(folder / "ensemble.json", {"language": "en", "types": TYPES, "members": members, "chooser": None})

    def make(version: str, *params: str) -> ServedModel:
        shape = signature()
        known = [each for each in shape.params.params if each.name in params]
        shape.params = ParamSchema(known) if known else None
        mlflow.pyfunc.save_model(
            folder / version,
            python_model=str(MODEL_CODE),
            artifacts={
                "ensemble": str(folder / "ensemble.json"),
                **{leg: str(folder / leg) for leg in ("shipped", "transformer")},
            },
            code_paths=[str(freeze_code(folder / f"code-{version}"))],
            signature=shape,
            pip_requirements=["mlflow"],
        )
        return ServedModel("en", "ner-en", version, str(folder / version))

    return make
