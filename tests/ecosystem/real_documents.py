"""Imports real manuals for two owners and searches as both: nothing of the other's may be found.

    python3 tests/ecosystem/real_documents.py target/debug/behalf

Needs Debian's package tools for the manuals. Prints the rate of the import and the time of a search,
and ends with 1 if anything leaks or nothing is found.
"""

import hashlib
import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

OWNERS = {"ann": ["manpages-dev"], "bob": ["debian-policy", "python3.11-doc"]}
# Words that both manuals know, words of one of them, and words of neither.
QUERIES = [
    "open a file for reading", "environment variable", "signal handler", "thread mutex lock",
    "list comprehension", "maintainer scripts configure", "socket bind address", "floating point",
    "epoll edge triggered", "decorator function", "conffiles purge", "printf format string",
    "how do I sort a list?", "memory allocation", "regular expression groups", "zzzqqqxxx",
]
ROUNDS = 5


def unpack(packages: list[str], folder: Path) -> None:
    """Downloads the packages and unpacks them into `folder`."""
    debs = folder.with_suffix(".debs")
    debs.mkdir()
    subprocess.run(["apt-get", "-o", "APT::Sandbox::User=root", "download", *packages], cwd=debs, check=True, stdout=subprocess.DEVNULL)
    for deb in debs.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", deb, folder], check=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A server on a folder of its own."""

    def __init__(self, binary: str, folder: Path) -> None:
        self.data = folder / "data"
        self.port = free_port()
        setup = folder / "setup.yaml"
        users = "\n".join(
            f'  - {{user_id: "auth0|{name}", username: {name}, password: "{name}-password-1"}}'
            for name in OWNERS
        )
        setup.write_text(
            f"users:\n{users}\nclients:\n"
            "  - {client_id: web, client_secret: web-secret-of-tests, grant_types: [password]}\n"
        )
        self.log = open(folder / "log", "wb")
        command = [binary, "serve", "--data", self.data, "--http", f"127.0.0.1:{self.port}", "--apply", setup]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        for _ in range(300):
            try:
                if self.ask("GET", "/healthz")[0] == 200:
                    return
            except OSError:
                time.sleep(0.1)
        raise SystemExit((folder / "log").read_text()[-2000:])

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict | None = None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, text

    def token(self, name: str) -> str:
        form = {
            "grant_type": "password", "client_id": "web", "client_secret": "web-secret-of-tests",
            "username": name, "password": f"{name}-password-1",
            "audience": f"http://127.0.0.1:{self.port}/api/", "scope": "read:documents",
        }
        body = urllib.parse.urlencode(form).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        status, text = self.ask("POST", "/oauth/token", body, headers)
        assert status == 200, text
        return json.loads(text)["access_token"]

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def ids_of(folder: Path) -> set[str]:
    """The ids that the files of a folder get."""
    files = (Path(root) / name for root, _, names in os.walk(folder) for name in names)
    return {"file-" + hashlib.sha256(os.fsencode(path)).hexdigest()[:40] for path in files}


def search(server: Server, token: str, query: str) -> tuple[float, list[dict]]:
    body = json.dumps({"query": query, "k": 10}).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    begun = time.perf_counter()
    status, text = server.ask("POST", "/api/v1/documents/search", body, headers)
    taken = time.perf_counter() - begun
    assert status == 200, text
    return taken, json.loads(text)["results"]


def main() -> None:
    binary = str(Path(sys.argv[1]).resolve())
    leaks, times, found = 0, [], {name: 0 for name in OWNERS}
    with tempfile.TemporaryDirectory(prefix="behalf-documents-") as scratch:
        scratch = Path(scratch).resolve()
        for name, packages in OWNERS.items():
            unpack(packages, scratch / name)
        server = Server(binary, scratch)
        try:
            imported = 0
            for name in OWNERS:
                command = [binary, "documents", "import", scratch / name, "--owner", name, "--data", server.data]
                report = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                print(f"{name}: {report.strip()}")
                imported += int(report.split()[1])
            assert imported >= 1000, f"only {imported} files"
            again = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            assert "(0 new, 0 replaced" in again, again
            own = {name: ids_of(scratch / name) for name in OWNERS}
            tokens = {name: server.token(name) for name in OWNERS}
            for _ in range(ROUNDS):
                for query in QUERIES:
                    for name in OWNERS:
                        taken, results = search(server, tokens[name], query)
                        times.append(taken * 1000)
                        found[name] += len(results)
                        leaks += sum(result["document_id"] not in own[name] for result in results)
        finally:
            server.stop()
    times.sort()
    p95 = times[int(len(times) * 0.95)]
    print(f"{imported} documents, {len(times)} searches: p50 {statistics.median(times):.1f} ms, "
          f"p95 {p95:.1f} ms; found {found}; of the other's: {leaks}")
    if leaks or not all(found.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
