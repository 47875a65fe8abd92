"""Loads the DAG folder as Airflow does and prints what it found as JSON; run in a process of its own."""

import json
import os
import sys
from pathlib import Path

root = Path(sys.argv[1])
os.environ |= {"NER_ROOT": str(root), "AIRFLOW__CORE__DAGS_FOLDER": str(root / "dags")}
sys.path.append(str(root / "dags"))

import airflow.sdk  # noqa: E402

found = {}
import importlib.util  # noqa: E402

for file in sorted((root / "dags").glob("*.py")):
    spec = importlib.util.spec_from_file_location(f"dag_file_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found |= {dag.dag_id: dag for dag in vars(module).values() if isinstance(dag, airflow.sdk.DAG)}
    found |= {
        each.operator.dag.dag_id: each.operator.dag
        for each in vars(module).values()
        if isinstance(each, airflow.sdk.XComArg)
    }


def schedule(dag: airflow.sdk.DAG) -> dict:
    """What starts a DAG: a cron expression, or Assets."""
    condition = dag.timetable.asset_condition
    cron = getattr(getattr(dag.timetable, "timetable", dag.timetable), "expression", None)
    assets = [asset.name for asset in condition.objects] if condition else []
    return {"cron": cron, "assets": assets}


def callbacks(place: airflow.sdk.DAG | airflow.sdk.BaseOperator) -> list[str]:
    """The kinds of what is called when it has failed."""
    found = place.on_failure_callback or []
    return [type(each).__name__ for each in (found if isinstance(found, list | tuple) else [found])]


def pod(config: dict) -> dict | None:
    """The resources that a pod's container asks for."""
    override = config.get("pod_override")
    return override and {each.name: vars(each.resources) for each in override.spec.containers}


print(
    json.dumps(
        {
            "heavy": sorted({"torch", "mlflow", "pandas", "great_expectations", "spacy", "dvc"} & sys.modules.keys()),
            "dags": {
                dag_id: {
                    "doc": dag.doc_md,
                    "catchup": dag.catchup,
                    "max_active_runs": dag.max_active_runs,
                    "timeout_minutes": dag.dagrun_timeout and dag.dagrun_timeout.total_seconds() / 60,
                    "schedule": schedule(dag),
                    "on_failure": callbacks(dag),
                    "params": dag.params.dump(),
                    "form": {name: param.schema.get("description_md") for name, param in dag.params.items()},
                    "tasks": {
                        task.task_id: {
                            "upstream": sorted(task.upstream_task_ids),
                            "pool": task.pool,
                            "queue": task.queue,
                            "executor": task.executor,
                            "pod": pod(task.executor_config),
                            "priority": task.priority_weight,
                            "retries": task.retries,
                            "backoff": task.retry_exponential_backoff,
                            "timeout_minutes": task.execution_timeout and task.execution_timeout.total_seconds() / 60,
                            "on_failure": callbacks(task),
                            "busy_minutes": getattr(task, "busy_minutes", None),
                            "outlets": [asset.name for asset in task.outlets],
                            "command": getattr(task, "command", None),
                        }
                        for task in dag.tasks
                    },
                }
                for dag_id, dag in found.items()
            },
        }
    )
)
