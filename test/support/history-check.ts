// Proves a whole replica written by an engine from a ledger (ledger.ts): every TXID is applied in turn, and each must
// hold a gap-free prefix of the transactions, never shorter than the TXID before.
import { createHash } from "node:crypto";
import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { silentLogger } from "../../src/core/base/log.ts";
import { openCodec } from "../../src/core/codec/codec.ts";
import { openLtx } from "../../src/core/ltx/decoder.ts";
import { PageChecksums } from "../../src/core/ltx/page-checksums.ts";
import { formatTxid } from "../../src/core/ltx/txid.ts";
import { listReplica } from "../../src/core/replica/catalog.ts";
import type { ReplicaFile } from "../../src/core/replica/catalog.ts";
import { layoutForUrl } from "../../src/core/replica/layout.ts";
import type { ObjectStore } from "../../src/core/store/object-store.ts";
import { systemClock, systemRandom } from "../../src/node/base/clock.ts";
import { nodeFileSystem } from "../../src/node/file/node-file-system.ts";
import { openStore } from "../../src/node/store/open-store.ts";
import { checkLedger } from "./check-ledger.ts";
import { temporaryDirectory } from "./temporary.ts";

export interface RestorePoint {
  readonly txid: string;
  /** The newest transaction of the ledger in it. */
  readonly seq: number;
  /** Of the database at it. */
  readonly sha256: string;
}

/** Opens the store of a replica the way the product does. */
function openReplicaStore(url: string): Promise<ObjectStore> {
  return openStore(url, {
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    fileSystem: nodeFileSystem,
    environment: process.env,
  });
}

/** The files of a replica. */
export async function replicaFiles(url: string): Promise<readonly ReplicaFile[]> {
  await using store = await openReplicaStore(url);
  return await listReplica(store, layoutForUrl(url), {});
}

/**
 * Every restore point, oldest first. Throws at the first that is not a prefix of the ledger or not proved, or is shorter
 * than the one before; `mayGoBack` allows that, for databases that were replaced.
 */
export async function checkHistory(
  url: string,
  { mayGoBack = false }: { readonly mayGoBack?: boolean } = {},
): Promise<readonly RestorePoint[]> {
  await using store = await openReplicaStore(url);
  using directory = temporaryDirectory();
  const codec = openCodec();
  const files = await listReplica(store, layoutForUrl(url), {});
  const path = directory.file("state.db");
  const points: RestorePoint[] = [];
  let checksums: PageChecksums | undefined;
  let at = 0n;
  for (;;) {
    const next = files
      .filter(
        (file) => file.minTxid <= at + 1n && file.maxTxid > at && (at > 0n || file.minTxid === 1n),
      )
      .sort((a, b) =>
        a.maxTxid < b.maxTxid ? -1 : a.maxTxid > b.maxTxid ? 1 : a.level - b.level,
      )[0];
    if (next === undefined) break;
    checksums = await applyFile(store, codec, next, path, checksums);
    at = next.maxTxid;
    const { seq } = checkLedger(path);
    if (!mayGoBack && seq < (points.at(-1)?.seq ?? 0))
      throw new Error(`${next.key} goes back to transaction ${seq}`);
    const sha256 = createHash("sha256").update(readFileSync(path)).digest("hex");
    points.push({ txid: formatTxid(next.maxTxid), seq, sha256 });
  }
  const head = files.reduce((max, file) => (file.maxTxid > max ? file.maxTxid : max), 0n);
  if (head !== at) throw new Error(`the history ends at ${at}, but the head is ${head}`);
  return points;
}

async function applyFile(
  store: ObjectStore,
  codec: ReturnType<typeof openCodec>,
  file: ReplicaFile,
  path: string,
  before: PageChecksums | undefined,
): Promise<PageChecksums> {
  const content = await store.get(file.key, {});
  if (content === undefined) throw new Error(`${file.key} is gone`);
  const reader = await openLtx(codec, content.body, { name: file.key });
  const { pageSize, commit, proof } = reader.header;
  const checksums = before ?? new PageChecksums(pageSize);
  if (
    before !== undefined &&
    proof !== undefined &&
    proof.before !== 0n &&
    proof.before !== before.databaseChecksum
  )
    throw new Error(`${file.key} does not follow: its proof begins elsewhere`);
  const fd = openSync(path, before === undefined ? "w+" : "r+");
  try {
    for await (const batch of reader.pages()) {
      checksums.setMany(batch.pgnos, 0, batch.count, batch.checksums);
      for (let i = 0; i < batch.count; i++)
        writeSync(fd, batch.pages, i * pageSize, pageSize, ((batch.pgnos[i] ?? 0) - 1) * pageSize);
    }
    ftruncateSync(fd, commit * pageSize);
  } finally {
    closeSync(fd);
  }
  checksums.truncate(commit);
  if (proof === undefined || proof.after !== checksums.databaseChecksum)
    throw new Error(`${file.key} is not proved`);
  return checksums;
}
