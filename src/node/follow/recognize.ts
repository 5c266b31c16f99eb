// What an output is: opened, put right by SQLite if a process died on it, and compared with what is known of it.
import type { Waiting } from "../../core/base/async.ts";
import { hasCode } from "../../core/base/errors.ts";
import type { Codec } from "../../core/codec/codec.ts";
import type { PageChecksums } from "../../core/ltx/page-checksums.ts";
import type { Environment } from "../restore/environment.ts";
import { spoolPathOf } from "./collected-change.ts";
import { imagePathOf } from "./image.ts";
import { OutputFile, isSameOutput } from "./output-file.ts";
import type { OutputIdentity } from "./output-file.ts";
import type { KnownState, Position, StateFile } from "./state-file.ts";
import { journalDraftOf } from "./transaction.ts";

/** An output that is, byte for byte, what is known of it. */
export interface HeldOutput {
  readonly kind: "held";
  readonly file: OutputFile;
  readonly identity: OutputIdentity;
  readonly position: Position;
  readonly checksums: PageChecksums;
}

/** An output that is not what is known of it. */
export interface StrangeOutput {
  readonly kind: "strange";
  readonly file: OutputFile;
  readonly identity: OutputIdentity;
  /** Of its pages as they are, page 1 with the bytes of `known` that we overwrite. */
  readonly checksums: PageChecksums;
  /** What it was when it was last known. */
  readonly known: KnownState | undefined;
  readonly reason: "output-changed" | "state-lost";
}

/** `absent`: there is no file. `unreadable`: it is no database. */
export type Recognized = HeldOutput | StrangeOutput | "absent" | "unreadable";

export interface RecognizeOptions extends Waiting {
  readonly environment: Environment;
  readonly codec: Codec;
  readonly state: StateFile;
}

/**
 * Removes what a dead process has left beside the output, which nobody else may be at work on. Costs a look at the file's
 * status where it was left in order, and reading all of it where it was not. Whoever gets a file with the result disposes it.
 */
export async function recognize(path: string, options: RecognizeOptions): Promise<Recognized> {
  const { environment, signal } = options;
  for (const leftOver of [journalDraftOf, spoolPathOf, imagePathOf]) {
    await environment.fileSystem.unlink(leftOver(path));
  }
  const status = await environment.fileSystem.status(path);
  if (status === undefined || status.sizeBytes === 0) return "absent";
  const file = await OutputFile.open(path, environment);
  try {
    {
      using _ = await file.lock({ signal });
      const held = await asItWasLeft(file, options);
      if (held !== undefined) return held;
    }
    using _ = file.share();
    return await compare(path, file, options);
  } catch (error) {
    await file[Symbol.asyncDispose]();
    if (hasCode(error, "sqlite/invalid")) return "unreadable";
    throw error;
  }
}

async function asItWasLeft(
  file: OutputFile,
  { state }: RecognizeOptions,
): Promise<HeldOutput | undefined> {
  const { changeCounter } = await file.header();
  const known = state.resolve(changeCounter);
  const identity = await file.identity();
  if (known?.identity === undefined || !isSameOutput(known.identity, identity)) return undefined;
  return { kind: "held", file, identity, position: known.position, checksums: known.checksums };
}

/** Reads every page. */
async function compare(
  path: string,
  file: OutputFile,
  { environment, codec, state }: RecognizeOptions,
): Promise<HeldOutput | StrangeOutput> {
  const { changeCounter } = await file.header();
  const known = state.resolve(changeCounter);
  const identity = await file.identity();
  const last = known ?? state.last();
  const checksums = await file.scan(codec, last?.position.patched);
  const isKnown =
    known !== undefined &&
    known.checksums.pageSize === checksums.pageSize &&
    known.checksums.commit * checksums.pageSize === identity.sizeBytes &&
    known.checksums.databaseChecksum === checksums.databaseChecksum;
  if (isKnown) {
    state.recognize(identity);
    environment.logger.log("debug", "follow.compared", { path, pages: checksums.commit });
    return { kind: "held", file, identity, position: known.position, checksums };
  }
  const reason = state.isUsed ? "output-changed" : "state-lost";
  return { kind: "strange", file, identity, checksums, known: last, reason };
}
