"""What a gateway needs to know: versions, models, limits, and who may ask for what."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.corpora.review_queue import ReviewQueue
from multiner.pipeline.corpora.uncertain_texts import UncertainTexts
from multiner.serving.backends.backend import ServedModel
from multiner.serving.documents.extraction import DocumentLimits
from multiner.serving.http.entity_requests import Offer
from multiner.serving.http.payload import Limits
from multiner.serving.routing.backend_pool import Launch
from multiner.serving.routing.canary.course import CanaryConfig
from multiner.serving.routing.memory_budget import Keep
from multiner.serving.routing.state_store import StateStore
from multiner.serving.routing.traffic import TrafficConfig

Resolve = Callable[[str, str | None], ServedModel | None]  # (language, version or None: the champion); blocking


@dataclass(frozen=True, slots=True)
class ShadowConfig:
    """How a challenger runs as a shadow: who it is (blocking), how it is started, which share of calls it gets."""

    challenger: Callable[[str], ServedModel | None]
    launch: Launch
    share: float


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """What a gateway needs to know.

    ``launch`` brings up a version, ``resolve`` finds one in the registry, or at its endpoint (None where there is no
    such version, or no champion). ``types`` are the labels of each language; of a language that is not named there, any
    may be asked for. ``model_name`` gives a language's registered model. ``queue`` requests may wait for each model,
    which works on ``concurrency`` at once, and all models of this host on ``cores``; those of the languages in
    ``endpoints`` are elsewhere. The models of this host may take ``memory`` bytes together (None: what is available),
    which ``folder_bytes`` helps to estimate (see :class:`.MemoryBudget`). The registry is looked at every
    ``reconcile_seconds`` (0: at start alone), and its challengers run as shadows if ``shadow`` says how; new champions
    are tried out first if ``canary`` says how. ``workspace`` has the reports, and the Airflow that runs orders.
    ``state`` is what all gateways share. Live traffic is counted as ``traffic`` says; None: not at all. Corrections go
    to ``review``; None: none are taken. Texts whose answers are in doubt go to ``uncertain``; None: none are kept.
    ``hosts`` are the names that the gateway answers to (see ``allowed_hosts``). ``connections`` may be open at once.
    ``proxies`` are the addresses whose forwarding headers are believed. ``exposed``: operators need tokens of their
    own, and TLS. ``open_reports``: whoever can connect may read the reports, not the operator alone.
    """

    languages: Sequence[str]
    limits: Limits
    documents: DocumentLimits
    token: str
    launch: Launch
    resolve: Resolve
    keep_previous: Keep
    types: Mapping[str, Sequence[str]]
    model_name: Callable[[str], str]
    queue: int
    concurrency: int
    cores: int
    endpoints: Collection[str]
    memory: int | None
    folder_bytes: Callable[[ServedModel], int]
    reconcile_seconds: float
    shadow: ShadowConfig | None
    canary: CanaryConfig | None
    workspace: Workspace
    state: StateStore
    traffic: TrafficConfig | None
    review: ReviewQueue | None
    uncertain: UncertainTexts | None
    hosts: frozenset[str] | None
    connections: int
    proxies: Sequence[str]
    exposed: bool
    open_reports: bool

    @property
    def offer(self) -> Offer:
        """What callers may ask for."""
        return Offer(self.languages, self.limits, self.types)
