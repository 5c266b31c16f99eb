// Verifies a whole replica: every file of every level is read, its checksum tested and its pages applied to a table of page
// checksums, whose database checksum is compared with what the file's proof claims. Equal headers prove nothing by
// themselves. Memory: a few tables of 8 bytes per page.
import type { Waiting } from "../../core/base/async.ts";
import { HeadwaterError } from "../../core/base/errors.ts";
import type { Logger } from "../../core/base/log.ts";
import { type Codec, openCodec } from "../../core/codec/codec.ts";
import { openLtx } from "../../core/ltx/decoder.ts";
import type { LtxHeader, LtxProof } from "../../core/ltx/header.ts";
import { type Txid, formatTxid, nextTxid, toTxid } from "../../core/ltx/txid.ts";
import { type ReplicaFile, listReplica } from "../../core/replica/catalog.ts";
import { checkFileIdentity } from "../../core/replica/chain-state.ts";
import { layoutForUrl } from "../../core/replica/layout.ts";
import { Download } from "./download.ts";
import type { StoreSecrets } from "../store/store-secrets.ts";
import { systemEnvironment } from "./environment.ts";
import { type FileFinding, type LevelState, LevelStates, differingPages } from "./level-states.ts";
import { type Repair, findRepairs } from "./repairs.ts";
import { restoreDefaults } from "./restore.ts";

export interface VerifyOptions extends Waiting {
  /** URL of the replica. */
  readonly replica: string;
  /** What opens the replica's store; without it the environment. Never logged. */
  readonly secrets?: StoreSecrets | undefined;
  readonly parallelism?: number | undefined;
  /** Gets `store.retry` whenever the store has to be asked again. */
  readonly logger?: Logger | undefined;
  readonly onProgress?:
    | ((progress: { readonly doneBytes: number; readonly totalBytes: number }) => void)
    | undefined;
}

export interface VerifyResult {
  /** The worst of the files; `failed` also if TXIDs are missing. */
  readonly result: FileFinding["result"];
  /** Newest TXID. */
  readonly txid: Txid;
  /** By max TXID. */
  readonly files: readonly Readonly<FileFinding>[];
  /** TXIDs that no sound file of any level covers, up to the newest. */
  readonly holes: readonly TxidRange[];
  /** Files that a level holds beside others of the same TXIDs. Legal, and worth knowing. */
  readonly overlaps: readonly ReplicaFile[];
  /** Damaged files and holes of levels 1 to 8, and whether other files can take their place. */
  readonly repairs: readonly Repair[];
}

interface TxidRange {
  readonly from: Txid;
  readonly to: Txid;
}

/** Errors that are the finding about one file, not the end of the whole. */
const fileFaults = /^(?:ltx\/|replica\/|store\/changed$|store\/length$)/u;

/**
 * Reads and judges every file. Throws `replica/empty`, and what the store throws where it does not answer; whatever is
 * wrong with the files themselves is in the result.
 */
export async function verify({
  replica,
  secrets,
  parallelism = restoreDefaults.parallelism,
  logger,
  onProgress,
  signal,
}: VerifyOptions): Promise<VerifyResult> {
  await using store = await systemEnvironment(logger).openReplica(replica, { signal, secrets });
  const listed = await listReplica(store, layoutForUrl(store.url), { signal });
  const files = listed.toSorted((a, b) => order(a.maxTxid, b.maxTxid) || a.level - b.level);
  const head = files.at(-1)?.maxTxid;
  if (head === undefined) {
    throw new HeadwaterError("replica/empty", `There is no backup at ${store.url}. Check the URL.`);
  }
  const totalBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  let doneBytes = 0;
  await using download = new Download(store, files, {
    parallelism,
    signal,
    onBytes: (bytes) => {
      doneBytes += bytes;
      onProgress?.({ doneBytes, totalBytes });
    },
  });
  const verifier = new Verifier(files);
  for (const file of files) await verifier.verifyFile(file, download.read(file), { signal });
  verifier.linkByEnds();
  const { findings } = verifier;
  const holes = holesOf(findings, head);
  return {
    result: worstOf(findings, holes),
    txid: head,
    files: findings,
    holes,
    overlaps: overlapsOf(listed),
    repairs: findRepairs(findings),
  };
}

class Verifier {
  readonly findings: FileFinding[] = [];
  readonly #codec: Codec = openCodec();
  readonly #levels: LevelStates;
  readonly #afterByTxid = new Map<bigint, bigint>();
  readonly #proofs = new Map<FileFinding, LtxProof>();
  /** The newest full image. */
  readonly #imagedThrough: bigint;
  #pageSize: number | undefined;

  constructor(files: readonly ReplicaFile[]) {
    this.#levels = new LevelStates(files);
    this.#imagedThrough = files.findLast(({ minTxid }) => minTxid === 1n)?.maxTxid ?? 0n;
  }

  async verifyFile(
    file: ReplicaFile,
    chunks: AsyncIterable<Uint8Array>,
    { signal }: Waiting,
  ): Promise<void> {
    const finding: FileFinding = { file, result: "unproved" };
    this.findings.push(finding);
    try {
      await using reader = await openLtx(this.#codec, chunks, { name: file.key, signal });
      const { header } = reader;
      checkFileIdentity(file, header, this.#pageSize);
      const base = this.#levels.baseFor(file, header);
      if (base === undefined) {
        for await (const batch of reader.pages()) void batch;
        finding.result = this.#judgeHeader(header);
      } else {
        const { level, isExact } = base;
        if (isExact) checkStart(finding, header, level);
        const batches = reader.pages();
        await this.#levels.apply(this.#codec, { file, header, batches }, level);
        judgeState(finding, header, level, isExact);
        this.#compareLevels(finding, level);
        this.#levels.offerSeed(level);
      }
      this.#pageSize ??= header.pageSize;
      if (header.proof !== undefined) {
        this.#afterByTxid.set(header.maxTxid, header.proof.after);
        this.#proofs.set(finding, header.proof);
      }
    } catch (error) {
      if (!(error instanceof HeadwaterError) || !fileFaults.test(error.code)) throw error;
      this.#levels.drop(file.level);
      fail(finding, error.message);
    }
  }

  /**
   * Without the files before it, only its neighbour's header can speak for a file. Where retention has taken the
   * neighbour, too, and left a later image, nothing speaks against it.
   */
  #judgeHeader({ proof, minTxid }: LtxHeader): FileFinding["result"] {
    if (proof === undefined || proof.before === 0n) return "unproved";
    const before = this.#afterByTxid.get(minTxid - 1n);
    const isLinked =
      before === undefined ? minTxid <= this.#imagedThrough : before === proof.before;
    return isLinked ? "linked" : "unproved";
  }

  /**
   * A file whose predecessors are gone is linked if it ends in the database in which a proved one ends, or from which one
   * goes on: so the newest of level 0 after level 1 has taken those before them.
   */
  linkByEnds(): void {
    const sound = this.findings.filter(({ result }) => result === "proved");
    for (const finding of this.findings.toReversed()) {
      const after = this.#proofs.get(finding)?.after ?? 0n;
      if (finding.result !== "unproved" || after === 0n) continue;
      const { maxTxid } = finding.file;
      const isLinked = sound.some((other) => {
        const proof = this.#proofs.get(other);
        return other.file.maxTxid === maxTxid
          ? proof?.after === after
          : other.file.minTxid === maxTxid + 1n && proof?.before === after;
      });
      if (!isLinked) continue;
      finding.result = "linked";
      sound.push(finding);
    }
  }

  /** Levels that stand at the same TXID must hold the same database; where one is right, it names the wrong pages. */
  #compareLevels(finding: FileFinding, level: LevelState): void {
    for (const peer of this.#levels.peersOf(level)) {
      if (peer.state.databaseChecksum === level.state.databaseChecksum) continue;
      const pages = differingPages(level.state, peer.state);
      const wrong = level.delta === 0n ? peer : level;
      const right = wrong === level ? peer : level;
      if (wrong.culprit === undefined) {
        fail(
          finding,
          `It and ${peer.lastFile.key} give different databases at TXID ${formatTxid(finding.file.maxTxid)}. ` +
            "One of the two lacks transactions.",
        );
        finding.pages = pages;
      } else if (right.delta === 0n) {
        wrong.culprit.pages = pages;
      }
      this.#levels.correct(wrong, right);
      if (wrong === level) return;
    }
  }
}

/** The proof's *before*: a file that was left out, put in or replaced shows here. */
function checkStart(finding: FileFinding, { proof }: LtxHeader, level: LevelState): void {
  const before = proof?.before ?? 0n;
  const { databaseChecksum } = level.state;
  if (before === 0n || before === (databaseChecksum ^ level.delta)) return;
  level.delta = before ^ databaseChecksum;
  level.culprit = finding;
  fail(
    finding,
    `It does not continue ${level.lastFile.key}: its proof names another database before it. One of the two was replaced.`,
  );
}

/** The proof's *after*, against the pages. */
function judgeState(
  finding: FileFinding,
  { proof }: LtxHeader,
  level: LevelState,
  isExact: boolean,
): void {
  const after = proof?.after ?? 0n;
  if (after === 0n) return;
  const { databaseChecksum } = level.state;
  const isRight = after === databaseChecksum;
  const isInherited = level.delta !== 0n && after === (databaseChecksum ^ level.delta);
  if (isRight || !isInherited) {
    level.delta = after ^ databaseChecksum;
    level.culprit = isRight ? undefined : finding;
  }
  if (finding.result === "failed") return;
  // A fault of an earlier file may still be in the database: then this one added none, and proves nothing.
  if (isRight || isInherited) finding.result = isRight && isExact ? "proved" : "linked";
  else {
    fail(
      finding,
      "Its pages are not those captured: one was altered and the checksum made to fit.",
    );
  }
}

function fail(finding: FileFinding, problem: string): void {
  finding.result = "failed";
  finding.problem = problem;
}

function order(a: bigint, b: bigint): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

function worstOf(
  findings: readonly FileFinding[],
  holes: readonly TxidRange[],
): FileFinding["result"] {
  if (holes.length > 0) return "failed";
  const ranking = ["failed", "unproved", "linked", "proved"] as const;
  return ranking.find((rank) => findings.some(({ result }) => result === rank)) ?? "unproved";
}

function holesOf(findings: readonly FileFinding[], head: Txid): readonly TxidRange[] {
  const sound = findings.filter(({ result }) => result !== "failed").map(({ file }) => file);
  const holes: TxidRange[] = [];
  let covered = 0n;
  for (const { minTxid, maxTxid } of sound.toSorted((a, b) => order(a.minTxid, b.minTxid))) {
    if (minTxid > covered + 1n) {
      holes.push({ from: toTxid(covered + 1n), to: toTxid(minTxid - 1n) });
    }
    if (maxTxid > covered) covered = maxTxid;
  }
  if (covered < head) {
    holes.push({ from: covered === 0n ? toTxid(1) : nextTxid(toTxid(covered)), to: head });
  }
  return holes;
}

function overlapsOf(files: readonly ReplicaFile[]): readonly ReplicaFile[] {
  const reachedByLevel = new Map<number, bigint>();
  return files.filter(({ level, minTxid, maxTxid }) => {
    const reached = reachedByLevel.get(level) ?? 0n;
    if (maxTxid > reached) reachedByLevel.set(level, maxTxid);
    // Full images all start at 1.
    return minTxid !== 1n && minTxid <= reached;
  });
}
