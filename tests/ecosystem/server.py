"""A fresh server for a run: its own folder, its own port; stopped by its process."""

import http.client
import json
import os
import signal
import socket
import subprocess
import time
import urllib.parse
from pathlib import Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """`behalf serve` in `folder`, with the set-up file that `setup` makes of the issuer."""

    def __init__(self, binary: str, folder: Path, setup, arguments=()) -> None:
        self.data = folder / "data"
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.issuer = f"{self.base}/"
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        (folder / "setup.yaml").write_text(setup(self.issuer))
        self.log = open(folder / "log", "wb")
        command = [
            binary,
            "serve",
            "--data",
            self.data,
            "--http",
            f"127.0.0.1:{self.port}",
            "--apply",
            folder / "setup.yaml",
            *arguments,
        ]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        for _ in range(600):
            try:
                if self.ask("GET", "/readyz")[0] == 200:
                    # Whoever comes later finds no connection that was idle for too long.
                    self.connection.close()
                    return
            except OSError:
                if self.process.poll() is not None:
                    break
            time.sleep(0.05)
        raise SystemExit("the server did not start:\n" + (folder / "log").read_text()[-2000:])

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.connection.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.log.close()

    def cpu_secs(self) -> float:
        """The processor time that the server has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict | None = None):
        """The status and the text of an answer, on a connection that stays open."""
        try:
            self.connection.request(method, path, body, headers or {})
            answer = self.connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            raise

    def token(self, **form: str) -> str:
        """An access token by the grant that `form` spells out."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        status, text = self.ask(
            "POST", "/oauth/token", urllib.parse.urlencode(form).encode(), headers
        )
        assert status == 200, text
        return json.loads(text)["access_token"]


class Checks:
    """Counts what a run has shown; a run that shows nothing has failed."""

    def __init__(self, name: str) -> None:
        self.name, self.passed = name, 0

    def equal(self, found, expected, what: str) -> None:
        if found != expected:
            raise AssertionError(f"{self.name}: {what}: found {found!r}, expected {expected!r}")
        self.passed += 1

    def contains(self, text: str, part: str) -> None:
        self.equal(part in text, True, f"`{part}` in `{text}`")

    def raises(self, kind: type[Exception], call, what: str, code: str | None = None) -> None:
        """`call` fails with `kind` and, if it is given, the error code `code`."""
        try:
            answer = call()
        except kind as error:
            self.equal(getattr(error, "code", None) if code else None, code, what)
            return
        raise AssertionError(f"{self.name}: {what}: no error but {answer!r}")

    def done(self) -> None:
        if self.passed == 0:
            raise AssertionError(f"{self.name}: nothing was checked")
        print(f"{self.name}: {self.passed} checks passed")
