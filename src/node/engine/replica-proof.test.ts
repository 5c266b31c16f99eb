// What is read of a replica to prove it, and what is found, in a store where reading costs.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openCodec } from "../../core/codec/codec.ts";
import { silentLogger } from "../../core/base/log.ts";
import { toTxid } from "../../core/ltx/txid.ts";
import { litestreamLayout } from "../../core/replica/layout.ts";
import { createMemoryStore } from "../../core/store/memory-store.ts";
import { bodyOf } from "../../core/store/object-store.ts";
import type { GetOptions, ObjectStore } from "../../core/store/object-store.ts";
import { VirtualClock } from "../../core/testing/virtual-clock.ts";
import { pageOf, sampleHistory } from "../../../test/support/replica-builder.ts";
import { temporaryDirectory } from "../../../test/support/temporary.ts";
import type { TemporaryDirectory } from "../../../test/support/temporary.ts";
import { systemRandom } from "../base/clock.ts";
import { nodeFileSystem } from "../file/node-file-system.ts";
import { openLease } from "./lease-keeper.ts";
import { ReplicaLink } from "./replica-link.ts";
import { ReplicaProof } from "./replica-proof.ts";
import { ReplicaRecordFile } from "./replica-record.ts";
import { ownershipOf } from "./state-directory.ts";

const history = sampleHistory();
const { signal } = new AbortController();

let directory: TemporaryDirectory;
let store: ObjectStore;
/** Keys and lengths that were read. */
let reads: { readonly key: string; readonly length: number | undefined }[];
let link: ReplicaLink;
let proof: ReplicaProof;

beforeEach(async () => {
  directory = temporaryDirectory();
  const clock = new VirtualClock();
  store = createMemoryStore({ clock });
  reads = [];
  const get = store.get.bind(store);
  store.get = (key: string, options: GetOptions) => {
    reads.push({ key, length: options.length });
    return get(key, options);
  };
  const common = {
    fileSystem: nodeFileSystem,
    stateDirectory: directory.path,
    ownership: ownershipOf(directory.path),
    url: "memory:",
    store,
    layout: litestreamLayout,
    clock,
    logger: silentLogger,
  };
  const rest = { nodeId: 1n, random: systemRandom, ttlMs: 0, takeOver: false, once: false };
  const brief = { upkeepFromMs: 0, leaseFromMs: 0 };
  const lease = openLease({ ...common, ...rest, brief });
  link = new ReplicaLink({ ...common, records: await ReplicaRecordFile.open(common), lease });
  proof = new ReplicaProof(link, openCodec());
  await put(9, 1, 1);
  await link.known.load(() => Promise.resolve([]));
});

afterEach(() => directory[Symbol.dispose]());

const keyOf = (level: number, min: number, max: number): string =>
  litestreamLayout.key({ level, minTxid: toTxid(min), maxTxid: toTxid(max) });

/** Puts a file of the history as the engine does. */
async function put(level: number, min: number, max: number): Promise<void> {
  const body = bodyOf(await history.fileOf({ min, max }));
  const name = { level, minTxid: toTxid(min), maxTxid: toTxid(max) };
  await link.create({ ...name, timestampMs: max, body }, { signal });
}

const kinds = async (): Promise<readonly string[]> =>
  (await proof.run({ signal })).faults.map(({ file, kind }) => `${kind} ${file.key}`);

describe("a sound replica", () => {
  it("is proved by one header for each new file, and old files are not read again", async () => {
    for (let txid = 2; txid <= 5; txid++) await put(0, txid, txid);
    await put(1, 2, 5);
    reads = [];
    expect(await proof.run({ signal })).toEqual({
      newFiles: 6,
      faults: [],
      headTxid: 5n,
      canRestoreHead: true,
    });
    expect(reads.map(({ length }) => length)).toEqual(Array.from({ length: 6 }, () => 100));
    reads = [];
    await put(0, 6, 6);
    expect(await proof.run({ signal })).toMatchObject({ newFiles: 1, faults: [], headTxid: 6n });
    expect(reads).toEqual([{ key: keyOf(0, 6, 6), length: 100 }]);
  });

  it("may lose what retention deletes while it is listed", async () => {
    for (let txid = 2; txid <= 4; txid++) await put(0, txid, txid);
    await put(1, 2, 3);
    await proof.run({ signal });
    const gone = link.known.files.filter(({ key }) => key === keyOf(0, 2, 2));
    link.known.remove(gone);
    await store.delete([keyOf(0, 2, 2)], {});
    expect(await proof.run({ signal })).toMatchObject({ faults: [], canRestoreHead: true });
  });
});

describe("a fault", () => {
  it("is a file that was put and is gone, also if others make up for it", async () => {
    for (let txid = 2; txid <= 3; txid++) await put(0, txid, txid);
    await put(1, 2, 3);
    await store.delete([keyOf(0, 2, 2)], {});
    const report = await proof.run({ signal });
    expect(report.faults).toMatchObject([{ kind: "missing", file: { key: keyOf(0, 2, 2) } }]);
    expect(report.canRestoreHead).toBe(true);
  });

  it("is the loss of the newest file, which nothing makes up for", async () => {
    await put(0, 2, 2);
    await store.delete([keyOf(0, 2, 2)], {});
    expect(await proof.run({ signal })).toMatchObject({
      faults: [{ kind: "missing" }],
      headTxid: 2n,
      canRestoreHead: false,
    });
  });

  it("is an object that was replaced: it is read whole, and its pages tell", async () => {
    await put(0, 2, 2);
    await proof.run({ signal });
    const bytes = await history.fileOf({ min: 2, max: 2 });
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    await store.put(keyOf(0, 2, 2), bodyOf(bytes), {});
    reads = [];
    expect(await kinds()).toEqual([`damaged ${keyOf(0, 2, 2)}`]);
    expect(reads).toEqual([{ key: keyOf(0, 2, 2), length: undefined }]);
    // It stays one until it is right again.
    expect(await kinds()).toEqual([`damaged ${keyOf(0, 2, 2)}`]);
    await store.put(keyOf(0, 2, 2), bodyOf(await history.fileOf({ min: 2, max: 2 })), {});
    expect(await kinds()).toEqual([]);
  });

  it("is a file of other TXIDs than its name says, or one that is no LTX file", async () => {
    await store.put(keyOf(0, 2, 2), bodyOf(await history.fileOf({ min: 3, max: 3 })), {});
    await store.put(keyOf(0, 3, 3), bodyOf(new Uint8Array(200).fill(7)), {});
    expect((await kinds()).toSorted()).toEqual([
      `damaged ${keyOf(0, 3, 3)}`,
      `unlinked ${keyOf(0, 2, 2)}`,
    ]);
  });

  it("is a file of another history, although it is sound", async () => {
    await put(0, 2, 2);
    await proof.run({ signal });
    const foreign = await history.fileOf(
      { min: 3, max: 3 },
      { proof: { before: history.checksumAt(9), after: history.checksumAt(3) } },
      new Map([[1, pageOf(4096, 999)]]),
    );
    await store.put(keyOf(0, 3, 3), bodyOf(foreign), {});
    expect(await kinds()).toEqual([`unlinked ${keyOf(0, 3, 3)}`]);
  });
});
