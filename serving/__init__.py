"""Serving named entity recognition: the model MLflow serves, the gateway and its client, and the command group.

What programs use is here by name: ``from serving import Client``. Each is imported when first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serving.async_client import AsyncClient
    from serving.client import Client
    from serving.exchange import ServiceError
    from serving.parallel_results import Name, Pair, ParallelResult
    from serving.results import Entity, Model, Result, TokenTypes, to_pandas

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
    "AsyncClient": "async_client",
    "Client": "client",
    "Name": "parallel_results",
    "Pair": "parallel_results",
    "ParallelResult": "parallel_results",
    "ServiceError": "exchange",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'results')}"), name)
