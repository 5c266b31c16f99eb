// What a local copy in the browser's private files does, in every mode. Each test has a replica, and so a copy, of its own.
import { expect, it, vi } from "vitest";
import { cdp } from "vitest/browser";
import type { SqlRow } from "../../src/core/vfs/sql-values.ts";
import type { ReplicaDatabase } from "../../src/core/vfs/replica-database.ts";
import type { LogFields, Logger } from "../../src/core/base/log.ts";
import { type OpenReplicaOptions, openReplica } from "../../src/web/open-replica.ts";
import { WebScene, requestsEnd, takeRequests } from "./web-scene.ts";

const countSql = "SELECT count(*) AS n FROM t";
const scanSql = "SELECT sum(id) AS ids, sum(length(body)) AS size FROM t NOT INDEXED";

/** About 3 MB, of which the last step changes little. */
const steps = [
  "CREATE TABLE t(id INTEGER PRIMARY KEY, text TEXT, body BLOB); CREATE INDEX by_text ON t(text)",
  `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000)
   INSERT INTO t SELECT i, 'row ' || (i * 7919 % 6000), randomblob(400) FROM n`,
  "UPDATE t SET body = zeroblob(7) WHERE id = 77",
  "UPDATE t SET body = randomblob(401)",
];

/** Events by name, to be waited for. */
class Events implements Logger {
  readonly seen: { readonly event: string; readonly fields: LogFields }[] = [];

  log(_level: string, event: string, fields: LogFields = {}): void {
    this.seen.push({ event, fields });
  }

  async next(event: string): Promise<LogFields> {
    const endsAtMs = performance.now() + 30_000;
    for (;;) {
      const at = this.seen.findIndex((one) => one.event === event);
      if (at !== -1) return this.seen.splice(0, at + 1).at(-1)?.fields ?? {};
      if (performance.now() > endsAtMs) {
        throw new Error(`no ${event}, but ${JSON.stringify(this.seen)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

interface Opened extends AsyncDisposable {
  readonly db: ReplicaDatabase;
  readonly events: Events;
}

async function makeScene(): Promise<WebScene> {
  await forgetCopies();
  const scene = await WebScene.make({ steps });
  await scene.put({ level: 9, min: 1, max: 2 });
  await scene.describe();
  return scene;
}

export function describeHydration(options: Pick<OpenReplicaOptions, "mode" | "waSqlite">): void {
  const open = async (scene: WebScene, more: OpenReplicaOptions = {}): Promise<Opened> => {
    const events = new Events();
    const db = await openReplica(scene.url, {
      hydrate: "opfs",
      logger: events,
      ...options,
      ...more,
    });
    return { db, events, [Symbol.asyncDispose]: () => db[Symbol.asyncDispose]() };
  };

  it("is made while queries go on, and then all pages come from it", async () => {
    const scene = await makeScene();
    await using opened = await open(scene);
    const { db, events } = opened;
    expect(await all(db, countSql)).toEqual([{ n: 6000 }]);
    expect(await events.next("replica.hydrated")).toMatchObject({ txid: "2" });
    await requestsEnd();
    expect(await all(db, scanSql)).toEqual([{ ids: 18_003_000, size: 2_400_000 }]);
    expect(await all(db, "PRAGMA integrity_check")).toEqual([{ integrity_check: "ok" }]);
    expect(await pageRequests()).toEqual([]);
  });

  it("is there after the page was closed, also for a state that came since", async () => {
    const scene = await makeScene();
    {
      await using opened = await open(scene);
      await opened.events.next("replica.hydrated");
    }
    await scene.put({ level: 0, min: 3, max: 3 });
    await scene.describe();
    await using opened = await open(scene);
    const { db, events } = opened;
    expect(await events.next("replica.hydrated")).toMatchObject({ txid: "2" });
    await requestsEnd();
    expect(await all(db, scanSql)).toEqual([{ ids: 18_003_000, size: 2_399_607 }]);
    expect(db.txid).toBe(3n);
    // The file that came since is small enough to be read whole when the replica is opened.
    expect(await pageRequests()).toEqual([]);
  });

  it("leaves transactions and moments what they are", async () => {
    const scene = await makeScene();
    await using opened = await open(scene);
    const { db, events } = opened;
    await events.next("replica.hydrated");
    await all(db, "BEGIN");
    const before = await all(db, scanSql);
    await scene.put({ level: 0, min: 3, max: 3 }, { level: 0, min: 4, max: 4 });
    await scene.describe();
    await db.refresh();
    expect(await all(db, scanSql)).toEqual(before);
    await all(db, "COMMIT");
    expect(await all(db, scanSql)).toEqual([{ ids: 18_003_000, size: 6000 * 401 }]);
    await all(db, "ATTACH ? AS past", [`file:${db.name}?txid=0000000000000003`]);
    const sql =
      "SELECT length(was.body) AS was, length(now.body) AS now FROM past.t was JOIN t now USING (id) WHERE id = 77";
    expect(await all(db, sql)).toEqual([{ was: 7, now: 401 }]);
    expect(await all(db, "PRAGMA integrity_check")).toEqual([{ integrity_check: "ok" }]);
  });

  it("is made anew when too much has changed since", async () => {
    const scene = await makeScene();
    {
      await using opened = await open(scene);
      await opened.events.next("replica.hydrated");
    }
    await scene.put({ level: 0, min: 3, max: 3 }, { level: 0, min: 4, max: 4 });
    await scene.describe();
    await using opened = await open(scene);
    const { db, events } = opened;
    expect(await events.next("replica.hydrated")).toMatchObject({ txid: "2" });
    expect(await events.next("replica.hydrated")).toMatchObject({ txid: "4" });
    expect(await all(db, scanSql)).toEqual([{ ids: 18_003_000, size: 6000 * 401 }]);
    await vi.waitUntil(async () => (await filesOf()).length === 2, { timeout: 30_000 });
  });

  it("is used by two at once", async () => {
    const scene = await makeScene();
    await using one = await open(scene);
    await using other = await open(scene);
    await one.events.next("replica.hydrated");
    await other.events.next("replica.hydrated");
    await requestsEnd();
    expect(await all(one.db, scanSql)).toEqual(await all(other.db, scanSql));
    expect(await pageRequests()).toEqual([]);
  });

  it("is thrown away if a byte of it is another, and made again", async () => {
    const scene = await makeScene();
    {
      await using opened = await open(scene);
      await opened.events.next("replica.hydrated");
    }
    await changeByte("pages", 300_000);
    await using opened = await open(scene);
    await opened.events.next("replica.hydrated");
    expect(await all(opened.db, scanSql)).toEqual([{ ids: 18_003_000, size: 2_400_000 }]);
    await opened.events.next("replica.copy-broken");
  });

  it("is nothing without its record, or with half of it", async () => {
    const scene = await makeScene();
    {
      await using opened = await open(scene);
      await opened.events.next("replica.hydrated");
    }
    await changeByte("record", 100);
    await using opened = await open(scene);
    await opened.events.next("replica.hydrating");
    await opened.events.next("replica.hydrated");
    expect(await all(opened.db, countSql)).toEqual([{ n: 6000 }]);
    await vi.waitUntil(async () => (await filesOf()).length === 2, { timeout: 30_000 });
  });

  it("is begun anew if the page went in the middle of it", async () => {
    const scene = await makeScene();
    {
      await using opened = await open(scene);
      await opened.events.next("replica.hydrating");
    }
    {
      await using opened = await open(scene);
      await opened.events.next("replica.hydrated");
      expect(await all(opened.db, scanSql)).toEqual([{ ids: 18_003_000, size: 2_400_000 }]);
    }
    // What the first has left goes with the next that comes, at the latest.
    await using opened = await open(scene);
    await opened.events.next("replica.hydrated");
    await vi.waitUntil(async () => (await filesOf()).length === 2, { timeout: 30_000 });
  });

  it("is left out where there is no room for it", async () => {
    const scene = await makeScene();
    const { origin } = globalThis.location;
    await cdp().send("Storage.overrideQuotaForOrigin", { origin, quotaSize: 1_000_000 });
    try {
      await using opened = await open(scene);
      expect(await opened.events.next("replica.hydration-failed")).toMatchObject({ isFull: true });
      expect(await all(opened.db, countSql)).toEqual([{ n: 6000 }]);
      expect(await filesOf()).toEqual([]);
    } finally {
      await cdp().send("Storage.overrideQuotaForOrigin", { origin });
    }
  });

  it("is not made of a file that is damaged, which queries do not need", async () => {
    const scene = await makeScene();
    await scene.damage({ level: 9, min: 1, max: 2 }, 1_000_000);
    await using opened = await open(scene);
    await opened.events.next("replica.hydration-failed");
    expect(await all(opened.db, "SELECT text FROM t WHERE id = 1")).toEqual([{ text: "row 1919" }]);
    expect(await filesOf()).toEqual([]);
  });

  it("is gone when the browser has deleted it, and the replica has the pages", async () => {
    const scene = await makeScene();
    await using opened = await open(scene);
    const { db, events } = opened;
    await events.next("replica.hydrated");
    await forgetCopies();
    expect(await all(db, scanSql)).toEqual([{ ids: 18_003_000, size: 2_400_000 }]);
    await events.next("replica.copy-broken");
  });
}

async function all(
  db: ReplicaDatabase,
  sql: string,
  parameters: readonly string[] = [],
): Promise<SqlRow[]> {
  return Array.fromAsync(db.query(sql, parameters));
}

/** Requests for parts of LTX files. */
async function pageRequests(): Promise<readonly unknown[]> {
  return (await takeRequests()).filter(({ path }) => path.endsWith(".ltx"));
}

async function copies(): Promise<FileSystemDirectoryHandle> {
  const root = await navigator.storage.getDirectory();
  return root.getDirectoryHandle("headwater", { create: true });
}

/** Deletes every copy. */
async function forgetCopies(): Promise<void> {
  const folder = await copies();
  for await (const name of folder.keys()) await folder.removeEntry(name, { recursive: true });
}

/** Of all copies. */
async function filesOf(): Promise<readonly FileSystemFileHandle[]> {
  const files: FileSystemFileHandle[] = [];
  for await (const folder of (await copies()).values()) {
    if (!(folder instanceof FileSystemDirectoryHandle)) continue;
    for await (const file of folder.values()) {
      if (file instanceof FileSystemFileHandle) files.push(file);
    }
  }
  return files;
}

async function changeByte(extension: string, at: number): Promise<void> {
  for (const handle of await filesOf()) {
    if (!handle.name.endsWith(extension)) continue;
    const bytes = new Uint8Array(await (await handle.getFile()).arrayBuffer());
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    const stream = await handle.createWritable();
    await stream.write(bytes);
    await stream.close();
  }
}
