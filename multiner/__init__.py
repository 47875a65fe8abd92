"""Multilingual named entity recognition: the pipeline that retrains it, and the system that serves it.

What programs use is here by name: ``from multiner import Client``. Each name is imported when it is first asked for.
The parts ``multiner.pipeline`` and ``multiner.serving`` lie in the folders ``pipeline/`` and ``serving/`` of the
repository; in this folder they are links.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiner.serving.client.asynchronous import AsyncClient
    from multiner.serving.client.blocking import Client
    from multiner.serving.client.conversions import to_pandas
    from multiner.serving.client.parallel_results import Name, Pair, ParallelResult
    from multiner.serving.client.protocol import ServiceError
    from multiner.serving.client.results import Entity, Model, Result, TokenTypes

__all__ = [
    "AsyncClient",
    "Client",
    "Entity",
    "Model",
    "Name",
    "Pair",
    "ParallelResult",
    "Result",
    "ServiceError",
    "TokenTypes",
    "to_pandas",
]

_MODULES = {
    "AsyncClient": "asynchronous",
    "Client": "blocking",
    "Name": "parallel_results",
    "Pair": "parallel_results",
    "ParallelResult": "parallel_results",
    "ServiceError": "protocol",
    "to_pandas": "conversions",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".serving.client.{_MODULES.get(name, 'results')}", __name__), name)
