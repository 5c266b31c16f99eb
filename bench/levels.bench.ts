// The levels:
//  - 500 level-0 files of 50 pages each (100 MB, from a database like those of web applications) compacted into level 1, as
//    the engine does it, against reading the same files with the same decoder, keeping the newest image of each page and
//    encoding those again with the same encoder; both from memory into memory, with the same checks of every byte;
//  - peak memory (VmHWM) of `headwater replicate`, all its processes, over a 2 GB database: first image, a second image and
//    compactions of level 1 and 2, while an application commits 100 times a second.
// Argument: "compaction" or "memory" runs only that one.
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { openCodec } from "../src/core/codec/codec.ts";
import { openLtx } from "../src/core/ltx/decoder.ts";
import { encodeLtx } from "../src/core/ltx/encoder.ts";
import type { LtxHeader } from "../src/core/ltx/header.ts";
import { toTxid } from "../src/core/ltx/txid.ts";
import { type ReplicaFile, listReplica } from "../src/core/replica/catalog.ts";
import { compact, planCompaction } from "../src/core/replica/compact.ts";
import { litestreamLayout as layout } from "../src/core/replica/layout.ts";
import { createMemoryStore } from "../src/core/store/memory-store.ts";
import type { ObjectBody, ObjectStore } from "../src/core/store/object-store.ts";
import { createSeededRandom } from "../src/core/testing/seeded-random.ts";
import { systemClock } from "../src/node/base/clock.ts";
import { startModule } from "../test/support/children.ts";
import { ltxHeader } from "../test/support/ltx.ts";
import { temporaryDirectory } from "../test/support/temporary.ts";
import { until } from "../test/support/until.ts";
import { compare } from "./support/compare.ts";
import { largeDatabase } from "./support/databases.ts";
import type { PacedOptions } from "./support/paced-writer.ts";
import { peakResidentBytes, processTree } from "./support/processes.ts";
import { buildProduct, loggedFields, startHeadwater } from "./support/product.ts";
import { createSampleDatabase } from "./support/sample-database.ts";
import { formatMs, formatRatio } from "./support/statistics.ts";
import { printTable } from "./support/table.ts";

const pageSize = 4096;
const [fileCount, pagesPerFile] = [500, 50];
const codec = openCodec();

/** A full image's worth of pages to draw from; each file takes some by chance, as commits do. */
async function makeLevel0(store: ObjectStore): Promise<void> {
  using directory = temporaryDirectory();
  const path = directory.file("sample.db");
  createSampleDatabase(path, { sizeBytes: 60e6 });
  const database = readFileSync(path);
  const commit = database.length / pageSize;
  const random = createSeededRandom(1);
  for (let n = 1; n <= fileCount; n++) {
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

/** As the engine does. */
async function merge(store: ObjectStore): Promise<void> {
  for (;;) {
    const plan = planCompaction(await listReplica(store, layout, {}), { level: 1 });
    if (plan === undefined) return;
    await compact(plan, { store, layout, codec });
  }
}

/** The same two files, by decoding and encoding. */
async function encodeAgain(store: ObjectStore): Promise<void> {
  for (;;) {
    const plan = planCompaction(await listReplica(store, layout, {}), { level: 1 });
    const [first] = plan?.inputs ?? [];
    if (plan === undefined || first === undefined) return;
    const newest = new Map<number, Uint8Array>();
    let last: LtxHeader | undefined;
    for (const input of plan.inputs) last = await decodeInto(newest, store, input);
    if (last === undefined) return;
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
    const name = { level: 1, minTxid: first.minTxid, maxTxid: last.maxTxid };
    await store.put(layout.key(name), body, { condition: "absent" });
  }
}

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

async function benchCompaction(): Promise<void> {
  await using store = createMemoryStore({ clock: systemClock });
  await makeLevel0(store);
  const clear = async (): Promise<void> => {
    const made = (await listReplica(store, layout, {})).filter(({ level }) => level === 1);
    await store.delete(
      made.map(({ key }) => key),
      {},
    );
  };
  const times = await compare(
    { run: () => clear().then(() => merge(store)) },
    { run: () => clear().then(() => encodeAgain(store)) },
    { rounds: 7 },
  );
  const megabytes = (fileCount * pagesPerFile * pageSize) / 1e6;
  const rate = (ms: number): string => `${((megabytes / ms) * 1000).toFixed(0)} MB/s`;
  printTable([
    [
      `${fileCount} files, ${megabytes.toFixed(0)} MB of pages`,
      "frames copied",
      "encoded again",
      "ratio",
      "target",
    ],
    [
      "compaction into level 1",
      `${formatMs(times.oursMs)}, ${rate(times.oursMs)}`,
      `${formatMs(times.theirsMs)}, ${rate(times.theirsMs)}`,
      formatRatio(times.ratio),
      "2x",
    ],
  ]);
}

async function benchMemory(): Promise<void> {
  buildProduct();
  using directory = temporaryDirectory();
  const path = directory.file("app.db");
  copyFileSync(largeDatabase(2e9), path);
  const config = directory.file("headwater.yml");
  writeFileSync(
    config,
    `levels: [{ interval: 2s }, { interval: 10s }]\nsnapshot: { interval: 30s, retention: 24h }\n` +
      `dbs:\n  - path: ${path}\n    sync-interval: 0s\n    replica: { path: ${directory.file("replica")} }\n`,
  );
  const options: PacedOptions = {
    path,
    synchronous: "NORMAL",
    commitsPerSecond: 100,
    rowsPerCommit: 5,
  };
  const writer = startModule(
    fileURLToPath(new URL("support/paced-writer.ts", import.meta.url)),
    options,
  );
  await using ended = new AsyncDisposableStack();
  ended.use(writer);
  await writer.line((line) => line === "ready");
  const replicator = ended.use(
    startHeadwater(["replicate", "-config", config, "-log-level", "debug"]),
  );
  const levels = (): ReadonlySet<string> =>
    new Set(loggedFields(replicator, "ltx.compacted").map(({ level }) => level ?? ""));
  const images = (): number =>
    loggedFields(replicator, "ltx.uploaded").filter(({ level }) => level === "9").length;
  await until(() => images() >= 2 && levels().has("1") && levels().has("2"), 600_000);
  const peak = peakResidentBytes(processTree(replicator.pid));
  const compactions = loggedFields(replicator, "ltx.compacted").length;
  writer.closeInput();
  await replicator.end("SIGTERM");
  printTable([
    [`2 GB, ${images()} images, ${compactions} compactions`, "measured", "target"],
    ["peak memory of the replicator", `${(peak / 1e6).toFixed(0)} MB`, "250 MB"],
  ]);
}

const only = process.argv[2] ?? "";
if (only !== "memory") await benchCompaction();
if (only === "") console.log("");
if (only !== "compaction") await benchMemory();
