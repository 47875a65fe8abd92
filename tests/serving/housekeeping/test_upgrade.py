"""Databases of an older release: refused with the command to run, upgraded by it after a backup; their models load."""

from __future__ import annotations

import importlib
import json
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry import champion
from multiner.pipeline.registry.champions import model_folder
from multiner.pipeline.registry.failures import RegistryUnavailable
from multiner.pipeline.registry.schema import latest_schema, older_schema
from multiner.pipeline.registry.signing.versions import checked_source
from multiner.pipeline.registry.store import database, open_store
from multiner.serving.airflow import environment as airflow_setup
from multiner.serving.gateway import state
from multiner.serving.housekeeping import upgrade as module
from multiner.serving.housekeeping.commands import commands
from multiner.serving.housekeeping.upgrade import upgrade
from multiner.serving.operator import state_schema
from multiner.serving.operator.actions import TABLE as ACTIONS
from multiner.serving.routing.state_store import METADATA, address_of
from multiner.serving.system.supervisor import System

OLD = "1b5f0d9ad7c1"  # the schema of MLflow 3.1
MODEL = f"m-{'a' * 32}"
RUN = "b" * 32


def old_registry(workspace: Workspace) -> None:
    """A registry as an older MLflow left it, made by its own migrations: one version, champion, without a signature."""
    from alembic import command
    from mlflow.store.db.utils import _get_alembic_config
    from mlflow.store.tracking.dbmodels.initial_models import Base
    from sqlalchemy import create_engine

    file = database(workspace)
    file.unlink()
    engine = create_engine(f"sqlite:///{file}")
    Base.metadata.create_all(engine)
    config = _get_alembic_config(f"sqlite:///{file}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, OLD)
    engine.dispose()
    artifacts = workspace.paths.mlruns / "artifacts" / "ner-en"
    model = artifacts / "models" / MODEL / "artifacts"
    model.mkdir(parents=True)
    (model / "MLmodel").write_text("flavors: {}\nmodel_size_bytes: 3\n")
    (model / "weights.bin").write_bytes(b"old")
    rows = {
        "experiments": {"experiment_id": 1, "name": "ner-en", "artifact_location": artifacts.as_uri(),
                        "lifecycle_stage": "active"},
        "runs": {"run_uuid": RUN, "name": "en", "experiment_id": 1, "lifecycle_stage": "active", "status": "FINISHED",
                 "artifact_uri": f"{artifacts.as_uri()}/{RUN}/artifacts", "source_type": "LOCAL", "user_id": "u",
                 "start_time": 1},
        "logged_models": {"model_id": MODEL, "experiment_id": 1, "name": "model", "artifact_location": model.as_uri(),
                          "creation_timestamp_ms": 1, "last_updated_timestamp_ms": 1, "status": 2,
                          "lifecycle_stage": "active", "source_run_id": RUN},
        "registered_models": {"name": "ner-en", "creation_time": 1, "last_updated_time": 1},
        "model_versions": {"name": "ner-en", "version": 1, "creation_time": 1, "last_updated_time": 1,
                           "source": f"models:/{MODEL}", "storage_location": model.as_uri(), "run_id": RUN,
                           "current_stage": "None", "status": "READY"},
        "registered_model_aliases": {"name": "ner-en", "alias": "champion", "version": 1},
    }  # fmt: skip
    with closing(sqlite3.connect(file)) as connection, connection:
        for table, row in rows.items():
            marks = ", ".join("?" * len(row))
            connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values()))


@pytest.fixture
def old(workspace: Workspace) -> Workspace:
    old_registry(workspace)
    return workspace


def test_a_version_of_an_older_release_loads_after_the_upgrade(old: Workspace, tmp_path: Path) -> None:
    assert older_schema(database(old)) == OLD
    before = database(old).read_bytes()
    with pytest.raises(RegistryUnavailable, match="another release") as caught:
        open_store(old)
    assert "ner upgrade" in (caught.value.remedy or "")
    assert older_schema(database(old)) == OLD  # MLflow would have upgraded it by itself

    lines: list[str] = []
    file = upgrade(old, lines.append)
    assert file is not None
    assert lines[-1] == f"MLflow's database, schema {OLD} to {latest_schema()}: up to date"
    version = champion(old, "en")
    assert version is not None
    assert (version.version, version.run_id) == ("1", RUN)
    assert checked_source(old, "ner-en", "1", tmp_path) == version.uri  # not signed, which the default accepts
    assert (model_folder(version) / "weights.bin").read_bytes() == b"old"

    with tarfile.open(file) as archive:
        archive.extract("mlruns/mlflow.db", tmp_path, filter="data")
        manifest = json.load(archive.extractfile("manifest.json"))  # type: ignore[arg-type]
    assert manifest["artifacts"] is False
    assert older_schema(tmp_path / "mlruns" / "mlflow.db") == OLD
    assert (tmp_path / "mlruns" / "mlflow.db").stat().st_size == len(before)
    assert upgrade(old) is None


def test_an_upgrade_that_fails_leaves_the_backup(old: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(url: str) -> None:
        raise NerError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(module, "upgrade_schema", fail)
        with pytest.raises(NerError, match="no space"):
            upgrade(old)
    assert len(list((old.paths.run / "backups").iterdir())) == 1
    upgrade(old)
    assert older_schema(database(old)) is None


def test_a_database_that_was_cut_off_when_it_was_made_is_made_on(old: Workspace) -> None:
    with closing(sqlite3.connect(database(old))) as connection, connection:
        for table in ("model_versions", "registered_model_aliases", "registered_models", "logged_models", "runs"):
            connection.execute(f"DELETE FROM {table}")
    assert older_schema(database(old)) is None
    assert open_store(old).search_registered_models() == []


def test_a_database_of_a_later_release_is_refused(old: Workspace) -> None:
    with closing(sqlite3.connect(database(old))) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    with pytest.raises(NerError, match="later release"):
        upgrade(old)


def test_nothing_is_upgraded_while_the_system_runs(old: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "read_system", lambda workspace: {"pid": 1})
    with pytest.raises(NerError, match="the system runs"):
        upgrade(old)


def test_airflows_database_of_an_older_release(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = airflow_setup.home(workspace)
    folder.mkdir(parents=True)
    with closing(sqlite3.connect(folder / "airflow.db")) as connection:
        connection.execute("CREATE TABLE t (x)")
    (folder / "migrated").write_text("3.2.0\n")
    assert airflow_setup.older_release(workspace) == "3.2.0"
    with pytest.raises(NerError, match=r"of Airflow 3\.2\.0") as caught:
        System(workspace, ["airflow"])._prepare()
    assert "ner upgrade" in (caught.value.remedy or "")

    program = folder / "airflow"
    program.write_text('#!/bin/sh\necho "$@" > "$AIRFLOW_HOME/arguments"\n')
    program.chmod(0o755)
    monkeypatch.setattr(airflow_setup, "script", lambda name: str(program))
    monkeypatch.setenv("NER_ROOT", str(workspace.root))
    result = CliRunner().invoke(commands, ["upgrade"])
    assert result.exit_code == 0, result.output
    assert f"Airflow's database, from Airflow 3.2.0 to {airflow_setup.installed()}: up to date" in result.output
    assert (folder / "arguments").read_text() == "db migrate\n"
    assert airflow_setup.older_release(workspace) is None
    assert "nothing to do" in CliRunner().invoke(commands, ["upgrade"]).output


def test_the_gateways_state_of_an_older_release(workspace: Workspace) -> None:
    file = workspace.paths.run / "state.db"
    file.parent.mkdir()
    column = next(each for each in ACTIONS.columns if not each.primary_key)
    others = ", ".join(each.name for each in ACTIONS.columns if each.name != column.name)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(f"CREATE TABLE {ACTIONS.name} ({others})")
    with pytest.raises(NerError, match=f"{ACTIONS.name}.{column.name}") as caught:
        System(workspace, ["mlflow"])._prepare()
    assert "ner upgrade" in (caught.value.remedy or "")
    upgrade(workspace)
    with closing(sqlite3.connect(file)) as connection:
        names = {row[1] for row in connection.execute(f"PRAGMA table_info({ACTIONS.name})")}
    assert names == {each.name for each in ACTIONS.columns}
    assert upgrade(workspace) is None


def test_the_backup_comes_before_the_upgrade(old: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    monkeypatch.setattr(module, "backup", lambda *_, **__: order.append("backup"))
    monkeypatch.setattr(module, "upgrade_schema", lambda url: order.append("upgrade"))
    upgrade(old, SimpleNamespace(append=order.append).append)
    assert order[0] == "backup"
    assert order.count("upgrade") == 1
    assert state.read_state(old) is None


def test_every_table_of_the_gateways_is_upgraded() -> None:
    importlib.import_module("multiner.serving.gateway.app")  # with all that has a table
    assert set(state_schema.TABLES) == set(METADATA.tables.values())


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("postgresql://a:b@host/state", "postgresql+psycopg2"),
        ("postgresql+asyncpg://host/state", "postgresql+asyncpg"),
        ("sqlite:///state.db", "sqlite"),
    ],
)
def test_the_state_in_postgresql_has_the_driver_of_the_extra(url: str, driver: str) -> None:
    assert address_of(url).drivername == driver
