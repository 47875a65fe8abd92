"""Training in several processes, on one machine or several: each process is one worker of torch's elastic launcher.

The processes form one group, whose backend Accelerate chooses: NCCL between GPUs, gloo between CPUs. Where one of them
fails, all end.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from multiprocessing import parent_process
from tempfile import TemporaryDirectory
from typing import Any

import torch

from multiner.pipeline.core.errors import NerError

PARAMETER = "params.yaml: transformer.launcher"
NODE = "NER_NODE"  # number of this machine among those of a training, from 0
RENDEZVOUS = "NER_RENDEZVOUS"  # host:port on machine 0, where the machines of a training meet


def node_number() -> int:
    """The number of this machine among those of a training; 0 writes the results.

    Raises:
        NerError: ``NER_NODE`` is no number.
    """
    if not (setting := os.environ.get(NODE, "0")).isdecimal():
        raise NerError(f"not the number of a machine: {setting!r}", where=f"${NODE}", remedy="Set it to 0, 1, 2 …")
    return int(setting)


def launch(function: Callable[..., None], *args: Any, launcher: Mapping[str, int], **options: Any) -> None:
    """Call ``function`` in as many processes as ``launcher`` gives; in this one where that is one.

    Args:
        function: a function of a module, which finds its place in the group by Accelerate.
        args, options: its arguments; they are pickled.
        launcher: ``processes`` on each machine, and ``nodes``, the number of machines.

    Raises:
        NerError: a process failed, or machine and parameters do not fit together.
    """
    processes, nodes = launcher["processes"], launcher["nodes"]
    if processes == nodes == 1:
        function(*args, **options)
        return
    if torch.cuda.is_available() and processes > torch.cuda.device_count():
        raise NerError(f"{processes} processes need as many GPUs, and here are {torch.cuda.device_count()}",
                       where=f"{PARAMETER}.processes")  # fmt: skip
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    for name in ("torch.distributed.elastic", "torch.multiprocessing"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # the error below says what happened
    with TemporaryDirectory(prefix="ner-launcher-") as logs, _own_signals():
        config = LaunchConfig(
            min_nodes=nodes, max_nodes=nodes, nproc_per_node=processes, run_id="ner", max_restarts=0,
            logs_specs=DefaultLogsSpecs(logs), shutdown_timeout=10, **_meeting(nodes),
        )  # fmt: skip
        try:
            elastic_launch(config, _work)(function, args, options)
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            cause = failure.message["message"] if isinstance(failure.message, dict) else failure.message
            raise NerError(
                f"process {rank} of the training failed, so all ended: {cause.removeprefix('NerError: ')}",
                where=f"{PARAMETER}: {dict(launcher)}",
                remedy="Mend the cause and start the training again: it goes on from its last checkpoint.",
            ) from None
        except SignalException:
            raise KeyboardInterrupt from None


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Put back the handlers of signals that PyTorch's launcher replaces."""
    numbers = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
    handlers = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _meeting(nodes: int) -> dict[str, Any]:
    """Where the processes meet: on a free local port, or at the address that the environment names.

    Raises:
        NerError: several machines, and no address.
    """
    if nodes == 1:
        return {"rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0", "local_addr": "localhost"}
    if not (address := os.environ.get(RENDEZVOUS)):
        raise NerError(
            f"{nodes} machines train together, and no address is named where they meet", where=f"${RENDEZVOUS}",
            remedy=f"Set it to host:port of the first machine, and {NODE} to 0, 1, … on each; docs/training.md.",
        )  # fmt: skip
    return {"rdzv_backend": "static", "rdzv_endpoint": address, "rdzv_configs": {"rank": node_number()}}


def _work(function: Callable[..., None], args: tuple[Any, ...], options: Mapping[str, Any]) -> None:
    """One process of the group; it ends with the process that launched it, even where that is killed."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(143)

    threading.Thread(target=watch, daemon=True, name="end with the launcher").start()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # else Accelerate warns; the training sets its threads itself
    function(*args, **options)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
