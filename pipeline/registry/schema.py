"""The schema of MLflow's database, which an upgrade of MLflow changes: `ner upgrade` brings an older one up to date.

MLflow itself would upgrade some older databases when it opens them, without a backup, and refuse others.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import lru_cache
from pathlib import Path

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry.failures import RegistryUnavailable

CONTENT = ("registered_models", "runs")  # tables; a database with nothing in them was cut off when it was made


def older_schema(file: Path) -> str | None:
    """The revision of a database that another release of MLflow has filled; None where this release can use it."""
    if not file.is_file():
        return None
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "alembic_version" not in tables:
            return None
        revision = next((str(row[0]) for row in connection.execute("SELECT version_num FROM alembic_version")), None)
        if revision in (None, latest_schema()):
            return None
        filled = any(
            connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() for table in CONTENT if table in tables
        )
    return revision if filled else None


def require_schema(file: Path) -> None:
    """Refuse a database of an older release.

    Raises:
        RegistryUnavailable: it is one.
    """
    if revision := older_schema(file):
        raise RegistryUnavailable(
            f"MLflow's database is of another release of MLflow (schema {revision}, not {latest_schema()})",
            where=str(file),
            remedy="Run: ner upgrade. It makes a backup first.",
        )


@lru_cache(maxsize=1)
def latest_schema() -> str:
    """The revision of the installed MLflow."""
    from mlflow.store.db.utils import _get_latest_schema_revision

    return str(_get_latest_schema_revision())


def upgrade_schema(url: str) -> None:
    """As `mlflow db upgrade` with the database's address; a killed upgrade is continued by the next.

    Raises:
        NerError: the database is of a later release.
    """
    from mlflow.store.db.utils import _upgrade_db, create_sqlalchemy_engine_with_retry

    engine = create_sqlalchemy_engine_with_retry(url)
    try:
        _upgrade_db(engine)
    except Exception as error:
        if type(error).__name__ != "CommandError":  # alembic's, for a revision that it does not know
            raise
        raise NerError(f"MLflow's database is of a later release: {error}", remedy="Install that release.") from None
    finally:
        engine.dispose()
