// The child process behind official-vfs.ts: Litestream's Go code, loaded as an extension of SQLite.
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { getLoadablePath } from "litestream-vfs";
import { unreachable } from "../../src/core/base/assert.ts";
import type { OfficialRequest } from "./official-vfs.ts";

const request = JSON.parse(process.argv[2] ?? "{}") as OfficialRequest;

// The extension stays for the life of the process; its own connection is never used again.
const loader = new DatabaseSync(":memory:", { allowExtension: true });
loader.loadExtension(getLoadablePath());

function open(parameters: Readonly<Record<string, string>>): DatabaseSync {
  const url = new URL("file:/replica.db");
  url.search = new URLSearchParams({
    vfs: "litestream",
    replica_url: request.replica,
    ...parameters,
  }).toString();
  return new DatabaseSync(url);
}

/** The pragma names its column after its value. */
function pragma(db: DatabaseSync, name: string): string {
  return String(Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0]);
}

async function answer(): Promise<unknown> {
  switch (request.kind) {
    case "hydrate": {
      using db = open({ hydration_enabled: "true", hydration_path: request.output });
      while (Number(pragma(db, "litestream_hydration_progress")) < 100) await sleep(5);
      return pragma(db, "litestream_txid");
    }
    case "query": {
      using db = open({});
      return db.prepare(request.sql).all();
    }
    case "write": {
      // One connection per transaction: closing it writes one file, and a second write on one fails (known bug).
      for (const sql of request.transactions) {
        using db = open({ write_enabled: "true", sync_interval: "10m" });
        db.exec(sql);
      }
      return request.transactions.length;
    }
    default: {
      return unreachable(request);
    }
  }
}

console.log(JSON.stringify(await answer()));
