"""Export of the trained transformer for inference: ONNX with int8 weights.

Weights are quantised per output channel, and activations at each call (dynamic quantisation: Jacob et al. 2018). In the
feed-forward layers of BERT a few tokens have values some fifty times those of the others (Bondarenko et al. 2021; Sun
et al. 2024), so one scale for all of them would cost the others their precision.

A BERT or MPNet is written as a graph that scales every token by itself in all layers and answers several windows in one
call (:mod:`.packed`). Other encoders, and all in fp32, take one window a call; in int8, ONNX Runtime's
``quantize_dynamic`` then gives all activations of a call one scale, and each token is scaled by itself in the
feed-forward layers (:class:`TokenScaled`). Weights use seven bits there: without VNNI, AVX2 adds pairs of products in
16 bits.
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
from multiner.pipeline.models.base import SETTINGS, TokenClassifier
from multiner.pipeline.models.training_documents import read_tune_half
from multiner.pipeline.models.transformer.inference import MODEL, TOKENIZER, TransformerModel
from multiner.pipeline.models.transformer.network import TorchTransformer
from multiner.pipeline.models.transformer.packed import INPUTS, PackedEncoder, packable, sample

if TYPE_CHECKING:
    from transformers import PreTrainedModel

HISTORY = "history.json"
PRECISIONS = ("int8", "fp32")
QUANTISED = ["MatMul", "Gemm", "Gather"]  # Gather: the embeddings, which are most of the file
OPSET = 17  # the first with an operator LayerNormalization


def run(workspace: Workspace, language: str) -> None:
    """Stage ``export``: write the transformer for inference, with its F1 on the tune halves."""
    paths = workspace.paths
    trained, folder = paths.trained(language), paths.leg(language, "transformer")
    dev = read_tune_half(workspace, language)
    export(trained, folder, workspace.params["export"]["precision"], dev, title=f"export {language}")
    size = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    print(f"{language} transformer: {size:.0f} MB, development F1 {read_json(folder / SETTINGS)['dev_f1']:.2f}")


def export(trained: Path, folder: Path, precision: str, dev: Sequence[Document] = (), *, title: str = "export") -> None:
    """Write the transformer in ``trained`` as ONNX to ``folder``, which is replaced as a whole.

    Args:
        trained: the folder that training wrote (safetensors, tokenizer, leg.json, history.json).
        folder: the folder for model.onnx, tokenizer.json, leg.json and history.json.
        precision: precision of the weights, ``int8`` or ``fp32``.
        dev: documents with gold spans; leg.json records the F1 of the exported model on them.

    Raises:
        NerError: the transformer is not trained, or the precision is unknown.
    """
    if precision not in PRECISIONS:
        raise NerError(f"unknown precision {precision!r}", where="params.yaml: export.precision",
                       remedy=f"Choose one of: {', '.join(PRECISIONS)}.")  # fmt: skip
    if not (trained / SETTINGS).is_file():
        raise NerError(
            "no trained transformer here", where=str(trained), remedy="Train it: dvc repro train_transformer"
        )
    settings = read_json(trained / SETTINGS)
    transformer = TorchTransformer.load(trained)
    packed = precision == "int8" and packable(transformer.model)
    with replace_folder(folder) as new:
        if packed:
            packed_to_onnx(transformer.model, new / MODEL)
        elif precision == "int8":
            scale_tokens(transformer.model)
            to_onnx(transformer.model, new / "fp32.onnx")
            quantise(new / "fp32.onnx", new / MODEL)
            (new / "fp32.onnx").unlink()
        else:
            to_onnx(transformer.model, new / MODEL)
        for name in (TOKENIZER, HISTORY):
            shutil.copy(trained / name, new / name)
        settings |= {"precision": precision, "special": asdict(transformer.windower.special), "exact_batches": packed}
        write_json(new / SETTINGS, settings)
        if dev:
            write_json(new / SETTINGS, settings | {"dev_f1": score(TransformerModel.load(new), dev, title)})


class TokenScaled(torch.nn.Module):
    """A linear layer that scales each token to magnitude 1, multiplies, and scales the products back.

    In exact arithmetic this changes nothing. Quantised, a token with large values no longer costs the others precision.
    """

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """``[…, in]`` → ``[…, out]``."""
        magnitude = tokens.abs().amax(dim=-1, keepdim=True).clamp(min=1e-9)
        return torch.matmul(tokens / magnitude, self.linear.weight.T) * magnitude + self.linear.bias


def scale_tokens(model: PreTrainedModel) -> None:
    """Replace the layers that change the width (feed-forward and classifier) by :class:`TokenScaled`."""
    for name, module in list(model.named_modules()):
        if isinstance(module, torch.nn.Linear) and module.in_features != module.out_features:
            model.set_submodule(name, TokenScaled(module))


def to_onnx(model: PreTrainedModel, path: Path) -> None:
    """Write a token classifier as ONNX: ``input_ids`` ``[1, pieces]`` → ``probabilities`` ``[1, pieces, labels]``.

    There is no attention mask, since a call holds one window without padding.
    """

    class Probabilities(torch.nn.Module):
        def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
            return torch.softmax(model(input_ids=input_ids).logits, dim=-1)

    wrapped = Probabilities().eval()
    wrapped.add_module("model", model)
    pieces = torch.arange(16)[None] % model.config.vocab_size
    _write(wrapped, (pieces,), {"input_ids": {1: "pieces"}}, {"probabilities": {1: "pieces"}}, path)


def packed_to_onnx(model: PreTrainedModel, path: Path) -> None:
    """Write an encoder as ONNX in int8: several windows → ``probabilities`` ``[pieces, labels]``."""
    _write(PackedEncoder(model).eval(), sample(), INPUTS, {"probabilities": {0: "pieces"}}, path)


def _write(
    module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], names: dict[str, dict[int, str]],
    output: dict[str, dict[int, str]], path: Path,
) -> None:  # fmt: skip
    """Write a module as ONNX; ``names`` and ``output`` map the names of inputs and output to their dynamic axes."""
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # tracing warns of constant shapes; they are constant, or dynamic by name
        torch.onnx.export(
            module, inputs, str(path), dynamo=False, opset_version=OPSET, input_names=list(names),
            output_names=list(output), dynamic_axes=names | output, custom_opsets={"com.microsoft": 1},
        )  # fmt: skip


def quantise(source: Path, target: Path) -> None:
    """Write the ONNX model ``source`` with int8 weights to ``target``."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logging.disable(logging.WARNING)  # it recommends a pre-processing that changes nothing in this graph
    try:
        quantize_dynamic(
            source, target, op_types_to_quantize=QUANTISED, weight_type=QuantType.QInt8,
            per_channel=True, reduce_range=True,
        )  # fmt: skip
    finally:
        logging.disable(logging.NOTSET)


def score(model: TokenClassifier, documents: Sequence[Document], title: str) -> float:
    """Strict span F1 of a base model alone, in percent."""
    predicted = []
    with bar(len(documents), title, unit="document") as progress:
        for document in documents:
            (rows,) = model.predict([document])
            predicted.append(decode_spans(rows, document.sentences, model.labels, scores=False))
            progress.update()
    return span_f1(documents, predicted)
