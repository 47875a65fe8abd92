"""The sections of params.yaml on the running system: serving, drift, keep, airflow, usage and notices."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from multiner.pipeline.config.schema_kinds import (
    Count,
    LanguageCode,
    Name,
    Network,
    Port,
    Positive,
    Quantity,
    Section,
    Url,
    count_or_auto,
    cron,
    switch_or_auto,
)


class EndpointSection(Section):
    """``serving.endpoints.<code>``: where others serve the language's model, and its version if that is known."""

    url: Url
    version: Name | None = None


class ServingSection(Section):
    """``serving``."""

    host: Name
    port: Port
    hosts: list[Name]
    trusted_proxies: list[Network]
    expose: Name | None
    mlflow_port: Port
    airflow_port: Port
    max_texts: Count
    max_characters: Count
    timeout_seconds: Positive
    document_megabytes: Count
    document_pages: Count
    document_characters: Count
    document_seconds: Positive
    queue: Annotated[int, Field(ge=0)]
    concurrency: Count
    cores: Annotated[Any, AfterValidator(count_or_auto)]
    memory: Annotated[Any, AfterValidator(count_or_auto)]
    connections: Annotated[int, Field(ge=16)]
    review: bool
    review_megabytes: Positive
    review_uncertain: Annotated[int, Field(ge=0, le=10_000)]
    keep_previous: Annotated[Any, AfterValidator(switch_or_auto)]
    require_signature: bool
    reconcile_seconds: Annotated[float, Field(ge=0)]
    endpoints: dict[LanguageCode, EndpointSection]
    shadow: bool
    shadow_share: Annotated[float, Field(gt=0, le=1)]
    canary_share: Annotated[float, Field(ge=0, le=0.5)]
    canary_calls: Count
    canary_hours: Positive
    canary_different: Annotated[float, Field(gt=0, le=0.8)]
    canary_slowdown: Annotated[float, Field(ge=1)]

    @model_validator(mode="after")
    def _ports_differ(self) -> ServingSection:
        ports = [self.port, self.mlflow_port, self.airflow_port]
        if shared := [port for port in ports if ports.count(port) > 1]:
            raise ValueError(f"port {shared[0]} is given to two parts")
        return self

    @model_validator(mode="after")
    def _canaries_end(self) -> ServingSection:
        if self.canary_share and not self.reconcile_seconds:
            raise ValueError("canary_share needs reconcile_seconds above 0: a canary ends when the registry is read")
        return self


class DriftSection(Section):
    """``drift``."""

    weeks: Annotated[int, Field(ge=0)]
    schedule: Annotated[Name, AfterValidator(cron)] | None
    min_texts: Annotated[int, Field(ge=10)]
    min_psi: Positive
    max_p: Annotated[float, Field(gt=0, lt=1)]
    retrain: bool


class KeepSection(Section):
    """``keep``."""

    schedule: Annotated[Name, AfterValidator(cron)] | None
    versions: Count
    days: Annotated[float, Field(ge=0)]


class KubernetesSection(Section):
    """``airflow.classes.<class>.kubernetes``: what a task's container asks for, in Kubernetes' units."""

    cpu: Quantity | None = None
    memory: Quantity | None = None
    gpu: Count | None = None


class TaskClass(Section):
    """``airflow.classes.<class>``: where the tasks of a class run."""

    queue: Name | None = None
    executor: Name | None = None
    pool: Name | None = None
    kubernetes: KubernetesSection | None = None


class TaskClasses(Section):
    """``airflow.classes``."""

    train: TaskClass
    score: TaskClass
    light: TaskClass


class AirflowSection(Section):
    """``airflow``."""

    schedule: Annotated[Name, AfterValidator(cron)] | None
    retries: Annotated[int, Field(ge=0)]
    retry_delay_seconds: Annotated[float, Field(ge=0)]
    busy_minutes: Positive
    task_timeout_minutes: Positive
    run_timeout_minutes: Positive
    late_minutes: Positive
    classes: TaskClasses


class UsageSection(Section):
    """``usage``."""

    core_watts: Annotated[float, Field(ge=0)]
    machine_watts: Annotated[float, Field(ge=0)]


class NoticesSection(Section):
    """``notices``."""

    events: list[Literal["failure", "promotion", "refusal", "drift", "canary", "rollback", "late"]]
    sender: Name
    recipients: list[Name]
    connections: list[Name]
    timeout_seconds: Positive
