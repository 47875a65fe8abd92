# What no other extra brings: executors, databases and stores for Airflow, DVC and MLflow.
export AIRFLOW_HOME=$PWD/.run/airflow
python - <<'LINES'
import asyncpg
import boto3
import dvc_s3
import psycopg2
import redis
import s3fs
from airflow.providers.celery.executors.celery_executor import CeleryExecutor
from airflow.providers.cncf.kubernetes.executors.kubernetes_executor import KubernetesExecutor
from airflow.providers.edge3.executors.edge_executor import EdgeExecutor
LINES
