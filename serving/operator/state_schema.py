"""The tables of the shared state in a database of an older release, and the columns that it lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Column, create_engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from multiner.serving.operator import actions, operators, sessions
from multiner.serving.routing.canary import records
from multiner.serving.routing.holds import HOLDS
from multiner.serving.routing.state_store import StateUnavailable, address_of
from multiner.serving.routing.traffic import TRAFFIC

TABLES = (HOLDS, TRAFFIC, records.TABLE, actions.TABLE, operators.TABLE, sessions.TABLE)


def missing_columns(url: str) -> list[str]:
    """The columns that a database of an older release lacks (``table.column``); none where it is not made yet.

    Raises:
        StateUnavailable: it does not answer.
    """
    return [f"{column.table.name}.{column.name}" for column in _missing(url)]


def add_columns(url: str) -> None:
    """Add the columns of :func:`missing_columns`, which may be empty in the rows that there are.

    Raises:
        StateUnavailable: the database refuses or does not answer.
    """
    columns = _missing(url)
    engine = create_engine(address_of(url))
    try:
        with engine.begin() as connection:
            for column in columns:
                kind = column.type.compile(engine.dialect)
                connection.execute(text(f"ALTER TABLE {column.table.name} ADD COLUMN {column.name} {kind}"))
    except SQLAlchemyError as error:
        raise StateUnavailable(f"the database of the shared state fails ({type(error).__name__})") from error
    finally:
        engine.dispose()


def _missing(url: str) -> list[Column[Any]]:
    address = address_of(url)
    if address.get_backend_name() == "sqlite" and not Path(address.database or "").is_file():
        return []
    engine = create_engine(address)
    try:
        found = inspect(engine)
        present = {name: {each["name"] for each in found.get_columns(name)} for name in found.get_table_names()}
    except SQLAlchemyError as error:
        raise StateUnavailable(f"the database of the shared state fails ({type(error).__name__})") from error
    finally:
        engine.dispose()
    tables = [table for table in TABLES if table.name in present]
    return [column for table in tables for column in table.columns if column.name not in present[table.name]]
