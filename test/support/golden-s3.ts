// The golden replica that was written to S3, as a store that lists and names itself as S3 does.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createMemoryStore } from "../../src/core/store/memory-store.ts";
import { type ObjectStore, bodyOf } from "../../src/core/store/object-store.ts";
import { systemClock } from "../../src/node/base/clock.ts";
import type { GoldenSet } from "./golden.ts";

/** The objects of the S3 set under their keys; listings give LastModified, as S3's do. */
export async function loadGoldenS3(set: GoldenSet): Promise<ObjectStore> {
  const memory = createMemoryStore({ clock: systemClock });
  const prefix = "objects/app/live.db/";
  const lastModifiedByKey = new Map<string, number>();
  for (const file of set.files) {
    const key = file.path.slice(prefix.length);
    lastModifiedByKey.set(key, file.mtimeMs);
    await memory.put(key, bodyOf(readFileSync(join(set.path, file.path))), {});
  }
  return new Proxy(memory, {
    get: (store, property) => {
      if (property === "url") return "s3://golden/app/live.db";
      if (property !== "list") {
        const value: unknown = Reflect.get(store, property);
        return typeof value === "function" ? value.bind(store) : value;
      }
      return async function* list(options: Parameters<ObjectStore["list"]>[0]) {
        for await (const info of store.list(options)) {
          yield { ...info, timestampMs: lastModifiedByKey.get(info.key) ?? 0, isExactTime: false };
        }
      };
    },
  });
}
