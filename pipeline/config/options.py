"""Options of the command line that commands of several packages have."""

from __future__ import annotations

import click

LANGUAGE = click.option("--language", "-l", required=True, help="Language code, as in params.yaml.")
