# The twin of load-writer.ts on another SQLite library: the same tables, the same proof, the same lines.
# Run it with Debian's /usr/bin/python3; it needs the standard library only.
import json
import os
import random
import signal
import sqlite3
import sys
import time
import zlib

SCHEMA = """
CREATE TABLE IF NOT EXISTS ledger(
  seq INTEGER PRIMARY KEY, payload TEXT NOT NULL, sum INTEGER NOT NULL,
  document_count INTEGER NOT NULL, document_bytes INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS documents(
  id INTEGER PRIMARY KEY, author TEXT NOT NULL, title TEXT NOT NULL, body BLOB NOT NULL, revision INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS documents_by_author ON documents(author, revision);
CREATE TABLE IF NOT EXISTS settings(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""

options = json.loads(sys.argv[1])
dice = random.Random(options["seed"])
changes = max(0, round((options.get("pagesPerCommit", 5) - 1) / 2))
max_documents = options.get("maxDocuments", 20000)
report_s = options.get("reportMs", 100) / 1000
noise = os.urandom(64 * 1024)
stopping = False


def stop(*_):
    global stopping
    stopping = True


def body():
    length = 9000 if dice.random() < 0.02 else 20 + dice.randrange(400)
    start = dice.randrange(1000)
    return noise[start : start + length // 2] + b"a" * (length - length // 2)


def change(db, seq, count):
    """One change; returns how many documents and bytes it adds."""
    kind = dice.random()
    if kind < 0.1:
        db.execute("INSERT OR REPLACE INTO settings VALUES(?, ?)", (f"key-{dice.randrange(50)}", f"value of {seq}"))
        return 0, 0
    full = count >= max_documents
    if count == 0 or (kind < 0.55 and not full):
        data = body()
        row = (f"author-{dice.randrange(100)}", f"Document of transaction {seq}", data, seq)
        db.execute("INSERT INTO documents(author, title, body, revision) VALUES(?, ?, ?, ?)", row)
        return 1, len(data)
    pick = "SELECT id, length(body) FROM documents WHERE id >= ? LIMIT 1"
    row = db.execute(pick, (dice.randrange(seq * 2),)).fetchone() or db.execute(pick, (0,)).fetchone()
    if kind > 0.9 or full:
        db.execute("DELETE FROM documents WHERE id = ?", (row[0],))
        return -1, -row[1]
    data = body()
    db.execute("UPDATE documents SET body = ?, revision = ? WHERE id = ?", (data, seq, row[0]))
    return 0, len(data) - row[1]


def transaction(db):
    """One provable transaction; returns its number."""
    db.execute("BEGIN IMMEDIATE")
    last = db.execute("SELECT * FROM ledger ORDER BY seq DESC LIMIT 1").fetchone() or (0, "", 0, 0, 0)
    seq, count, size = last[0] + 1, last[3], last[4]
    for _ in range(changes):
        more, more_bytes = change(db, seq, count)
        count += more
        size += more_bytes
    payload = f"{seq}:{dice.randrange(2**32):x}"
    db.execute("INSERT INTO ledger VALUES(?, ?, ?, ?, ?)", (seq, payload, zlib.crc32(payload.encode(), last[2]), count, size))
    db.execute("COMMIT")
    return seq


def main():
    signal.signal(signal.SIGTERM, stop)
    db = sqlite3.connect(options["path"], timeout=options.get("busyTimeoutMs", 10000) / 1000, isolation_level=None)
    db.execute(f"PRAGMA page_size={options.get('pageSize', 4096)}")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute(f"PRAGMA synchronous={options.get('synchronous', 'NORMAL')}")
    if "autocheckpoint" in options:
        db.execute(f"PRAGMA wal_autocheckpoint={options['autocheckpoint']}")
    db.executescript(SCHEMA)
    print("ready", flush=True)
    start = reported = time.perf_counter()
    seq = done = busy = 0
    longest = []
    while not stopping and done < options.get("transactions", float("inf")):
        began = time.perf_counter()
        if began - start > options.get("seconds", float("inf")):
            break
        try:
            seq = transaction(db)
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            if db.in_transaction:
                db.execute("ROLLBACK")
            busy += 1
            continue
        done += 1
        ended = time.perf_counter()
        longest = sorted([*longest, (ended - began) * 1000], reverse=True)[:5]
        if ended - reported >= report_s:
            reported = ended
            print(f"committed {seq}", flush=True)
        if "commitsPerSecond" in options:
            time.sleep(max(0, start + done / options["commitsPerSecond"] - time.perf_counter()))
    seconds = time.perf_counter() - start
    print(f"committed {seq}")
    result = {"seq": seq, "transactions": done, "seconds": seconds, "busyErrors": busy, "longestMs": longest}
    print(f"result {json.dumps(result)}", flush=True)
    if options.get("end") == "exit":
        os._exit(0)
    db.close()


main()
