// Proves the files of one replica that are new since the last time: all that was put is listed, each file is what its name
// says, the proofs of all levels are one chain, and the newest TXID can be restored. One listing, then of each new file
// the header (100 bytes), or all of it where reading costs nothing or its bytes were replaced.
import { mapConcurrent } from "../../core/base/async.ts";
import { collectBytes } from "../../core/base/bytes.ts";
import { HeadwaterError, hasCode } from "../../core/base/errors.ts";
import type { Codec } from "../../core/codec/codec.ts";
import { openLtx } from "../../core/ltx/decoder.ts";
import { decodeHeader, ltxHeaderSizeBytes } from "../../core/ltx/header.ts";
import type { LtxHeader, LtxProof } from "../../core/ltx/header.ts";
import { listReplica } from "../../core/replica/catalog.ts";
import type { ReplicaFile } from "../../core/replica/catalog.ts";
import { checkFileIdentity } from "../../core/replica/chain-state.ts";
import { findBrokenLinks } from "../../core/replica/links.ts";
import { planRestore } from "../../core/replica/plan.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import type { ReplicaLink } from "./replica-link.ts";
import type { Waiting } from "./waiting.ts";

/** Requests at once. */
const parallelism = 4;

/** What is wrong with a file, and not with reaching it. */
const fileFaults = /^(?:ltx\/|replica\/foreign-file$)/u;

/** A file that is not what it has to be. */
export interface ReplicaFault {
  readonly file: ReplicaFile;
  /** `damaged`: no sound LTX file; `unlinked`: sound, but of other TXIDs or of another history than the others. */
  readonly kind: "missing" | "damaged" | "unlinked";
  readonly problem: string;
}

export interface ProofReport {
  /** Files read this time. */
  readonly newFiles: number;
  readonly faults: readonly ReplicaFault[];
  /** The newest TXID there is or was; 0n = none. */
  readonly headTxid: bigint;
  /** Sound files lead to it. */
  readonly canRestoreHead: boolean;
}

interface ProvedFile {
  readonly etag: string;
  readonly sizeBytes: number;
  readonly proof: LtxProof | undefined;
}

export class ReplicaProof {
  readonly #link: ReplicaLink;
  readonly #codec: Codec;
  /** By key: what this process has proved and the replica still lists. */
  #proved: ReadonlyMap<string, ProvedFile> = new Map();

  constructor(link: ReplicaLink, codec: Codec) {
    this.#link = link;
    this.#codec = codec;
  }

  /** Judges the replica. Throws what the store throws where it does not answer. */
  async run({ signal }: Waiting): Promise<ProofReport> {
    const { store, layout, record } = this.#link;
    const expected = this.#link.known.files;
    const listed = await listReplica(store, layout, { signal });
    const faults: ReplicaFault[] = [...this.#missing(expected, listed)];
    const isProved = (file: ReplicaFile): boolean => {
      const before = this.#proved.get(file.key);
      return before !== undefined && isSame(before, file);
    };
    const [old, fresh] = [listed.filter(isProved), listed.filter((file) => !isProved(file))];
    const oldKeys = new Set(old.map(({ key }) => key));
    const proved = new Map([...this.#proved].filter(([key]) => oldKeys.has(key)));
    const putByKey = new Map(expected.map((file) => [file.key, file]));
    await mapConcurrent(fresh, parallelism, async (file) => {
      try {
        const header = await this.#read(file, putByKey.get(file.key), { signal });
        if (header === undefined) return;
        const { etag, sizeBytes } = file;
        proved.set(file.key, { etag, sizeBytes, proof: header.proof });
      } catch (error) {
        if (!(error instanceof HeadwaterError) || !fileFaults.test(error.code)) throw error;
        const kind = error.code === "replica/foreign-file" ? "unlinked" : "damaged";
        faults.push({ file, kind, problem: error.message });
      }
    });
    // What was proved before is trusted more than what is new.
    const linked = [...old, ...fresh].flatMap((file) => {
      const known = proved.get(file.key);
      return known === undefined ? [] : [{ file, proof: known.proof }];
    });
    for (const { file, problem } of findBrokenLinks(linked)) {
      faults.push({ file, kind: "unlinked", problem });
      proved.delete(file.key);
    }
    this.#proved = proved;
    const faulty = new Set(faults.map(({ file }) => file.key));
    const sound = listed.filter(({ key }) => !faulty.has(key));
    const ever = [...listed, ...faults.map(({ file }) => file), ...(record ? [record] : [])];
    const headTxid = ever.reduce((max, { maxTxid }) => (maxTxid > max ? maxTxid : max), 0n);
    return {
      newFiles: fresh.length,
      faults,
      headTxid,
      canRestoreHead: headTxid === 0n || canRestore(sound, headTxid),
    };
  }

  /**
   * Files that were put or listed before and are not listed now. What retention deletes meanwhile it takes from the known
   * files first.
   */
  #missing(
    expected: readonly ReplicaFile[],
    listed: readonly ReplicaFile[],
  ): readonly ReplicaFault[] {
    const there = new Set(listed.map(({ key }) => key));
    const known = new Set(this.#link.known.files.map(({ key }) => key));
    return expected
      .filter(({ key }) => !there.has(key) && known.has(key))
      .map((file) => {
        const problem = `${file.key} was put and is gone: it was deleted by something else.`;
        return { file, kind: "missing", problem };
      });
  }

  /** The header of a sound file; `undefined` if it was deleted or replaced just now. */
  async #read(
    file: ReplicaFile,
    put: ReplicaFile | undefined,
    { signal }: Waiting,
  ): Promise<LtxHeader | undefined> {
    const { store } = this.#link;
    const { key, etag } = file;
    const isReplaced = !isSame(put ?? file, file) || this.#proved.has(key);
    const length = isLocal(store) || isReplaced ? undefined : ltxHeaderSizeBytes;
    try {
      const content = await store.get(key, { length, etag, signal });
      if (content === undefined) return undefined;
      const header =
        length === undefined
          ? await readWhole(this.#codec, content.body, { name: key, signal })
          : decodeHeader(await collectBytes(content.body), key);
      checkFileIdentity(file, header, undefined);
      return header;
    } catch (error) {
      if (hasCode(error, "store/changed")) return undefined;
      throw error;
    }
  }
}

/** True where reading costs nothing but the time of a disk. */
export function isLocal({ url }: Pick<ObjectStore, "url">): boolean {
  return url.startsWith("file:");
}

/** Reads all of a file: every rule of the format and its checksum hold. */
async function readWhole(
  codec: Codec,
  body: AsyncIterable<Uint8Array>,
  options: Waiting & { readonly name: string },
): Promise<LtxHeader> {
  await using reader = await openLtx(codec, body, options);
  for await (const batch of reader.pages()) void batch;
  return reader.header;
}

function isSame(
  one: Pick<ReplicaFile, "etag" | "sizeBytes">,
  other: Pick<ReplicaFile, "etag" | "sizeBytes">,
): boolean {
  return one.etag === other.etag && one.sizeBytes === other.sizeBytes;
}

function canRestore(files: readonly ReplicaFile[], txid: bigint): boolean {
  const head = files.find(({ maxTxid }) => maxTxid === txid);
  if (head === undefined) return false;
  try {
    return planRestore(files, { kind: "txid", txid: head.maxTxid }).length > 0;
  } catch (error) {
    if (hasCode(error, "replica/gap", "replica/unreachable-txid")) return false;
    throw error;
  }
}
