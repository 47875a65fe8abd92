"""Resource classes of tasks, and where params.yaml has the tasks of each run (``airflow.classes``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wiring.tasks import TRAINING_POOL, settings

TRAIN, SCORE, LIGHT = "train", "score", "light"
TRAINING_STAGES = ("train", "out_of_fold")  # by how their names begin
SCORING_STAGES = ("export", "ensemble", "evaluate")
POOLS = {
    TRAIN: TRAINING_POOL,
    SCORE: TRAINING_POOL,
}  # they run models on all cores: two at once are slower than in turn
CONTAINER = "base"  # the container of Airflow's pods that runs the task
GPU = "nvidia.com/gpu"


def class_of(stage: str) -> str:
    """The class of a stage of dvc.yaml, by its name."""
    return TRAIN if stage.startswith(TRAINING_STAGES) else SCORE if stage.startswith(SCORING_STAGES) else LIGHT


def placement(name: str) -> dict[str, Any]:
    """The operator's arguments that put a task of a class in its place; without settings the pool at most.

    Raises:
        ImportError: the class has resources for Kubernetes, whose client is not installed.
    """
    options: Mapping[str, Any] = settings()["airflow"].get("classes", {}).get(name) or {}
    place = {key: options[key] for key in ("queue", "executor", "pool") if options.get(key)}
    if (pool := POOLS.get(name)) and "pool" not in place:
        place["pool"] = pool
    if resources := options.get("kubernetes"):
        place["executor_config"] = {"pod_override": _pod(resources)}
    return place


def _pod(resources: Mapping[str, Any]) -> Any:
    """What differs from Airflow's pod template: what the container asks for; a GPU is also its limit."""
    try:
        from kubernetes.client import models
    except ModuleNotFoundError:
        raise ImportError(
            "params.yaml: airflow.classes has resources for Kubernetes; install its client on every machine that reads "
            "the DAGs: pip install 'ner-pipeline[kubernetes]'"
        ) from None

    asked = {key: str(resources[key]) for key in ("cpu", "memory") if resources.get(key)}
    gpus = {GPU: str(resources["gpu"])} if resources.get("gpu") else {}
    requirements = models.V1ResourceRequirements(requests=asked | gpus, limits=gpus or None)
    container = models.V1Container(name=CONTAINER, resources=requirements)
    return models.V1Pod(spec=models.V1PodSpec(containers=[container]))
