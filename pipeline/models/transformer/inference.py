"""Inference with the transformer: a token classifier on an encoder (Devlin et al. 2019) in ONNX Runtime.

Each window is one call of ONNX Runtime, without padding. All activations of a call share one int8 scale, so a batch of
windows would make the answer to a text depend on the texts beside it. Windows run in parallel threads instead, which
leaves every answer bit for bit the same.
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
SLOWER = "SkipLayerNormFusion"
"""An optimiser of ONNX Runtime whose fused node is slower than the two it replaces (58 against 17 µs for 26 pieces)."""


class TransformerModel(WindowedModel):
    """An exported transformer. Safe to call from several threads.

    ``session`` maps ``input_ids`` ``[1, pieces]`` to ``probabilities`` ``[1, pieces, labels]``; at most ``threads``
    windows run in parallel.
    """

    def __init__(
        self, session: InferenceSession, windower: Windower, labels: list[str], context: int, threads: int
    ) -> None:
        super().__init__(windower, labels, context)
        self._session = session
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
        windower = Windower(tokenizer, SpecialPieces(**settings["special"]), settings["max_pieces"])
        return cls(session, windower, settings["labels"], settings["context"], threads)

    def forward(self, windows: Sequence[Window]) -> Iterator[np.ndarray]:
        """Label probabilities ``[pieces, labels]`` of each window, in order. Raises Cancelled if nobody waits for them.

        Only a few windows are submitted ahead, so that concurrent calls take turns and a cancelled call ends soon.
        """
        if len(windows) < 2:
            yield from map(self._run, windows)
            return
        pending: deque[Future[np.ndarray]] = deque()
        try:
            for window in windows:
                check_cancelled()
                pending.append(self._pool.submit(self._run, window))
                if len(pending) > self._ahead:
                    yield pending.popleft().result()
            while pending:
                check_cancelled()
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()

    def _run(self, window: Window) -> np.ndarray:
        (probabilities,) = self._session.run(None, {"input_ids": np.array([window.pieces], dtype=np.int64)})
        return probabilities[0]
