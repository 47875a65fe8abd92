"""The machines that a load needs, from the costs of its parts. docs/scaling.md explains the formulas."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

VERSIONS = 2  # of each model in memory: the previous one stays warm for a rollback
MODEL_CORES = 2  # that one process of a model makes use of


@dataclass(frozen=True)
class Costs:
    """What the parts cost: milliseconds of a core, megabytes of a process."""

    model_ms: float
    """A request's, in the model."""
    gateway_ms: float
    """A request's, in the gateway."""
    sentence_ms: float
    """A sentence's, in a collection that is annotated in batches."""
    model_mb: float
    """Of a served model, MLflow's launcher too."""
    worker_mb: float
    """Of a process of `ner annotate`."""
    gateway_mb: float


@dataclass(frozen=True)
class Machine:
    """A machine: its cores, its gigabytes of memory, and the share of its cores' time that is planned for."""

    cores: int
    memory_gb: float
    busy: float


@dataclass(frozen=True)
class Need:
    """What a load needs. ``cores`` are those that compute; ``machines`` have room for these and for the memory."""

    gateways: int
    models: int
    cores: float
    memory_gb: float
    machines: int


def serving(rate: float, languages: int, costs: Costs, machine: Machine) -> Need:
    """What so many requests a second need, spread evenly over the languages."""
    gateway_cores, model_cores = (rate * each / 1000 / machine.busy for each in (costs.gateway_ms, costs.model_ms))
    gateways = max(1, ceil(gateway_cores))  # a gateway is one event loop: it uses one core
    models = languages * max(1, ceil(model_cores / languages / MODEL_CORES))
    memory_gb = (gateways * costs.gateway_mb + VERSIONS * models * costs.model_mb) / 1000
    return _need(gateways, models, gateway_cores + model_cores, memory_gb, machine)


def collection(documents: float, sentences: float, hours: float, costs: Costs, machine: Machine) -> Need:
    """What `ner annotate` needs for so many documents, of so many sentences each, within some hours."""
    cores = documents * sentences * costs.sentence_ms / 1000 / (3600 * hours) / machine.busy
    processes = max(1, ceil(cores))  # a process computes in one thread
    return _need(0, processes, cores, processes * costs.worker_mb / 1000, machine)


def token_ms(minutes: float, threads: int, tokens: float, epochs: int) -> float:
    """Milliseconds of a core that training takes for each token that the model sees."""
    return 60_000 * minutes * threads / (tokens * epochs)


def _need(gateways: int, models: int, cores: float, memory_gb: float, machine: Machine) -> Need:
    machines = max(1, ceil(cores / machine.cores), ceil(memory_gb / machine.memory_gb))
    return Need(gateways, models, cores, memory_gb, machines)
