"""The task that ends a promotion on schedule, unless a challenger waits to be judged or approved."""

from __future__ import annotations

from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from wiring.tasks import CommandOperator

NOTHING = "nothing to do"


class WaitingOperator(CommandOperator):
    """Runs its command in runs on schedule; if the command has nothing to do, the rest of the run is skipped.

    Runs that an event sets off, or a person, go on in any case.
    """

    def execute(self, context: Any) -> str:
        """As :meth:`CommandOperator.execute`. Raises AirflowSkipException if there is nothing to do."""
        if context["dag_run"].run_type != "scheduled":
            return "not on schedule: goes on"
        outcome = super().execute(context)
        if outcome.startswith(NOTHING):
            raise AirflowSkipException(outcome)
        return outcome
