"""Multilingual named entity recognition: the pipeline that retrains it, and the system that serves it.

What programs use is here by name: ``from multiner import Client, load``. A name is imported when it is first used.
The parts ``multiner.pipeline`` and ``multiner.serving`` lie in the folders ``pipeline/`` and ``serving/`` of the
repository; in this folder they are links.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiner.evaluation import Evaluation, Scores, evaluate
    from multiner.loading import EndpointModel, LocalModel, load
    from multiner.pipeline.core.errors import NerError
    from multiner.serving.client.asynchronous import AsyncClient
    from multiner.serving.client.blocking import Client
    from multiner.serving.client.conversions import to_pandas
    from multiner.serving.client.parallel_results import Name, Pair, ParallelResult
    from multiner.serving.client.protocol import ServiceError
    from multiner.serving.client.results import Entity, Model, Result, TokenTypes
    from multiner.training import Training, train

__all__ = [
    "AsyncClient",
    "Client",
    "EndpointModel",
    "Entity",
    "Evaluation",
    "LocalModel",
    "Model",
    "Name",
    "NerError",
    "Pair",
    "ParallelResult",
    "Result",
    "Scores",
    "ServiceError",
    "TokenTypes",
    "Training",
    "evaluate",
    "load",
    "to_pandas",
    "train",
]

# Relative names: an absolute one would count as an import, and put the client into the code of every served model.
_MODULES = {
    "AsyncClient": ".serving.client.asynchronous",
    "Client": ".serving.client.blocking",
    "EndpointModel": ".loading",
    "Entity": ".serving.client.results",
    "Evaluation": ".evaluation",
    "LocalModel": ".loading",
    "Model": ".serving.client.results",
    "Name": ".serving.client.parallel_results",
    "NerError": ".pipeline.core.errors",
    "Pair": ".serving.client.parallel_results",
    "ParallelResult": ".serving.client.parallel_results",
    "Result": ".serving.client.results",
    "Scores": ".evaluation",
    "ServiceError": ".serving.client.protocol",
    "TokenTypes": ".serving.client.results",
    "Training": ".training",
    "evaluate": ".evaluation",
    "load": ".loading",
    "to_pandas": ".serving.client.conversions",
    "train": ".training",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":  # stands in setup.py: here it would be part of every model's code
        from importlib.metadata import version  # 0.05 s

        return version("ner-pipeline")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name], __name__), name)
