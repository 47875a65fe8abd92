"""A lock in a database, for processes of several machines: PostgreSQL's advisory lock.

The server frees it when the holder's connection ends, however the holder ends. Nobody needs to know of processes on
other machines.
"""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.locks import SILENT_SECONDS, LockKind
from multiner.pipeline.core.secret_files import secret_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = logging.getLogger(__name__)
DATABASE = "NER_LOCK_DATABASE"
DATABASE_FILE = "NER_LOCK_DATABASE_FILE"  # a file that holds it, in its place
PAUSE = 0.5  # seconds between tries
HOLDER = (  # of the lock with this key, which pg_locks has in two halves
    "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted "
    "AND (classid::bigint << 32 | objid::bigint) = :key"
)


def lock_database() -> str | None:
    """The database of the locks; None: there is none.

    ``NER_LOCK_DATABASE``, or the content of the file ``NER_LOCK_DATABASE_FILE``; else MLflow's if that is PostgreSQL.

    Raises:
        NerError: the file cannot be read, or is empty.
    """
    tracking = os.environ.get("MLFLOW_TRACKING_URI", "")
    named = os.environ.get(DATABASE) or secret_of(DATABASE_FILE)
    return named or (tracking if tracking.startswith("postgresql") else None)


@contextmanager
def hold(url: str, name: str, kind: LockKind) -> Iterator[None]:
    """Hold the lock ``name`` in the database at ``url``. A process that waits for it says so in its log.

    Raises:
        NerError: another process still holds it after ``kind.seconds``; the database does not answer; or the
            connection, and with it the lock, was lost during the block.
    """
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError
    from sqlalchemy.pool import NullPool

    key = int.from_bytes(sha256(f"ner {name}".encode()).digest()[:8], signed=True)
    try:
        engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        connection = engine.connect()
    except (ArgumentError, ImportError) as error:
        remedy = "Give one such as postgresql+psycopg2://user@host/ner, for which pip install 'ner-pipeline[postgres]'."
        raise NerError(f"no such database: {error}", where=DATABASE, remedy=remedy) from None
    except SQLAlchemyError as error:
        raise _away(error) from error
    with connection:
        try:
            _acquire(connection, key, name, kind)
        except SQLAlchemyError as error:
            raise _away(error) from error
        yield
        try:
            kept = connection.scalar(text("SELECT pg_advisory_unlock(:key)"), {"key": key})
        except SQLAlchemyError:
            kept = False
    if not kept:
        raise NerError(
            f"the lock of {kind.subject} was lost while it was held: another process may have worked at the same time",
            where=DATABASE,
            remedy="Run the same command again; what is done stays done.",
            transient=True,
        )


def _acquire(connection: Connection, key: int, name: str, kind: LockKind) -> None:
    from sqlalchemy import text

    holder = f"ner on {platform.node()}, process {os.getpid()}"
    connection.execute(text("SELECT set_config('application_name', :name, false)"), {"name": holder})
    begin, silent = time.monotonic(), True
    while not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}):
        waited = time.monotonic() - begin
        if waited >= kind.seconds:
            raise NerError(
                f"{_holder(connection, key)} still holds the lock of {kind.subject} after {kind.seconds:g} seconds",
                where=f"{DATABASE}: {name}",
                remedy="Wait until that process is done, or end it; then try again. Nothing was changed.",
                transient=True,
            )
        if silent and waited >= min(SILENT_SECONDS, kind.seconds):
            log.warning("waiting for %s, which holds the lock of %s", _holder(connection, key), kind.subject)
            silent = False
        time.sleep(min(PAUSE, kind.seconds - waited))


def _holder(connection: Connection, key: int) -> str:
    from sqlalchemy import text

    return str(connection.scalar(text(HOLDER), {"key": key}) or "another process")


def _away(error: Exception) -> NerError:
    reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
    remedy = "Check the address, and that this machine reaches the database."
    return NerError(
        f"the database of the locks does not answer: {reason}", where=DATABASE, remedy=remedy, transient=True
    )
