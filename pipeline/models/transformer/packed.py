"""A BERT or MPNet in int8 whose calls take several windows and answer each of them bit for bit as alone.

The windows of a call are packed: their pieces follow each other without padding, since every layer but attention treats
each piece by itself. Two things would let a window's answer depend on the others. Dynamic quantisation takes its scale
over a whole call; here each piece has a scale of its own (:class:`QuantisedLinear`), and products of integers are
exact. Attention sums over a row, in an order that depends on the row's length; here every window gets rows as long as
the next multiple of a fixed number (see inference.py), also when it is alone.

The nodes of ONNX Runtime that PyTorch has no operator for are written by ``symbolic`` methods; ``forward`` computes
the same in PyTorch.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import torch
from torch.autograd import Function

from multiner.pipeline.models.transformer.network import CasedEmbedding

if TYPE_CHECKING:
    from transformers import PreTrainedModel

INPUTS = {  # name → names of its dynamic axes
    "pieces": {0: "pieces"},
    "positions": {0: "pieces"},
    "rows": {0: "windows", 1: "length"},
    "places": {0: "pieces"},
    "mask": {0: "windows", 3: "length"},
}
_ACTIVATION_STEPS, _ZERO = 127, 128  # of unsigned 8-bit activations
_WEIGHT_STEPS = 127
"""Of signed 8-bit weights. AVX2 without VNNI cuts sums of two products at 16 bits: one of 16,000, which moves the
probabilities about as far as rounding does (docs/experiments.md)."""


def packable(model: PreTrainedModel) -> bool:
    """Whether a token classifier can be written as :class:`PackedEncoder`."""
    from transformers import BertForTokenClassification, MPNetForTokenClassification

    return isinstance(model, (BertForTokenClassification, MPNetForTokenClassification))


def sample() -> tuple[torch.Tensor, ...]:
    """Inputs for tracing: two windows of three and five pieces, in rows of eight."""
    rows = torch.tensor([[0, 1, 2, 0, 0, 0, 0, 0], [3, 4, 5, 6, 7, 3, 3, 3]])
    lengths, positions = torch.tensor([[3], [5]]), torch.arange(8)
    inside = positions < lengths
    return (torch.arange(8), positions.expand(2, 8)[inside], rows, inside.flatten().nonzero()[:, 0],
            torch.where(inside, 0.0, -1e4)[:, None, None])  # fmt: skip


class _Quantise(Function):
    """``[pieces, width]`` and a scale for each piece → unsigned 8-bit numbers of the same shape."""

    @staticmethod
    def forward(ctx: Any, tokens: torch.Tensor, scales: torch.Tensor, zeros: torch.Tensor, width: int) -> torch.Tensor:
        return (torch.round(tokens / scales[:, None]) + _ZERO).to(torch.uint8)

    @staticmethod
    def symbolic(g: Any, tokens: Any, scales: Any, zeros: Any, width: int) -> Any:
        return _typed(g.op("QuantizeLinear", tokens, scales, zeros, axis_i=0), zeros, [None, width])


class _Multiply(Function):
    """8-bit tokens ``[…, in]`` and weights ``[in, out]`` → products ``[…, out]``, times the scale of each column."""

    @staticmethod
    def forward(ctx: Any, tokens: torch.Tensor, weights: torch.Tensor, scales: torch.Tensor, rank: int) -> torch.Tensor:
        return (tokens.float() - _ZERO) @ weights.float() * scales

    @staticmethod
    def symbolic(g: Any, tokens: Any, weights: Any, scales: Any, rank: int) -> Any:
        one = g.op("Constant", value_t=torch.tensor(1.0))
        zero = g.op("Constant", value_t=torch.tensor(_ZERO, dtype=torch.uint8))
        products = g.op("com.microsoft::MatMulIntegerToFloat", tokens, weights, one, scales, zero)
        return _typed(products, scales, [None] * (rank - 1) + [weights.type().sizes()[1]])


class _Attend(Function):
    """Multi-head attention on ``[windows, length, width]``; ``bias`` is that of query, key and value, joined."""

    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor, mask: torch.Tensor,
        heads: int,
    ) -> torch.Tensor:  # fmt: skip
        windows, length, width = query.shape
        parts = zip((query, key, value), bias.split(width), strict=True)
        q, k, v = ((part + own).reshape(windows, length, heads, -1).transpose(1, 2) for part, own in parts)
        scores = q @ k.transpose(-1, -2) / math.sqrt(width // heads) + mask
        return (scores.softmax(-1) @ v).transpose(1, 2).reshape(windows, length, width)

    @staticmethod
    def symbolic(g: Any, query: Any, key: Any, value: Any, bias: Any, mask: Any, heads: int) -> Any:
        nothing = g.op("prim::Constant").setType(torch._C.OptionalType.ofTensor())
        node = g.op("com.microsoft::MultiHeadAttention", query, key, value, bias, nothing, mask, num_heads_i=heads)
        return node.setType(query.type())


def _typed(node: Any, like: Any, sizes: list[int | None]) -> Any:
    """The node, with the element type of ``like``: PyTorch knows the types of its own operators only."""
    return node.setType(like.type().with_sizes(sizes))


def quantise_tokens(tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """``[pieces, width]`` → 8-bit numbers of that shape, and the scale of each piece, ``[pieces, 1]``."""
    scales = tokens.abs().amax(dim=-1) * (1 / _ACTIVATION_STEPS)
    zeros = torch.full_like(scales, _ZERO, dtype=torch.uint8)
    return _Quantise.apply(tokens, scales, zeros, int(tokens.shape[-1])), scales[:, None]


class QuantisedLinear(torch.nn.Module):
    """The products of linear layers side by side, without their bias: weights in int8, a scale for each output."""

    def __init__(self, *linears: torch.nn.Linear) -> None:
        super().__init__()
        weight = torch.cat([linear.weight.detach() for linear in linears])
        scales = weight.abs().amax(dim=1).clamp(min=1e-9) / _WEIGHT_STEPS
        self.register_buffer("weight", torch.round(weight / scales[:, None]).to(torch.int8).T.contiguous())
        self.register_buffer("scales", scales)
        self.register_buffer("bias", torch.cat([linear.bias.detach() for linear in linears]))

    def forward(self, tokens: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
        """``[…, in]`` as :func:`quantise_tokens` gives them → ``[…, out]``."""
        return _Multiply.apply(tokens, self.weight, self.scales, tokens.dim()) * scales


class _Layer(torch.nn.Module):
    """A layer of BERT or MPNet, which differ in the names of the parts of attention."""

    def __init__(self, layer: Any, heads: int) -> None:
        super().__init__()
        if hasattr(layer.attention, "attn"):
            inside = layer.attention.attn
            joined, project, attended = (inside.q, inside.k, inside.v), inside.o, layer.attention.LayerNorm
        else:
            inside, output = layer.attention.self, layer.attention.output
            joined, project, attended = (inside.query, inside.key, inside.value), output.dense, output.LayerNorm
        self.joined = QuantisedLinear(*joined)
        self.heads = heads
        self.project, self.attended = QuantisedLinear(project), attended
        self.widen, self.activation = QuantisedLinear(layer.intermediate.dense), layer.intermediate.intermediate_act_fn
        self.narrow, self.normalise = QuantisedLinear(layer.output.dense), layer.output.LayerNorm

    def forward(
        self, tokens: torch.Tensor, rows: torch.Tensor, places: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        numbers, scales = (each[rows] for each in quantise_tokens(tokens))
        width = int(tokens.shape[-1])
        query, key, value = self.joined(numbers, scales).split(width, dim=-1)
        attended = _Attend.apply(query, key, value, self.joined.bias, mask, self.heads).reshape(-1, width)[places]
        tokens = self.attended(self.project(*quantise_tokens(attended)) + self.project.bias + tokens)
        wide = self.activation(self.widen(*quantise_tokens(tokens)) + self.widen.bias)
        return self.normalise(self.narrow(*quantise_tokens(wide)) + self.narrow.bias + tokens)


class PackedEncoder(torch.nn.Module):
    """A token classifier in int8 on packed windows.

    Its inputs, with the number of all pieces ``pieces``, of windows, and of places in a row ``length``:

    - ``pieces`` ``[pieces]``: the piece ids of the windows, one window after another;
    - ``positions`` ``[pieces]``: the position of each piece in its window;
    - ``rows`` ``[windows, length]``: the index of the piece at each place; behind the end, that of the window's first;
    - ``places`` ``[pieces]``: the index in the flat ``rows`` of each piece;
    - ``mask`` ``[windows, 1, 1, length]``: 0 at a piece, a very negative number behind the end of a window.

    Its output are the probabilities ``[pieces, labels]``.
    """

    words: torch.Tensor
    scales: torch.Tensor
    positions: torch.Tensor
    case: torch.Tensor | None
    distances: torch.Tensor | None

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        encoder, config = getattr(model, model.base_model_prefix), model.config
        embeddings = encoder.embeddings
        words = embeddings.word_embeddings.weight.detach()
        scales = words.abs().amax(dim=1, keepdim=True).clamp(min=1e-9) / 127
        positions = embeddings.position_embeddings.weight
        if hasattr(embeddings, "token_type_embeddings"):
            positions = positions + embeddings.token_type_embeddings.weight[0]
        else:  # of MPNet, whose numbers of positions begin behind that of the padding
            positions = positions[embeddings.padding_idx + 1 :]
        self.register_buffer("words", torch.round(words / scales).to(torch.int8))
        self.register_buffer("scales", scales)
        self.register_buffer("positions", positions.detach().clone())
        self.normalise = embeddings.LayerNorm
        self.layers = torch.nn.ModuleList(_Layer(each, config.num_attention_heads) for each in encoder.encoder.layer)
        cased = isinstance(embeddings.word_embeddings, CasedEmbedding)
        self.register_buffer("case", embeddings.word_embeddings.case.detach().clone() if cased else None)
        relative = hasattr(encoder.encoder, "relative_attention_bias")
        self.register_buffer("distances", _distance_bias(encoder.encoder, len(positions)) if relative else None)
        self.classifier = QuantisedLinear(cast("torch.nn.Linear", model.classifier))

    def forward(
        self, pieces: torch.Tensor, positions: torch.Tensor, rows: torch.Tensor, places: torch.Tensor,
        mask: torch.Tensor,
    ) -> torch.Tensor:  # fmt: skip
        """The probabilities, from the inputs that the class describes."""
        cased, pieces = pieces, pieces if self.case is None else pieces % len(self.words)
        tokens = self.words[pieces].float() * self.scales[pieces] + self.positions[positions]
        if self.case is not None:
            tokens = tokens + self.case[cased // len(self.words)]
        tokens = self.normalise(tokens)
        mask = mask.expand(-1, -1, rows.shape[1], -1)
        if self.distances is not None:
            place = torch.arange(rows.shape[1])
            mask = mask + self.distances[:, place[None] - place[:, None] + self.distances.shape[1] // 2]
        for layer in self.layers:
            tokens = layer(tokens, rows, places, mask)
        return torch.softmax(self.classifier(*quantise_tokens(tokens)) + self.classifier.bias, dim=-1)


def _distance_bias(encoder: Any, places: int) -> torch.Tensor:
    """What MPNet adds to attention, from the farthest place before to the one behind: ``[heads, 2 * places - 1]``."""
    with torch.no_grad():
        buckets = encoder.relative_position_bucket(torch.arange(1 - places, places))
        return encoder.relative_attention_bias(buckets).T.contiguous()
