#!/bin/sh
# Make up the secrets that the compose files mount, in docker/secrets; what is there stays. Nobody but the folder's owner
# gets into it; the files are readable by all, as the containers' users have other numbers than the owner.
set -eu
cd "$(dirname "$0")"
mkdir -p -m 700 secrets
cd secrets
umask 022

random() { # BYTES: in hexadecimal
    od -An -N "$1" -tx1 /dev/urandom | tr -d ' \n'
}
secret() { # FILE VALUE
    [ -s "$1" ] || printf '%s\n' "$2" > "$1"
}

secret airflow_password "$(random 12)"
secret gateway_token "$(random 32)"
secret airflow_secret_key "$(random 32)"
secret airflow_jwt_secret "$(random 64)"
secret airflow_fernet_key "$(head -c 32 /dev/urandom | base64 | tr '+/' '-_')"
secret postgres_password "$(random 24)"
secret redis_password "$(random 24)"
secret s3_key "$(random 10)"
secret s3_secret "$(random 24)"

database="postgresql+psycopg2://ner:$(cat postgres_password)@postgres:5432"
secret mlflow_database "$database/mlflow"
secret airflow_database "$database/airflow"
secret gateway_state "$database/gateway"
secret airflow_results "db+postgresql+psycopg2://ner:$(cat postgres_password)@postgres:5432/airflow"
secret airflow_broker "redis://:$(cat redis_password)@redis:6379/0"
secret redis.conf "requirepass $(cat redis_password)
appendonly yes"
secret s3_credentials "[default]
aws_access_key_id = $(cat s3_key)
aws_secret_access_key = $(cat s3_secret)"
secret s3.json "{\"identities\": [{\"name\": \"ner\",
  \"credentials\": [{\"accessKey\": \"$(cat s3_key)\", \"secretKey\": \"$(cat s3_secret)\"}],
  \"actions\": [\"Admin\", \"Read\", \"List\", \"Tagging\", \"Write\"]}]}"
