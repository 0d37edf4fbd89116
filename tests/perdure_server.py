"""perdure as a process that tests can stop, kill and start again on the same data and ports."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

from tests.ports import free_port

PERDURE = Path(sys.executable).parent / "perdure"
#: Long enough for a machine that does much else; nothing is judged by it but hanging.
PATIENCE_S = 60


class PerdureServer:
    """`perdure server start` on a store that outlives the process, or `start-dev` in memory when `url` is None."""

    def __init__(self, place: Path, url: str | None) -> None:
        self._place = place
        self._url = url
        self.port, self.metrics_port, self.http_port = (free_port() for _ in range(3))
        self.address = f"127.0.0.1:{self.port}"
        self._environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(place),
        }
        self._command = [str(PERDURE), "server", "start-dev", "--headless"]
        self._command += ["--port", str(self.port), "--http-port", str(self.http_port)]
        self._command += ["--metrics-port", str(self.metrics_port), "--log-level", "warn"]
        if url is not None and url.startswith("sqlite:///"):
            self._command += ["--db-filename", url.removeprefix("sqlite:///")]
        elif url is not None:
            self.use_lists("")
        self._process: subprocess.Popen[str] | None = None
        self._log = place / "perdure.log"

    def set_up(self) -> None:
        """Make the tables, where the server does not do that itself."""
        if self._url is not None and not self._url.startswith("sqlite:"):
            self._run("schema", "setup")

    def use_lists(self, url: str) -> None:
        """Keep lists in a database of their own; empty: in the main one."""
        assert self._url is not None
        self._command = [str(PERDURE), "server", "start"]
        self._environment |= {
            "PERDURE_STORE_URL": self._url,
            "PERDURE_STORE_VISIBILITY_URL": url,
            "PERDURE_SERVER_PORT": str(self.port),
            "PERDURE_SERVER_HTTP_PORT": str(self.http_port),
            "PERDURE_SERVER_METRICS_PORT": str(self.metrics_port),
            "PERDURE_LOG_LEVEL": "warn",
        }

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(
            [PERDURE, *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Return when it has said where it listens."""
        with self._log.open("a") as log:
            process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._process = process
        watchdog = threading.Timer(PATIENCE_S, process.kill)
        watchdog.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if re.match(r"Metrics:", line):
                    return
        finally:
            watchdog.cancel()
        raise AssertionError(f"perdure did not start: {self.log()}")

    def stop(self) -> int:
        """Ask it to end; return its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(number)
        code = process.wait(PATIENCE_S)
        assert process.stdout is not None
        process.stdout.close()
        return code

    def log(self) -> str:
        return self._log.read_text()
