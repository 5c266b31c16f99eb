# The same as sqlite-child.ts with Python's SQLite, which is another version of the library.
import json
import sqlite3
import sys

path = sys.argv[1]
connection = None


def connected():
    global connection
    if connection is None:
        connection = sqlite3.connect(path, isolation_level=None)
    return connection


def answer(request):
    global connection
    if "exec" in request:
        connected().executescript(request["exec"])
        return None
    if "all" in request:
        cursor = connected().execute(request["all"])
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row)) for row in cursor.fetchall()]
    if "close" in request:
        if connection is not None:
            connection.close()
        connection = None
        return None
    raise ValueError("unknown request")


for line in sys.stdin:
    try:
        reply = {"result": answer(json.loads(line))}
    except Exception as error:
        reply = {"error": str(error)}
    print(json.dumps(reply), flush=True)
