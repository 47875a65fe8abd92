"""Inference with the transformer: a token classifier on an encoder (Devlin et al. 2019) in ONNX Runtime.

A call of ONNX Runtime takes several windows if the exported model answers them bit for bit as alone (leg.json:
``exact_batches``; see packed.py). Otherwise each window is a call: where all activations of a call share one int8
scale, a batch would make the answer to a text depend on the texts beside it. Calls run in parallel threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from multiner.pipeline.core.cancellation import check_cancelled
from multiner.pipeline.core.environment import thread_count
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import read_json
from multiner.pipeline.models.base import SETTINGS
from multiner.pipeline.models.windows import SpecialPieces, Window, WindowedModel, Windower

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

MODEL = "model.onnx"
TOKENIZER = "tokenizer.json"
ROW = 8
"""Attention takes rows of a multiple of this many pieces; the windows of a call have rows of one length."""
CALL = 256
"""Pieces in a call at most, with the empty places of its rows: a larger call leaves the caches and is no faster."""
BEHIND = -1e4
"""Added to the attention that a place behind a window's end would get; its exponential is 0."""
SLOWER = "SkipLayerNormFusion"
"""An optimiser of ONNX Runtime whose fused node is slower than the two it replaces (58 against 17 µs for 26 pieces)."""


class TransformerModel(WindowedModel):
    """An exported transformer. Safe to call from several threads.

    ``session`` takes what :func:`packed_inputs` gives if ``exact_batches``, else ``input_ids`` ``[1, pieces]``. At most
    ``threads`` calls run in parallel.
    """

    def __init__(
        self, session: InferenceSession, windower: Windower, labels: list[str], context: int, threads: int,
        *, exact_batches: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(windower, labels, context)
        self._session = session
        self._exact_batches = exact_batches
        self._ahead = 2 * threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="windows")

    @classmethod
    def load(cls, folder: Path) -> TransformerModel:
        """Load what the stage ``export`` wrote to ``folder``. Raises NerError if the model cannot be read."""
        from onnxruntime import InferenceSession, SessionOptions
        from tokenizers import Tokenizer

        threads = thread_count()
        options = SessionOptions()
        options.intra_op_num_threads = threads
        # Threads that wait by spinning would take the cores from parallel windows and the other base models.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            settings = read_json(folder / SETTINGS)
            tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
            session = InferenceSession(
                folder / MODEL, options, providers=["CPUExecutionProvider"], disabled_optimizers=[SLOWER]
            )
        except Exception as error:  # both libraries raise their own classes for a damaged or missing file
            raise NerError(
                f"the transformer leg does not load: {str(error).splitlines()[0]}",
                where=str(folder), remedy="Export it again: dvc repro export",
            ) from error  # fmt: skip
        windower = Windower(
            tokenizer, SpecialPieces(**settings["special"]), settings["max_pieces"], settings.get("vocabulary", 0)
        )
        return cls(
            session, windower, settings["labels"], settings["context"], threads,
            exact_batches=settings.get("exact_batches", False),  # exports of earlier versions: one window a call
        )  # fmt: skip

    def forward(self, windows: Sequence[Window]) -> list[np.ndarray]:
        """Label probabilities of each window, in order: ``[pieces, labels]``.

        Raises Cancelled if nobody waits for them.
        """
        results: list[np.ndarray] = [np.empty(0)] * len(windows)
        pieces = [window.pieces for window in windows]
        calls = batches([len(each) for each in pieces]) if self._exact_batches else [[at] for at in range(len(pieces))]
        answers = self._answers([[pieces[index] for index in call] for call in calls])
        for call, answer in zip(calls, answers, strict=True):
            for index, rows in zip(call, answer, strict=True):
                results[index] = rows
        return results

    def _answers(self, calls: Sequence[list[list[int]]]) -> Iterator[list[np.ndarray]]:
        """The answers to calls, in order.

        Only a few calls are submitted ahead, so that concurrent callers take turns and a cancelled one ends soon.
        """
        if len(calls) < 2:
            yield from map(self._run, calls)
            return
        pending: deque[Future[list[np.ndarray]]] = deque()
        try:
            for call in calls:
                check_cancelled()
                pending.append(self._pool.submit(self._run, call))
                if len(pending) > self._ahead:
                    yield pending.popleft().result()
            while pending:
                check_cancelled()
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()

    def _run(self, call: list[list[int]]) -> list[np.ndarray]:
        """Label probabilities ``[pieces, labels]`` of the windows of a call, from their piece ids."""
        if not self._exact_batches:
            (probabilities,) = self._session.run(None, {"input_ids": np.array(call, dtype=np.int64)})
            return list(probabilities)
        (probabilities,) = self._session.run(None, packed_inputs(call))
        return np.split(probabilities, np.cumsum([len(pieces) for pieces in call])[:-1])


def row_length(pieces: int) -> int:
    """The length of the rows in which attention takes a window: the next multiple of :data:`ROW`."""
    return -(-pieces // ROW) * ROW


def batches(lengths: Sequence[int]) -> list[list[int]]:
    """Divide windows among calls, each of one window, or of windows with rows of one length, of :data:`CALL` pieces.

    Args:
        lengths: the number of pieces of each window.

    Returns:
        for each call the indices of its windows; the calls with the longest rows come first.
    """
    by_row: dict[int, list[int]] = {}
    for index, length in enumerate(lengths):
        by_row.setdefault(row_length(length), []).append(index)
    calls: list[list[int]] = []
    for row, indices in sorted(by_row.items(), reverse=True):
        number = -(-len(indices) // max(1, CALL // row))
        calls += [indices[at::number] for at in range(number)]  # of about equal size
    return calls


def packed_inputs(call: Sequence[Sequence[int]]) -> dict[str, np.ndarray]:
    """What a packed model takes (:class:`multiner.pipeline.models.transformer.packed.PackedEncoder`), from piece ids.

    The windows have rows of one length.
    """
    lengths = np.array([len(pieces) for pieces in call])
    positions = np.arange(row_length(lengths[0]))
    inside = positions < lengths[:, None]
    starts = (np.cumsum(lengths) - lengths)[:, None]
    return {
        "pieces": np.array([piece for pieces in call for piece in pieces], dtype=np.int64),
        "positions": np.broadcast_to(positions, inside.shape)[inside],
        "rows": np.where(inside, starts + positions, starts),
        "places": np.flatnonzero(inside),
        "mask": np.where(inside, 0.0, BEHIND).astype(np.float32)[:, None, None],
    }
