"""The local runner: its worker processes start from any path, and one that does not start or ends early is reported.

Beam's own starts `sys.executable` through a shell without quoting it, lets workers import from the working directory,
and waits forever for a worker that has ended.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_fn_api_pb2, beam_runner_api_pb2, endpoints_pb2
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner, RunnerResult
from apache_beam.runners.portability.fn_api_runner.worker_handlers import (
    BeamFnControlServicer,
    GrpcServer,
    GrpcWorkerHandler,
    WorkerHandler,
)
from google.protobuf import json_format, text_format

from fgbg.errors import RunError, WorkerError
from pipeline.common import worker_process
from pipeline.common.console import say

_WORKER_PROCESS = "fgbg:env:worker_process:v1"

_WATCH_SECONDS = 0.5
# Importing Beam takes 2 s on an idle machine; more workers than processors wait for each other.
_START_SECONDS = 45.0
# A worker that is still in the middle of something when the run has ended gets this long.
_END_SECONDS = 30.0


class LocalRunner(FnApiRunner):
    """FnApiRunner, with worker processes of ours for `multi_processing`."""

    def run_via_runner_api(
        self, pipeline_proto: beam_runner_api_pb2.Pipeline, options: PipelineOptions
    ) -> RunnerResult:
        """Run the pipeline to its end."""
        for environment in pipeline_proto.components.environments.values():
            if environment.urn == python_urns.SUBPROCESS_SDK:
                environment.urn = _WORKER_PROCESS
        return super().run_via_runner_api(pipeline_proto, options)


@dataclass(slots=True)
class _Crew:
    """The workers of one run, and why the first of them failed."""

    workers: list["_WorkerProcess"] = field(default_factory=list)
    failure: str = ""


@WorkerHandler.register_environment(_WORKER_PROCESS, bytes)
class _WorkerProcess(GrpcWorkerHandler):
    """One worker process: started without a shell and watched; if one of a run fails, all of them end."""

    # The workers of a run share a server.
    _crews: ClassVar[WeakKeyDictionary[GrpcServer, _Crew]] = WeakKeyDictionary()

    def __init__(self, _command: bytes, state: Any, provision_info: Any, grpc_server: GrpcServer) -> None:
        super().__init__(state, provision_info, grpc_server)
        self._crew = self._crews.setdefault(grpc_server, _Crew())
        self._crew.workers.append(self)
        self._process: subprocess.Popen[bytes] | None = None
        self._last_lines: deque[str] = deque(maxlen=20)
        self._closing = threading.Event()

    def start_worker(self) -> None:
        """Start the process.

        Raises:
            RunError: the program of this process is not there any more or cannot be executed.
        """
        environment = os.environ | {
            "CONTROL_API_SERVICE_DESCRIPTOR": _descriptor(self.control_address),
            "LOGGING_API_SERVICE_DESCRIPTOR": _descriptor(self.logging_api_service_descriptor().url),
            "PIPELINE_OPTIONS": json_format.MessageToJson(self.provision_info.provision_info.pipeline_options),
            "WORKER_ID": self.worker_id,
        }
        # Every module is to be found where this process finds it.
        path = json.dumps([str(Path(entry).absolute()) for entry in sys.path])
        command = [sys.executable, "-P", worker_process.__file__, path]
        try:
            process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        except OSError as error:
            raise RunError(f"Cannot start a worker process with {sys.executable}: {error.strerror}.") from error
        self._process = process
        for target in (self._relay_stderr, self._watch):
            threading.Thread(target=target, args=(process,), name=f"watch {self.worker_id}", daemon=True).start()

    def close(self) -> None:
        """Close the connection, which ends the process, and wait for that."""
        self._closing.set()
        self._crew.workers.remove(self)
        super().close()

    def stop_worker(self) -> None:
        """Wait for the process to end; kill it if it takes too long."""
        if self._process is None:
            return
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _relay_stderr(self, process: subprocess.Popen[bytes]) -> None:
        """Pass on what the process writes, and keep the end of it for the message about its failure."""
        assert process.stderr is not None
        for line in process.stderr:
            text = line.decode(errors="replace")
            self._last_lines.append(text.strip())
            sys.stderr.write(text)

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        start = time.monotonic()
        reported = False
        while not self._closing.wait(_WATCH_SECONDS):
            if process.poll() is not None:
                self._crew.failure = self._crew.failure or self._describe_end(process.returncode)
                # Again and again, since the runner may be about to ask for something more.
                for worker in list(self._crew.workers):
                    worker._fail(self._crew.failure)
            elif not (reported or self._has_connected):
                allowed = _START_SECONDS * max(1, len(self._crew.workers) / (os.cpu_count() or 1))
                if time.monotonic() - start > allowed:
                    reported = True
                    say(
                        f"fgbg: A worker process ({sys.executable}, process id {process.pid}) has not started after"
                        f" {allowed:.0f} s; waiting for it. Interrupt to stop."
                    )

    @property
    def _has_connected(self) -> bool:
        return bool(self.control_conn._state != BeamFnControlServicer.UNSTARTED_STATE)

    def _describe_end(self, status: int) -> str:
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        if self._has_connected:
            hint = "memory may have run out; use fewer workers" if status == -signal.SIGKILL else self._last_words()
            return f"A worker process {how} while it was working: {hint}. Run the same command again."
        return (
            f"A worker process ({sys.executable}) {how} before it could start: {self._last_words()}. Fix that, or use"
            " --direct_running_mode=multi_threading, which needs no worker processes."
        )

    def _last_words(self) -> str:
        time.sleep(_WATCH_SECONDS)  # what it wrote last may still be on its way
        return next((line.rstrip(".") for line in reversed(self._last_lines) if line), "it gave no reason")

    def _fail(self, reason: str) -> None:
        """Answer whatever the runner asks of this worker with an error, and kill the process."""
        if self._process is not None:
            self._process.kill()
        error = WorkerError.of(RunError(reason))
        for name, future in list(self.control_conn._futures_by_id.items()):
            future.set(beam_fn_api_pb2.InstructionResponse(instruction_id=name, error=str(error)))


def _descriptor(address: str) -> str:
    return str(text_format.MessageToString(endpoints_pb2.ApiServiceDescriptor(url=address)))
