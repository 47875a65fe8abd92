"""The address and login of Airflow: the workspace's own, or one that the environment names."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.serving.addresses import Addresses, http_address
from multiner.serving.airflow import environment as airflow_setup

URL, PUBLIC_URL, USER = "NER_AIRFLOW_URL", "NER_AIRFLOW_PUBLIC_URL", "NER_AIRFLOW_USER"


@dataclass(frozen=True, slots=True)
class Access:
    """Airflow's address, with a login."""

    url: str
    user: str
    password: str = field(repr=False)


def access(workspace: Workspace) -> Access:
    """The Airflow at ``NER_AIRFLOW_URL`` if that is set, else the workspace's own.

    Raises:
        NerError: the workspace's own has never run, or there is no password; the remedy says what to set.
    """
    url = http_address(URL)
    if url is None:
        own = Addresses.of(workspace).airflow
        if not (airflow_setup.home(workspace) / "passwords.json").is_file():
            raise NerError(
                "Airflow has not run in this workspace yet",
                where=own,
                remedy="Start the system with `ner up`; if Airflow runs elsewhere, set NER_AIRFLOW_URL and "
                "NER_AIRFLOW_PASSWORD for the gateway.",
            )
        return Access(own, airflow_setup.USER, airflow_setup.password(workspace))
    password = airflow_setup.password_from_environment()
    if password is None:
        raise NerError(
            "the gateway has no password for Airflow",
            where=url,
            remedy="Set NER_AIRFLOW_PASSWORD for the gateway (in containers: docker/secrets.sh makes it up), and start "
            "it again.",
        )
    return Access(url, os.environ.get(USER) or airflow_setup.USER, password)


def elsewhere() -> bool:
    """Whether the environment names an Airflow, so that the workspace's own is not used."""
    return bool(os.environ.get(URL))


def public_url(workspace: Workspace) -> str:
    """Airflow's address for browsers: ``NER_AIRFLOW_PUBLIC_URL``, ``NER_AIRFLOW_URL``, or the workspace's own."""
    for name in (PUBLIC_URL, URL):
        try:
            if address := http_address(name):
                return address
        except NerError:
            continue  # access() raises it where an order is given
    return Addresses.of(workspace).airflow
