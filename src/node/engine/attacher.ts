// Attaches the database of one engine and makes one history of it and its replicas, again and again while the database comes
// and goes; and makes it anew with a replica that is not what was left there.
import { hasCode } from "../../core/base/errors.ts";
import { formatTxid } from "../../core/ltx/txid.ts";
import { openCaptureWhenThere, settleAgain } from "./attach-database.ts";
import type { EngineStatus } from "./engine-status.ts";
import type { LitestreamWatch } from "./litestream-beside.ts";
import type { EngineParts } from "./parts.ts";
import type { ReplicaSet } from "./replica-set.ts";
import type { Disunion, ReplicaWorker } from "./replica-worker.ts";
import type { Stager } from "./stager.ts";
import { type StagingKeeper, setStagedAside } from "./staging-keeper.ts";
import type { Waiting } from "./waiting.ts";

/** How soon a database that vanished while it was being attached is looked at again. */
const attachRetryMs = 1_000;

/** What an attacher works with. */
export interface AttacherOptions {
  readonly parts: EngineParts;
  readonly stager: Stager;
  readonly replicas: ReplicaSet;
  readonly keeper: StagingKeeper;
  readonly litestream: LitestreamWatch;
  readonly onState: (state: EngineStatus["state"]) => void;
  /** The history is settled: what was staged before may have been set aside. */
  readonly onSettled: () => void;
  /** The database is not what it was when it was let go. */
  readonly onNews: () => void;
  /** Has the database attached anew because of `fault`; `false`: the engine stops, and it is not. */
  readonly attachSoon: (fault: unknown) => boolean;
}

export class Attacher {
  readonly #options: AttacherOptions;

  constructor(options: AttacherOptions) {
    this.#options = options;
  }

  /** Attaches and joins; waits for a database that is missing or locked, and for a store that does not answer. */
  async attach({ signal }: Waiting): Promise<void> {
    const { parts, stager, onState } = this.#options;
    for (;;) {
      try {
        return await this.#attachOnce({ signal });
      } catch (error) {
        const isPassing = hasCode(error, "capture/gone", "capture/locked", "capture/empty");
        if (signal.aborted || parts.once || !isPassing) throw error;
        const { logger, path, clock } = parts;
        logger.log("warn", "database.waiting", { path, why: error.message });
        onState("waiting");
        await stager.detach();
        await clock.sleep(attachRetryMs, { signal });
      }
    }
  }

  async #attachOnce({ signal }: Waiting): Promise<void> {
    const { parts, stager, replicas, litestream, onState, onNews } = this.#options;
    const { path, logger, history, endedRest } = parts;
    const onWaiting = (): void => onState("waiting");
    const capture = await openCaptureWhenThere(parts, { signal, onWaiting });
    if (endedRest?.wasWatched === true) litestream.check();
    litestream.note();
    stager.attach(capture);
    onState("settling");
    if (!capture.resumed) onNews();
    await stager.compare(async () => {
      await replicas.join(capture, { signal });
      await this.#noteSettled();
    });
    litestream.check();
    onState("replicating");
    // What was compared on the way may have been staged.
    replicas.wake();
    const txid = history.head && formatTxid(history.head.txid);
    const level = endedRest === undefined ? "info" : "debug";
    logger.log(level, "database.replicating", { path, replica: replicas.urls, txid });
  }

  /** Makes one history of the database and the replica of `worker` again. */
  async rejoin({ parts }: ReplicaWorker, why: Disunion, { signal }: Waiting): Promise<void> {
    const { stager, attachSoon } = this.#options;
    if (why === "damaged") await stager.exclusively(() => setStagedAside(this.#options.parts));
    try {
      await stager.compare(async (capture) => {
        await settleAgain(parts, capture, { signal });
        await this.#noteSettled();
      });
    } catch (error) {
      const isGone = hasCode(error, "capture/gone", "capture/locked");
      if (!isGone || !attachSoon(error)) throw error;
      // It is settled when it is attached again.
      await parts.clock.sleep(attachRetryMs, { signal });
    }
  }

  async #noteSettled(): Promise<void> {
    this.#options.onSettled();
    await this.#options.keeper.trySave();
  }
}
