"""Packaging: the package ``multiner``, whose parts lie in ``pipeline/`` and ``serving/``, and the command ``ner``."""

from pathlib import Path

from setuptools import find_packages, setup

REQUIRED = [
    "apache-airflow==3.3.2",
    "apache-airflow-providers-standard",
    "babel",  # names of territories and cities in both languages
    "cachetools",
    "click>=8.1",
    "croniter",  # Airflow's reader of schedules
    "dvc>=3.67,<4",
    "fastapi",
    "filelock>=4",  # earlier ones empty the file that they lock
    "great-expectations>=1.24,<2",
    "h11",  # by which uvicorn reads requests
    "httpx",
    "httpx-retries",
    "jinja2",
    "matplotlib",
    "mlflow>=3.17.2,<3.18",  # 3.18.0 needs parts that were never published
    "navec",  # reads the Russian vectors
    "numpy",
    "onnx",
    "onnxruntime",
    "pandas",
    "prometheus-client",
    "psutil",
    "pydantic>=2",
    "pyyaml",
    "rapidfuzz",
    "rich",
    "safetensors",
    "scipy",
    "seqeval",
    "slovnet>=0.6,<0.7",  # runs the shipped Russian NER
    "spacy>=3.8.18,<4",
    "sqlalchemy>=2.1,<3",
    "tokenizers",
    "threadpoolctl",
    "torch==2.13.0",
    "tqdm",
    "transformers>=5,<6",
    "uvicorn",
]
TEST = [
    "axe-core-python",
    "hypothesis",
    "import-linter",
    "mypy",
    "pytest",
    "ruff",
    "schemathesis>=4,<5",
    "selenium",
    "types-psutil",
    "types-pyyaml",
    "types-tqdm",
]
# Beyond one machine; none is in the lock.
CLUSTER = {
    "celery": ["apache-airflow-providers-celery==3.26.*", "redis"],
    "edge": ["apache-airflow-providers-edge3==5.1.*"],
    "kubernetes": ["apache-airflow-providers-cncf-kubernetes>=10.25,<11"],
    "postgres": ["asyncpg", "psycopg2-binary"],
    "s3": ["dvc-s3", "s3fs"],
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
    extras_require={"test": TEST, **CLUSTER},
    entry_points={
        "console_scripts": ["ner = multiner.pipeline.cli:main"],
        # no spacy_factories: spaCy would load them in every process, also where a model's own older code stands
        "ner.commands": ["pipeline = multiner.pipeline.cli:commands", "serving = multiner.serving.cli:commands"],
    },
)
