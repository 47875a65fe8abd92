"""From the trained transformer to the one that answers: ONNX, its weights in int8.

The weights are quantised per output channel, the activations at each call (dynamic quantisation: Jacob et al. 2018;
ONNX Runtime's ``quantize_dynamic``). Weights take seven bits of the eight: without VNNI, AVX2 adds pairs of products
in 16 bits, which eight would overflow. A call's activations share one scale, and in the feed-forward layers of a BERT
a few tokens reach values some fifty times the others' (Bondarenko et al. 2021; Sun et al. 2024): there each token is
scaled by itself first (:class:`TokenScaled`), which keeps most of what eight bits would otherwise lose.
"""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.decoding import decode_spans, span_f1
from multiner.pipeline.core.document import Document
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import read_json, replace_folder, write_json
from multiner.pipeline.core.progress import bar
from multiner.pipeline.models.base import SETTINGS, Leg
from multiner.pipeline.models.training_documents import read_tune
from multiner.pipeline.models.transformer.inference import MODEL, TOKENIZER, TransformerLeg
from multiner.pipeline.models.transformer.network import TorchLeg

if TYPE_CHECKING:
    from transformers import PreTrainedModel

HISTORY = "history.json"
PRECISIONS = ("int8", "fp32")
QUANTISED = ["MatMul", "Gemm", "Gather"]  # Gather: the rows of the embeddings, which are most of the file
OPSET = 17  # the first with a LayerNormalization of its own


def run(workspace: Workspace, language: str) -> None:
    """Stage ``export``: write the leg that answers, and note its F1 on the tune half beside that of training.

    Raises:
        NerError: there is no trained leg, or the precision is unknown.
    """
    paths = workspace.paths
    trained, folder = paths.trained(language), paths.leg(language, "transformer")
    dev = read_tune(workspace, language)
    export(trained, folder, workspace.params["export"]["precision"], dev, title=f"export {language}")
    before = max((point["dev_f1"] for point in read_json(trained / HISTORY)), default=0.0)
    size = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    print(
        f"{language} transformer: {size:.0f} MB, development F1 {read_json(folder / SETTINGS)['dev_f1']:.2f} "
        f"(as trained {before:.2f})"
    )


def export(trained: Path, folder: Path, precision: str, dev: Sequence[Document] = (), *, title: str = "export") -> None:
    """Write the ONNX leg of the one in ``trained`` to ``folder``, replaced as a whole.

    Args:
        trained: what training left (safetensors, tokenizer, leg.json, history.json).
        folder: gets model.onnx, tokenizer.json, leg.json and history.json.
        precision: of the weights, ``int8`` or ``fp32``.
        dev: documents with gold spans; the exported leg's F1 on them is noted in leg.json.
        title: shown on the progress bar.

    Raises:
        NerError: there is no trained leg, or the precision is unknown.
    """
    if precision not in PRECISIONS:
        raise NerError(f"unknown precision {precision!r}", where="params.yaml: export.precision",
                       remedy=f"Choose one of: {', '.join(PRECISIONS)}.")  # fmt: skip
    if not (trained / SETTINGS).is_file():
        raise NerError(
            "no trained transformer here", where=str(trained), remedy="Train it: dvc repro train_transformer"
        )
    settings = read_json(trained / SETTINGS)
    leg = TorchLeg.load(trained)
    with replace_folder(folder) as new:
        if precision == "int8":
            scale_tokens(leg.model)
            to_onnx(leg.model, new / "fp32.onnx")
            quantise(new / "fp32.onnx", new / MODEL)
            (new / "fp32.onnx").unlink()
        else:
            to_onnx(leg.model, new / MODEL)
        for name in (TOKENIZER, HISTORY):
            shutil.copy(trained / name, new / name)
        settings |= {"precision": precision, "special": asdict(leg.windower.special)}
        write_json(new / SETTINGS, settings)
        if dev:
            write_json(new / SETTINGS, settings | {"dev_f1": score(TransformerLeg.load(new), dev, title)})


class TokenScaled(torch.nn.Module):
    """A linear layer that multiplies tokens of magnitude 1 and gives their magnitude back to the products.

    The same function in real numbers; quantised, no token takes the range from the others.
    """

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """``[…, in]`` → ``[…, out]``."""
        magnitude = tokens.abs().amax(dim=-1, keepdim=True).clamp(min=1e-9)
        return torch.matmul(tokens / magnitude, self.linear.weight.T) * magnitude + self.linear.bias


def scale_tokens(model: PreTrainedModel) -> None:
    """Put :class:`TokenScaled` in the place of the layers that widen or narrow: feed-forward and classifier."""
    for name, module in list(model.named_modules()):
        if isinstance(module, torch.nn.Linear) and module.in_features != module.out_features:
            model.set_submodule(name, TokenScaled(module))


def to_onnx(model: PreTrainedModel, path: Path) -> None:
    """Write a token classifier as ONNX: ``input_ids`` ``[1, pieces]`` → ``probabilities`` ``[1, pieces, labels]``.

    No mask goes in: a call holds one window, whole and without padding.
    """

    class Probabilities(torch.nn.Module):
        def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
            return torch.softmax(model(input_ids=input_ids).logits, dim=-1)

    wrapped = Probabilities().eval()
    wrapped.add_module("model", model)
    sample = torch.arange(16)[None] % model.config.vocab_size
    inputs, outputs = ["input_ids"], ["probabilities"]
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # of tracing: shapes that it takes for constants are so, or named below
        torch.onnx.export(
            wrapped, (sample,), str(path), dynamo=False, opset_version=OPSET, input_names=inputs,
            output_names=outputs, dynamic_axes={name: {1: "pieces"} for name in inputs + outputs},
        )  # fmt: skip


def quantise(source: Path, target: Path) -> None:
    """Write the ONNX model ``source`` with int8 weights to ``target``."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logging.disable(logging.WARNING)  # it advises a pre-processing that changes nothing for this graph
    try:
        quantize_dynamic(
            source, target, op_types_to_quantize=QUANTISED, weight_type=QuantType.QInt8,
            per_channel=True, reduce_range=True,
        )  # fmt: skip
    finally:
        logging.disable(logging.NOTSET)


def score(leg: Leg, documents: Sequence[Document], title: str) -> float:
    """Strict span F1 of a leg alone, in percent."""
    found = []
    with bar(len(documents), title, unit="document") as progress:
        for document in documents:
            (rows,) = leg.predict([document])
            found.append(decode_spans(rows, document.sentences, leg.labels, scores=False))
            progress.update()
    return span_f1(documents, found)
