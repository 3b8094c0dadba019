#!/usr/bin/env python3
"""Imports real manuals for two owners and searches as both: nothing of the other's may be found.

    tests/ecosystem/real_documents.py [target/release/behalf]

Needs Debian's package tools and lists for the manuals. Prints the rate of the import and the time of
a search, and ends with 1 if anything leaks or nothing is found. BEHALF_BINARY names the server's
program, too (default: the debug build).
"""

import hashlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from server import Server

OWNERS = {"ann": ["manpages-dev"], "bob": ["debian-policy", "python3-doc"]}
# Words that both manuals know, words of one of them, and words of neither.
QUERIES = [
    "open a file for reading",
    "environment variable",
    "signal handler",
    "thread mutex lock",
    "list comprehension",
    "maintainer scripts configure",
    "socket bind address",
    "floating point",
    "epoll edge triggered",
    "decorator function",
    "conffiles purge",
    "printf format string",
    "how do I sort a list?",
    "memory allocation",
    "regular expression groups",
    "zzzqqqxxx",
]
ROUNDS = 5


def setup(_issuer: str) -> str:
    users = "".join(
        f'  - {{user_id: "auth0|{name}", username: {name}, password: "{name}-password-1"}}\n'
        for name in OWNERS
    )
    client = "  - {client_id: web, client_secret: web-secret-of-tests, grant_types: [password]}\n"
    return f"users:\n{users}clients:\n{client}"


def real(package: str) -> str:
    """The package that holds the files: python3-doc only names the current python3.N-doc."""
    depends = subprocess.run(
        ["apt-cache", "depends", package], check=True, capture_output=True, text=True
    )
    found = re.search(r"Depends: (python3\.\d+-doc)", depends.stdout)
    return found[1] if found else package


def unpack(packages: list[str], folder: Path) -> None:
    """Downloads the packages and unpacks them into `folder`."""
    debs = folder.with_suffix(".debs")
    debs.mkdir()
    command = ["apt-get", "-o", "APT::Sandbox::User=root", "download", *map(real, packages)]
    subprocess.run(command, cwd=debs, check=True, stdout=subprocess.DEVNULL)
    for deb in debs.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", deb, folder], check=True)


def token(server: Server, name: str) -> str:
    return server.token(
        grant_type="password",
        client_id="web",
        client_secret="web-secret-of-tests",
        username=name,
        password=f"{name}-password-1",
        audience=f"{server.issuer}api/",
        scope="read:documents",
    )


def import_folder(server: Server, binary: str, folder: Path, name: str) -> str:
    command = [binary, "documents", "import", folder / name, "--owner", name, "--data", server.data]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


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
    named = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("BEHALF_BINARY")
    binary = str(Path(named or Path(__file__).parents[2] / "target/debug/behalf").resolve())
    leaks, times, found = 0, [], {name: 0 for name in OWNERS}
    with tempfile.TemporaryDirectory(prefix="behalf-documents-") as scratch:
        folder = Path(scratch).resolve()
        for name, packages in OWNERS.items():
            unpack(packages, folder / name)
        with Server(binary, folder, setup) as server:
            imported, begun = 0, time.perf_counter()
            for name in OWNERS:
                report = import_folder(server, binary, folder, name)
                print(f"{name}: {report.strip()}", flush=True)
                imported += int(report.split()[1].replace(",", ""))
            rate = imported / (time.perf_counter() - begun)
            assert imported >= 1000, f"only {imported} files"
            again = import_folder(server, binary, folder, name)
            assert "(0 new, 0 replaced" in again, again
            own = {name: ids_of(folder / name) for name in OWNERS}
            tokens = {name: token(server, name) for name in OWNERS}
            cpu = server.cpu_secs()
            for _ in range(ROUNDS):
                for query in QUERIES:
                    for name in OWNERS:
                        taken, results = search(server, tokens[name], query)
                        times.append(taken * 1000)
                        found[name] += len(results)
                        leaks += sum(result["document_id"] not in own[name] for result in results)
            cpu = (server.cpu_secs() - cpu) * 1000 / len(times)
    times.sort()
    p95 = times[int(len(times) * 0.95)]
    print(
        f"real documents: {imported} imported, {rate:.0f} per second; {len(times)} searches: "
        f"p50 {statistics.median(times):.1f} ms, p95 {p95:.1f} ms, processor {cpu:.1f} ms each; "
        f"found {found}; of the other's: {leaks}"
    )
    if leaks or not all(found.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
