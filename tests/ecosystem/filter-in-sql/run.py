"""The example of docs/how-to/filter-in-sql.md, as it stands there, on a PostgreSQL of its own."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(HERE.parent))

import psycopg  # noqa: E402

from server import Server  # noqa: E402

BINARY = os.environ.get("BEHALF_BINARY", str(ROOT / "target/debug/behalf"))
STORE = "01HVMMBCMGZNT3SED4Z17ECXCA"
KEY = "filter-in-sql-key"
ROWS = 3_000
SETUP = f"""
fga:
  api_keys: [{{name: sql, key: "{KEY}", stores: ["*"], scopes: ["read:fga", "check:fga", "write:fga"]}}]
  stores:
    - id: {STORE}
      name: docs
      model: |
        model
          schema 1.1
        type user
        type doc
          relations
            define viewer: [user]
            define can_view: viewer
"""


def cluster(action: str, folder: Path) -> str:
    script = ROOT / "tests/postgres/cluster.sh"
    done = subprocess.run([script, action, folder], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def fill(database: str, server: Server) -> None:
    """Every third row is Ann's; the word that is looked for stands in every second."""
    with psycopg.connect(database) as db:
        db.execute("CREATE TABLE docs (id bigint PRIMARY KEY, title text, body text)")
        rows = [(n, f"Note {n}", "salary " * (n % 2) + "plan") for n in range(1, ROWS + 1)]
        db.cursor().executemany("INSERT INTO docs VALUES (%s, %s, %s)", rows)
    keys = [{"user": "user:ann", "relation": "viewer", "object": f"doc:{n}"} for n in range(3, ROWS + 1, 3)]
    lines = "".join(json.dumps(key) + "\n" for key in keys)
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/x-ndjson"}
    status, answer = server.ask("POST", f"/stores/{STORE}/behalf/import", lines, headers)[:2]
    assert status == 200, answer


def run(folder: Path) -> None:
    text = (ROOT / "docs/how-to/filter-in-sql.md").read_text()
    example = folder / "example.py"
    example.write_text(text.split("```python\n")[1].split("```")[0])
    # PostgreSQL does not run as root, and its user must reach the folder.
    folder.chmod(0o755)
    database = cluster("start", folder / "cluster")
    try:
        with Server(BINARY, folder, lambda _issuer: SETUP) as server:
            fill(database, server)
            named = {"BEHALF": server.base, "STORE": STORE, "KEY": KEY, "DATABASE": database}
            done = subprocess.run(
                [sys.executable, example], env={**os.environ, **named}, check=True, stdout=subprocess.PIPE, text=True
            )
    finally:
        cluster("stop", folder / "cluster")
    pushed, filtered = done.stdout.splitlines()
    expected = [n for n in range(1, ROWS + 1) if n % 3 == 0 and n % 2 == 1][:10]
    assert pushed == f"pushed down: {expected}", pushed
    assert filtered == "filtered: 333 of 1000", filtered
    print("filter in SQL: the example of the document gives what it says")


with tempfile.TemporaryDirectory() as folder:
    run(Path(folder))
