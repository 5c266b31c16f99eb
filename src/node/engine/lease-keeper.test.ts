// What the engine's side of the lease adds: what a restart remembers, what happens without permission, whose lock is told.
import { readFileSync, readdirSync, rmSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { temporaryDirectory } from "../../../test/support/temporary.ts";
import type { TemporaryDirectory } from "../../../test/support/temporary.ts";
import { HeadwaterError } from "../../core/base/errors.ts";
import type { LogFields } from "../../core/base/log.ts";
import { litestreamLayout } from "../../core/replica/layout.ts";
import { readLease } from "../../core/replica/lease-object.ts";
import { createMemoryStore } from "../../core/store/memory-store.ts";
import { bodyOf } from "../../core/store/object-store.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import { createFaultyStore } from "../../core/testing/faulty-store.ts";
import { VirtualClock } from "../../core/testing/virtual-clock.ts";
import { systemRandom } from "../base/clock.ts";
import { createFaultyFileSystem } from "../../core/testing/faulty-file-system.ts";
import { nodeFileSystem } from "../file/node-file-system.ts";
import { openLease } from "./lease-keeper.ts";
import type { LeaseKeeper, LeaseKeeperOptions } from "./lease-keeper.ts";
import { ownershipOf } from "./state-directory.ts";

const { signal } = new AbortController();

let directory: TemporaryDirectory;
let clock: VirtualClock;
let store: ObjectStore;
let events: { readonly event: string; readonly fields: LogFields }[];

beforeEach(async () => {
  directory = temporaryDirectory();
  await nodeFileSystem.makeDirectory(directory.file("replicas"));
  clock = new VirtualClock({ isEager: true });
  store = createMemoryStore({ clock });
  events = [];
});
afterEach(() => directory[Symbol.dispose]());

function keeper(options: Partial<LeaseKeeperOptions> = {}): LeaseKeeper {
  return openLease({
    store,
    layout: litestreamLayout,
    stateDirectory: directory.path,
    ownership: ownershipOf(directory.file("app.db")),
    url: "memory:",
    nodeId: 1n,
    clock,
    random: systemRandom,
    logger: { log: (_level, event, fields) => events.push({ event, fields: fields ?? {} }) },
    fileSystem: nodeFileSystem,
    ttlMs: 30_000,
    takeOver: false,
    once: false,
    brief: { upkeepFromMs: 0, leaseFromMs: 0 },
    ...options,
  });
}

const happened = (): readonly string[] => events.map(({ event }) => event);

it("names the host and the process, and removes the lease at the end", async () => {
  {
    await using lease = keeper();
    await lease.hold({ signal });
    const owner = `${hostname()}:${process.pid}`;
    expect((await readLease(store, {}))?.record?.owner).toBe(owner);
  }
  expect(await readLease(store, {})).toBeUndefined();
});

it("goes on at once after a crash, and waits when the state directory was lost", async () => {
  await keeper().hold({ signal });
  await keeper().hold({ signal });
  expect(happened()).not.toContain("lease.watched");
  const [name = ""] = readdirSync(directory.file("replicas"));
  expect(readFileSync(join(directory.file("replicas"), name), "utf8")).toContain("nonces");
  rmSync(join(directory.file("replicas"), name));
  await keeper().hold({ signal });
  expect(happened()).toContain("lease.watched");
});

it("waits after a crash when what it remembered cannot be read or was never written", async () => {
  const fileSystem = createFaultyFileSystem(nodeFileSystem, ({ path }) =>
    path.includes(".lease") ? "ENOSPC" : undefined,
  );
  await keeper({ fileSystem }).hold({ signal });
  expect(happened()).toEqual(["lease.not-remembered", "lease.held"]);
  await keeper().hold({ signal });
  expect(happened()).toContain("lease.watched");
});

it("without permission for the object says what to allow, once, and does without", async () => {
  const denied = createFaultyStore(store, { clock, plan: () => undefined });
  denied.put = async (key) => {
    throw new HeadwaterError("store/denied", `put ${key}: access denied`);
  };
  const lease = keeper({ store: denied });
  await lease.hold({ signal });
  await lease.hold({ signal });
  expect(await lease.during(async () => "done", { signal })).toBe("done");
  expect(happened()).toEqual(["lease.unavailable"]);
  expect(String(events[0]?.fields["hint"])).toMatch(/allow .* lease\.json in memory:/u);
});

it("does not do without when the store does not answer", async () => {
  const down = createFaultyStore(store, { clock, plan: () => ({ kind: "fail" }) });
  await expect(keeper({ store: down }).hold({ signal })).rejects.toMatchObject({
    code: "store/unavailable",
  });
});

it("makes no request without a lease", async () => {
  const untouchable = createFaultyStore(store, {
    clock,
    plan: ({ key }) => (key === "lock.json" ? undefined : { kind: "fail" }),
  });
  await using lease = keeper({ store: untouchable, ttlMs: 0 });
  await lease.hold({ signal });
  expect(await lease.during(async () => "done", { signal })).toBe("done");
});

it.each([
  ["is told", 60_000, ["litestream.lock"]],
  ["that has expired is not", -60_000, []],
])("the lock of a Litestream library %s", async (_what, inMs, expected) => {
  const expires_at = new Date(clock.nowMs() + inMs).toISOString();
  const lock = JSON.stringify({ generation: 3, expires_at, owner: "db-9:1" });
  await store.put("lock.json", bodyOf(new TextEncoder().encode(lock)), {});
  await keeper({ ttlMs: 0 }).during(async () => undefined, { signal });
  expect(happened()).toEqual(expected);
});

it("a lock that is no JSON is nobody's", async () => {
  await store.put("lock.json", bodyOf(new TextEncoder().encode("{")), {});
  await keeper({ ttlMs: 0 }).during(async () => undefined, { signal });
  expect(happened()).toEqual([]);
});

describe("for a database that is awake for a moment", () => {
  const brief = { upkeepFromMs: 0, leaseFromMs: 90_000 };
  let calls: string[] = [];

  beforeEach(() => {
    calls = [];
    const inner = store;
    store = createFaultyStore(inner, {
      clock,
      plan: ({ operation }) => {
        calls.push(operation);
        return undefined;
      },
    });
  });

  it("sees that nobody holds the lease, and leaves it at that for as long as it could trust in its own", async () => {
    await using lease = keeper({ brief });
    await lease.holdOrSeeFree({ signal });
    await lease.holdOrSeeFree({ signal });
    expect(calls).toEqual(["head"]);
    await clock.sleep(7_500, { signal });
    await lease.holdOrSeeFree({ signal });
    expect(calls).toEqual(["head", "head"]);
    expect(await readLease(store, {})).toBeUndefined();
  });

  it("stops for whoever holds it", async () => {
    await using other = keeper({ nodeId: 2n, stateDirectory: directory.file("other") });
    await other.hold({ signal });
    await using lease = keeper({ brief, once: true });
    await expect(lease.holdOrSeeFree({ signal })).rejects.toMatchObject({
      code: "engine/another-writer",
    });
  });

  it("takes the lease once it is awake for longer, and keeps one that it has", async () => {
    await using lease = keeper({ brief });
    await clock.sleep(90_000, { signal });
    await lease.holdOrSeeFree({ signal });
    expect(calls).toContain("put");
    await using held = keeper({ brief: { ...brief, leaseFromMs: 1e9 } });
    await held.hold({ signal });
    await held.holdOrSeeFree({ signal });
    expect((await readLease(store, {}))?.record?.owner).toContain(String(process.pid));
  });
});
