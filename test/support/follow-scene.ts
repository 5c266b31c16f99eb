// A replica of a database that SQLite made, state by state, and followers of it in processes of their own.
import { cpSync, mkdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { formatTxid, toTxid } from "../../src/core/ltx/txid.ts";
import { startModule } from "./children.ts";
import type { Child } from "./children.ts";
import { bytesOf, patchedLike } from "./follow.ts";
import type { FollowChildOptions } from "./follow-child.ts";
import type { ReplicaHistory } from "./replica-builder.ts";
import { databaseStates, historyOf } from "./sqlite-history.ts";
import { temporaryDirectory } from "./temporary.ts";
import type { TemporaryDirectory } from "./temporary.ts";

/** Starts a follower as a child process. */
export function startFollowChild(options: FollowChildOptions): Child {
  return startModule(fileURLToPath(new URL("follow-child.ts", import.meta.url)), options);
}

/** Waits until the follower has found that the replica has no more than a TXID. */
export async function followedTo(child: Child, txid: number): Promise<void> {
  await child.line((line) => line === `upToDate ${formatTxid(toTxid(txid))}`);
}

export async function stopFollower(child: Child): Promise<number | null> {
  child.send("stop");
  return (await child.exited).code;
}

export class FollowScene implements Disposable {
  readonly directory: TemporaryDirectory = temporaryDirectory();
  readonly pageSize: number;
  readonly states: readonly Uint8Array[];
  readonly history: ReplicaHistory;
  readonly url: string;
  readonly output: string;
  readonly replicaPath: string;

  constructor(states?: readonly Uint8Array[], pageSize = 4096) {
    this.pageSize = pageSize;
    this.states = states ?? databaseStates(pageSize);
    this.history = historyOf(this.states, pageSize);
    this.url = this.directory.url("replica");
    this.replicaPath = this.directory.file("replica");
    this.output = this.directory.file("out/followed.db");
    mkdirSync(this.directory.file("out"));
  }

  /** Writes the level-0 files of some TXIDs. */
  async publish(from: number, to = from): Promise<void> {
    const ranges = Array.from({ length: to - from + 1 }, (_, i) => ({
      level: 0,
      min: from + i,
      max: from + i,
    }));
    await this.history.writeFiles(this.replicaPath, ranges);
  }

  follow(options: Partial<FollowChildOptions> = {}): Child {
    return startFollowChild({ url: this.url, output: this.output, ...options });
  }

  /** Keeps the directory of the output as it is; the function that is returned brings it back. */
  keepOutput(): () => void {
    const [out, kept] = [this.directory.file("out"), this.directory.file("kept")];
    cpSync(out, kept, { recursive: true, preserveTimestamps: true });
    return () => {
      rmSync(out, { recursive: true, force: true });
      cpSync(kept, out, { recursive: true, preserveTimestamps: true });
    };
  }

  /** The TXID of which the output is the exact state; `undefined` if it is of none. No follower may be at work. */
  stateOf(path = this.output, states = this.states): number | undefined {
    const found = bytesOf(path);
    const index = states.findIndex(
      (state) =>
        state.length === found.length && Buffer.compare(found, patchedLike(state, found)) === 0,
    );
    return index === -1 ? undefined : index + 1;
  }

  [Symbol.dispose](): void {
    this.directory[Symbol.dispose]();
  }
}
