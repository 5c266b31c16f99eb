// One way to compact, in a process of its own, so that it pays for its own garbage and for nobody else's: makes the level-0
// files in memory, prints `ready`, then does the work once for each line it reads and answers `done`.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { must } from "../../src/core/base/assert.ts";
import { openCodec } from "../../src/core/codec/codec.ts";
import { openLtx } from "../../src/core/ltx/decoder.ts";
import { encodeLtx } from "../../src/core/ltx/encoder.ts";
import type { LtxHeader } from "../../src/core/ltx/header.ts";
import { toTxid } from "../../src/core/ltx/txid.ts";
import { type ReplicaFile, listReplica } from "../../src/core/replica/catalog.ts";
import { compact } from "../../src/core/replica/compact.ts";
import { type CompactionPlan, planCompaction } from "../../src/core/replica/plan-compaction.ts";
import { litestreamLayout as layout } from "../../src/core/replica/layout.ts";
import { createMemoryStore } from "../../src/core/store/memory-store.ts";
import type { ObjectBody, ObjectStore } from "../../src/core/store/object-store.ts";
import { createSeededRandom } from "../../src/core/testing/seeded-random.ts";
import { systemClock } from "../../src/node/base/clock.ts";
import { ltxHeader } from "../../test/support/ltx.ts";

export interface CompactionOptions {
  /** A database to take pages from. */
  readonly path: string;
  readonly files: number;
  readonly pagesPerFile: number;
  /** `copied`: as the engine does it. `encoded`: decoded, merged in memory, encoded again. */
  readonly how: "copied" | "encoded";
}

const pageSize = 4096;
const codec = openCodec();

/** A full image's worth of pages to draw from; each file takes some by chance, as commits do. */
async function makeLevel0(
  store: ObjectStore,
  { path, files, pagesPerFile }: CompactionOptions,
): Promise<void> {
  const database = readFileSync(path);
  const commit = database.length / pageSize;
  const random = createSeededRandom(1);
  for (let n = 1; n <= files; n++) {
    const chosen = new Set<number>();
    while (chosen.size < pagesPerFile) chosen.add(1 + Math.floor(random.float() * commit));
    const pgnos = Uint32Array.from(chosen).sort();
    const txid = toTxid(n + 1);
    const header = ltxHeader({ pageSize, commit, minTxid: txid, maxTxid: txid });
    const body: ObjectBody = {
      sizeBytes: undefined,
      open: () =>
        encodeLtx(codec, header, pgnos, (_all, from, count, into) => {
          for (let i = 0; i < count; i++) {
            const start = ((pgnos[from + i] ?? 0) - 1) * pageSize;
            into.set(database.subarray(start, start + pageSize), i * pageSize);
          }
        }),
    };
    const key = layout.key({ level: 0, minTxid: txid, maxTxid: txid });
    await store.put(key, body, { timestampMs: header.timestampMs });
  }
}

/** Makes the file of a plan. */
type MakeFile = (store: ObjectStore, plan: CompactionPlan) => Promise<ReplicaFile>;

/** As the engine does. */
const copied: MakeFile = async (store, plan) => {
  const { file } = await compact(plan, { store, layout, codec });
  return file;
};

/** The same file, by decoding and encoding. */
const encoded: MakeFile = async (store, { level, inputs }) => {
  const newest = new Map<number, Uint8Array>();
  const headers: LtxHeader[] = [];
  for (const input of inputs) headers.push(await decodeInto(newest, store, input));
  const [first, last] = [must(headers[0], "an input"), must(headers.at(-1), "an input")];
  const header = { ...last, minTxid: first.minTxid };
  const pgnos = Uint32Array.from(newest.keys()).sort();
  const body: ObjectBody = {
    sizeBytes: undefined,
    open: () =>
      encodeLtx(codec, header, pgnos, (_all, from, count, into) => {
        for (let i = 0; i < count; i++) {
          const page = newest.get(pgnos[from + i] ?? 0);
          if (page !== undefined) into.set(page, i * pageSize);
        }
      }),
  };
  const name = { level, minTxid: first.minTxid, maxTxid: last.maxTxid };
  const { timestampMs } = header;
  const info = await store.put(layout.key(name), body, { condition: "absent", timestampMs });
  return { ...name, ...info };
};

async function decodeInto(
  newest: Map<number, Uint8Array>,
  store: ObjectStore,
  { key }: ReplicaFile,
): Promise<LtxHeader> {
  const content = await store.get(key, {});
  if (content === undefined) throw new Error(`${key} is gone`);
  await using reader = await openLtx(codec, content.body, { name: key });
  for await (const { pages, pgnos, count } of reader.pages()) {
    for (let i = 0; i < count; i++) {
      newest.set(pgnos[i] ?? 0, pages.slice(i * pageSize, (i + 1) * pageSize));
    }
  }
  return reader.header;
}

/** From files listed before, as an engine knows them; returns the names of those it has made. */
async function compactAll(
  store: ObjectStore,
  listed: readonly ReplicaFile[],
  make: MakeFile,
): Promise<readonly string[]> {
  const made: ReplicaFile[] = [];
  for (;;) {
    const plan = planCompaction([...listed, ...made], { level: 1 });
    if (plan === undefined) return made.map(({ key }) => key);
    made.push(await make(store, plan));
  }
}

const options = JSON.parse(process.argv[2] ?? "{}") as CompactionOptions;
await using store = createMemoryStore({ clock: systemClock });
await makeLevel0(store, options);
const listed = await listReplica(store, layout, {});
console.log("ready");
let made: readonly string[] = [];
const requests = createInterface(process.stdin);
for await (const request of requests) {
  void request;
  await store.delete(made, {});
  made = await compactAll(store, listed, options.how === "copied" ? copied : encoded);
  console.log("done");
}
