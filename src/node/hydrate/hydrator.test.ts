// What a hydrator makes of a replica that changes under it, and of readers that stay.
import { rmSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FollowScene } from "../../../test/support/follow-scene.ts";
import { ltxPath } from "../../../test/support/replica-builder.ts";
import { until } from "../../../test/support/until.ts";
import { type Txid, toTxid } from "../../core/ltx/txid.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import { type Environment, systemEnvironment } from "../restore/environment.ts";
import { type CopyReaders, Hydrator } from "./hydrator.ts";

let scene: FollowScene;
let environment: Environment;
let store: ObjectStore;
let target: Txid;
let events: string[];
beforeEach(async () => {
  scene = new FollowScene();
  await scene.publish(1, 2);
  events = [];
  environment = systemEnvironment({ log: (_, event) => void events.push(event) });
  store = await environment.openReplica(scene.url, {});
  target = toTxid(2);
});
afterEach(async () => {
  await store[Symbol.asyncDispose]();
  scene[Symbol.dispose]();
});

const nobody: CopyReaders = { holds: () => false, whenFree: async () => true };

function start(
  over: ObjectStore,
  {
    readers = nobody,
    refresh = async () => undefined,
  }: {
    readonly readers?: CopyReaders;
    readonly refresh?: () => Promise<unknown>;
  } = {},
): Promise<Hydrator> {
  return Hydrator.start({
    environment,
    store: over,
    path: scene.output,
    target: () => target,
    refresh,
    readers,
    onChange: () => undefined,
  });
}

/** The store, in which files are merged when the first of them is asked for. */
function mergedMeanwhile(merged: { readonly min: number; readonly max: number }): ObjectStore {
  let isMerged = false;
  return {
    ...store,
    url: store.url,
    list: (options) => store.list(options),
    head: (key, options) => store.head(key, options),
    get: async (key, options) => {
      if (!isMerged) {
        isMerged = true;
        await scene.history.writeFiles(scene.replicaPath, [{ level: 1, ...merged }]);
        for (const txid of [1, 2]) {
          rmSync(ltxPath(scene.replicaPath, { level: 0, min: txid, max: txid }));
        }
      }
      return store.get(key, options);
    },
  };
}

describe("a hydrator", () => {
  it("takes the same TXID from merged files when its own are gone", async () => {
    await using hydrator = await start(mergedMeanwhile({ min: 1, max: 2 }));
    await hydrator.rested();
    expect(hydrator.newest?.txid).toBe(2n);
    expect(scene.stateOf(hydrator.newest?.path)).toBe(2);
    expect(events).toEqual(["hydrate.ready"]);
  });

  it("goes to the newest TXID when the files were merged across its own", async () => {
    const merged = mergedMeanwhile({ min: 1, max: 3 });
    await using hydrator = await start(merged, { refresh: async () => (target = toTxid(3)) });
    await hydrator.rested();
    expect(scene.stateOf(hydrator.newest?.path)).toBe(3);
    expect(events).toEqual(["hydrate.ready"]);
  });

  it("tells once of what it cannot have, and goes on when it can", async () => {
    target = toTxid(4);
    await using hydrator = await start(store);
    await hydrator.rested();
    expect(hydrator.newest).toBeUndefined();
    await scene.publish(3, 4);
    await until(() => events.length > 1);
    expect(hydrator.newest?.txid).toBe(4n);
    expect(events).toEqual(["hydrate.failed", "hydrate.ready"]);
  });

  it("rests while a reader stays, and writes when it is gone", async () => {
    const gone = Promise.withResolvers<boolean>();
    let held: string | undefined;
    const readers: CopyReaders = {
      holds: (path) => path === held,
      whenFree: (path) => (path === held ? gone.promise : Promise.resolve(true)),
    };
    await using hydrator = await start(store, { readers });
    await hydrator.rested();
    held = hydrator.newest?.path;
    await scene.publish(3, 4);
    for (const txid of [3, 4, 4]) {
      target = toTxid(txid);
      hydrator.wake();
      await hydrator.rested();
      expect(hydrator.newest?.txid).toBe(3n);
      expect(scene.stateOf(held)).toBe(2);
    }
    held = undefined;
    gone.resolve(true);
    await until(() => hydrator.newest?.txid === 4n);
  });
});
