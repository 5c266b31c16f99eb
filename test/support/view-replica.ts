// Replicas in memory for tests of views: every call of the store is on record and can be made to fail or wait.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../src/core/base/clock.ts";
import { type Codec, openCodec } from "../../src/core/codec/codec.ts";
import { toTxid } from "../../src/core/ltx/txid.ts";
import { litestreamLayout } from "../../src/core/replica/layout.ts";
import { createMemoryStore } from "../../src/core/store/memory-store.ts";
import { type ObjectStore, bodyOf } from "../../src/core/store/object-store.ts";
import {
  type StoreCall,
  type StoreFault,
  createFaultyStore,
} from "../../src/core/testing/faulty-store.ts";
import { VirtualClock } from "../../src/core/testing/virtual-clock.ts";
import {
  type ReplicaViewsOptions,
  type ViewTarget,
  ReplicaViews,
} from "../../src/core/view/replica-views.ts";
import type { View } from "../../src/core/view/view.ts";
import type { GoldenSet } from "./golden.ts";
import { encodeWhole, ltxHeader } from "./ltx.ts";
import { type FileRange, type ReplicaHistory, pageOf } from "./replica-builder.ts";

const codec: Codec = openCodec();

export class ViewReplica {
  readonly clock: Clock;
  /** Without the record. */
  readonly inner: ObjectStore;
  readonly store: ObjectStore;
  readonly calls: StoreCall[] = [];
  /** What a call suffers. */
  fault: (call: StoreCall) => StoreFault | undefined = () => undefined;

  constructor(clock: Clock = new VirtualClock()) {
    this.clock = clock;
    this.inner = createMemoryStore({ clock });
    this.store = createFaultyStore(this.inner, {
      clock,
      plan: (call) => {
        this.calls.push(call);
        return this.fault(call);
      },
    });
  }

  /** Keys got since the last time this was asked. */
  takeGets(): readonly string[] {
    return this.calls
      .splice(0)
      .filter(({ operation }) => operation === "get")
      .map(({ key }) => key);
  }

  async put(range: FileRange, bytes: Uint8Array, timestampMs = range.max * 1000): Promise<void> {
    await this.inner.put(keyOf(range), bodyOf(bytes), { timestampMs });
  }

  async putHistory(history: ReplicaHistory, ranges: readonly FileRange[]): Promise<void> {
    for (const range of ranges) {
      await this.put(range, await history.fileOf(range), 1_700_000_000_000 + range.max * 1000);
    }
  }

  async putGolden(set: GoldenSet): Promise<void> {
    for (const { path, level, minTxid, maxTxid, mtimeMs } of set.files) {
      const key = litestreamLayout.key({ level, minTxid, maxTxid });
      const bytes = readFileSync(join(set.path, path));
      await this.inner.put(key, bodyOf(bytes), { timestampMs: mtimeMs });
    }
  }

  /** A database file as one full image of TXID 1. */
  async putDatabase(bytes: Uint8Array, pageSize: number): Promise<void> {
    const pages = new Map<number, Uint8Array>();
    for (let at = 0; at < bytes.length; at += pageSize) {
      pages.set(at / pageSize + 1, bytes.subarray(at, at + pageSize));
    }
    const commit = pages.size;
    const txids = { minTxid: toTxid(1), maxTxid: toTxid(1) };
    const image = await encodeWhole(codec, ltxHeader({ pageSize, commit, ...txids }), pages);
    await this.put({ level: 9, min: 1, max: 1 }, image);
  }

  async delete(...ranges: readonly FileRange[]): Promise<void> {
    await this.inner.delete(ranges.map(keyOf), {});
  }

  /** The stored bytes of a file, to be changed and put back. */
  async bytesOf(range: FileRange): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    const content = await this.inner.get(keyOf(range), {});
    for await (const chunk of content?.body ?? []) parts.push(chunk.slice());
    return Uint8Array.from(Buffer.concat(parts));
  }

  open(options: Partial<ReplicaViewsOptions> = {}): Promise<ReplicaViews> {
    const { store } = this;
    const layout = litestreamLayout;
    return ReplicaViews.open({ store, layout, codec, cacheBytes: 4_000_000, ...options }, {});
  }
}

export function keyOf({ level, min, max }: FileRange): string {
  return litestreamLayout.key({ level, minTxid: toTxid(min), maxTxid: toTxid(max) });
}

/** The whole database, read page by page. */
export async function readAll(view: View): Promise<Uint8Array> {
  const { commit, pageSize } = view.map;
  const bytes = new Uint8Array(commit * pageSize);
  for (let pgno = 1; pgno <= commit; pgno++) {
    await view.read(pgno, bytes.subarray((pgno - 1) * pageSize, pgno * pageSize), {});
  }
  return bytes;
}

/** The target of a TXID. */
export function atTxid(txid: number | bigint): ViewTarget {
  return { kind: "txid", txid: toTxid(txid) };
}

/** The code of the error that the work fails with. */
export async function codeOf(work: Promise<unknown>): Promise<unknown> {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return error instanceof Error && "code" in error ? error.code : error;
}

/** Level-0 files of single TXIDs. */
export function singles(from: number, to: number): readonly FileRange[] {
  return Array.from({ length: to - from + 1 }, (_, n) => ({
    level: 0,
    min: from + n,
    max: from + n,
  }));
}

/** A file of a database of three pages: page 1 tells the TXID, the others their number. */
export async function putSmall(
  replica: ViewReplica,
  range: FileRange,
  pgnos: readonly number[],
): Promise<void> {
  const txids = { minTxid: toTxid(range.min), maxTxid: toTxid(range.max) };
  const header = ltxHeader({ pageSize: 512, commit: 3, ...txids });
  const pages = new Map(
    pgnos.map((pgno) => [pgno, pageOf(512, pgno === 1 ? range.max : pgno)] as const),
  );
  await replica.put(range, await encodeWhole(codec, header, pages));
}
