"""How many connections the gateway serves at once, and the open files that they need."""

from __future__ import annotations

import resource

from multiner.pipeline.core.errors import NerError

CONNECTIONS = 512
RESERVE = 512  # descriptors beside: what is just being accepted or closed, models, logs, the registry


def allow_descriptors(connections: int) -> None:
    """Let this process open as many files as so many connections need: the soft limit is 1,024 on most systems.

    Raises:
        NerError: the hard limit does not permit it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + RESERVE
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise NerError(
            f"{connections} connections need {needed} open files; this system allows {hard}",
            where="params.yaml: serving.connections",
            remedy="Lower it, or raise the limit: ulimit -Hn, LimitNOFILE= of a service.",
        )
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
