import { describe, expect, it } from "vitest";
import type { Clock } from "../base/clock.ts";
import { hasCode } from "../base/errors.ts";
import { toTxid } from "../ltx/txid.ts";
import { createMemoryStore } from "../store/memory-store.ts";
import { type ListOptions, type ObjectStore, bodyOf } from "../store/object-store.ts";
import { listLevel, listReplica } from "./catalog.ts";
import { litestreamLayout, litestreamS3Layout } from "./layout.ts";

const stillClock: Clock = {
  nowMs: () => 5_000_000_000,
  monotonicMs: () => 0,
  sleep: async () => {},
};

describe("listReplica", () => {
  it("lists every level in order and skips what is no LTX file", async () => {
    const store = createMemoryStore({ clock: stillClock });
    const names = [
      "0009/0000000000000001-0000000000000007.ltx",
      "0000/0000000000000007-0000000000000007.ltx",
      "0000/0000000000000006-0000000000000006.ltx",
    ];
    for (const name of [...names, "0000/notes.txt", "generations/x/y", "manifest.json"]) {
      await store.put(name, bodyOf(new Uint8Array(3)), {});
    }
    const files = await listReplica(store, litestreamS3Layout, {});
    expect(files.map(({ key }) => key)).toEqual(names.toReversed());
    expect(files[2]).toMatchObject({ level: 9, minTxid: 1n, maxTxid: 7n, sizeBytes: 3 });
  });

  it("refuses a store that lists out of order, because it may leave files out", async () => {
    const store = createMemoryStore({ clock: stillClock });
    for (const n of [1, 2, 3]) {
      const range = { minTxid: toTxid(n), maxTxid: toTxid(n) };
      await store.put(litestreamLayout.key({ level: 0, ...range }), bodyOf(new Uint8Array(3)), {});
    }
    const backwards: ObjectStore = new Proxy(store, {
      get: (target, name) => {
        if (name === "list") {
          return async function* list(options: Parameters<ObjectStore["list"]>[0]) {
            const infos = [];
            for await (const info of target.list(options)) infos.push(info);
            yield* infos.toReversed();
          };
        }
        const value: unknown = Reflect.get(target, name);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    const failure: unknown = await listLevel(backwards, litestreamLayout, 0, {}).catch(
      (error: unknown) => error,
    );
    expect(hasCode(failure, "store/failed")).toBe(true);
  });

  it("asks once for all levels, and for nothing else", async () => {
    for (const layout of [litestreamLayout, litestreamS3Layout]) {
      const store = createMemoryStore({ clock: stillClock });
      const range = { minTxid: toTxid(1), maxTxid: toTxid(1) };
      const keys = Array.from({ length: 10 }, (_, level) => layout.key({ level, ...range }));
      for (const key of [...keys, "app/0000/x", "zzz"])
        await store.put(key, bodyOf(new Uint8Array(3)), {});
      const prefixes: string[] = [];
      const counting: ObjectStore = new Proxy(store, {
        get: (target, name) =>
          name === "list"
            ? (options: ListOptions) => {
                prefixes.push(options.prefix);
                return target.list(options);
              }
            : Reflect.get(target, name),
      });
      expect((await listReplica(counting, layout, {})).map(({ key }) => key)).toEqual(keys);
      expect(prefixes).toEqual([layout.prefix]);
      expect(keys.every((key) => key.startsWith(layout.prefix))).toBe(true);
    }
  });
});
