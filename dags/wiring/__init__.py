"""What the DAG files share: the stage graph read from dvc.yaml, and the task that runs a command."""
