"""The transformer leg at inference: a token classifier on an encoder (Devlin et al. 2019) in ONNX Runtime.

A window is a call of its own. Dynamic int8 takes the scale of its activations over all that a call holds, so a text
that shared a call with others would be answered otherwise than alone; nor is anything ever padded. Windows run beside
each other in threads instead, which changes no bit of an answer.
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
from multiner.pipeline.models.windows import (
    Special,
    Window,
    WindowedLeg,
    Windower,
)

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

MODEL = "model.onnx"
TOKENIZER = "tokenizer.json"
SLOWER = "SkipLayerNormFusion"
"""A fusion of ONNX Runtime that takes longer than the two nodes it fuses (58 µs against 17 for 26 pieces, 384 wide)."""


class TransformerLeg(WindowedLeg):
    """An exported encoder with its classifier. Safe to call from several threads.

    Args:
        session: takes ``input_ids`` ``[1, pieces]`` and gives ``probabilities`` ``[1, pieces, labels]``.
        windower: cuts documents into windows.
        labels: the label set, in the order of the model's outputs.
        context: pieces of preceding sentences shown at most.
        threads: windows that run beside each other at most.
    """

    def __init__(
        self, session: InferenceSession, windower: Windower, labels: list[str], context: int, threads: int
    ) -> None:
        super().__init__(windower, labels, context)
        self._session = session
        self._ahead = 2 * threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="windows")

    @classmethod
    def load(cls, folder: Path) -> TransformerLeg:
        """The leg that the stage ``export`` wrote to ``folder`` (model.onnx, tokenizer.json, leg.json).

        Raises:
            NerError: the model cannot be read.
        """
        from onnxruntime import InferenceSession, SessionOptions
        from tokenizers import Tokenizer

        threads = thread_count()
        options = SessionOptions()
        options.intra_op_num_threads = threads
        # Threads that wait for work by spinning take the cores from the windows (and the leg) beside them.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            settings = read_json(folder / SETTINGS)
            tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
            session = InferenceSession(
                folder / MODEL, options, providers=["CPUExecutionProvider"], disabled_optimizers=[SLOWER]
            )
        except Exception as error:  # both libraries raise classes of their own for a file that is broken or absent
            raise NerError(
                f"the transformer leg does not load: {str(error).splitlines()[0]}",
                where=str(folder), remedy="Export it again: dvc repro export",
            ) from error  # fmt: skip
        windower = Windower(tokenizer, Special(**settings["special"]), settings["max_pieces"])
        return cls(session, windower, settings["labels"], settings["context"], threads)

    def forward(self, windows: Sequence[Window]) -> Iterator[np.ndarray]:
        """Label probabilities of each window, in order: ``[pieces, labels]``.

        Few are begun ahead of what is read, so that calls beside each other take turns, and one that is cancelled ends.

        Raises:
            Cancelled: see :func:`multiner.pipeline.core.cancellation.check_cancelled`.
        """
        if len(windows) < 2:
            yield from map(self._run, windows)
            return
        begun: deque[Future[np.ndarray]] = deque()
        try:
            for window in windows:
                check_cancelled()
                begun.append(self._pool.submit(self._run, window))
                if len(begun) > self._ahead:
                    yield begun.popleft().result()
            while begun:
                check_cancelled()
                yield begun.popleft().result()
        finally:
            for each in begun:
                each.cancel()

    def _run(self, window: Window) -> np.ndarray:
        (probabilities,) = self._session.run(None, {"input_ids": np.array([window.pieces], dtype=np.int64)})
        return probabilities[0]
