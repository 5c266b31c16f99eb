// One run of the kill test: a ledger under load, an engine killed again and again, and the proof that every
// restore point it left is whole. Used with few cycles in the ordinary tests and many in the slow ones.
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { pauseLoad, startLoad, lastCommitted } from "../support/load.ts";
import { liveImage, sha256OfFile } from "../support/live-image.ts";
import { startEngineChild, syncEngine, engineReady, stopEngine } from "../support/engine.ts";
import type { EngineChildOptions } from "../support/engine.ts";
import { checkHistory } from "../support/history-check.ts";
import type { RestorePoint } from "../support/history-check.ts";
import { createSeededRandom } from "../../src/core/testing/seeded-random.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { restore } from "../../src/node/restore/restore.ts";

export interface KillCyclesOptions {
  readonly cycles: number;
  readonly seed: number;
  /** Every restore point is proved in the end, so their number, and that of their rows, is what the test costs. */
  readonly commitsPerSecond: number;
  readonly syncIntervalMs: number;
  /** Default 1. With several, every second engine finds the last one away at first. */
  readonly replicas?: number | undefined;
}

/**
 * Kills the engine at a random moment or before a random call to the file system, of a file replica's store too; returns
 * the number of restore points of the first replica.
 */
export async function runKillCycles(options: KillCyclesOptions): Promise<number> {
  const { cycles, seed, commitsPerSecond, syncIntervalMs } = options;
  using directory = temporaryDirectory();
  const random = createSeededRandom(seed);
  const path = directory.file("app.db");
  const urls = Array.from({ length: options.replicas ?? 1 }, (_, n) =>
    directory.url(`replica-${n}`),
  );
  const replicas = urls.map((url) => ({ url }));
  const last = urls.length === 1 ? undefined : `replica-${urls.length - 1}`;
  await using load = startLoad({
    path,
    seed,
    commitsPerSecond,
    pagesPerCommit: 4,
    rough: true,
    reportMs: 0,
  });
  await load.line((line) => line.startsWith("committed "));
  /** Transactions that were committed before a `sync()` that was acknowledged with this TXID. */
  const acknowledged: { txid: string; seq: number }[] = [];
  for (let cycle = 0; cycle < cycles; cycle++) {
    const atCall = random.float() < 0.7 ? 1 + Math.floor(random.float() * 120) : undefined;
    const engineOptions: EngineChildOptions = {
      path,
      replicas,
      syncIntervalMs,
      killAtCall: atCall,
      logs: false,
      storeDown: cycle % 2 === 1 ? last : undefined,
    };
    await using engine = startEngineChild(engineOptions);
    const kill = async (): Promise<void> => {
      await engineReady(engine);
      if (engineOptions.storeDown !== undefined) {
        await sleep(random.float() * 200);
        engine.send("heal");
      }
      if (random.float() < 0.5) {
        const seq = lastCommitted(load);
        acknowledged.push({ seq, txid: await syncEngine(engine) });
      }
      await sleep(random.float() * 300);
    };
    await Promise.race([engine.exited, kill().catch(() => undefined)]);
    await engine.end("SIGKILL");
    if (engine.lines.some((line) => line.startsWith("failed ")))
      throw new Error(engine.lines.join("\n"));
  }
  await using engine = startEngineChild({ path, replicas, logs: false });
  await engineReady(engine);
  const seq = await pauseLoad(load);
  acknowledged.push({ seq, txid: await syncEngine(engine) });
  const image = await liveImage(path);
  expect(await stopEngine(engine)).toBe(0);
  const histories = await Promise.all(urls.map((url) => checkHistory(url)));
  for (const [index, points] of histories.entries()) {
    for (const { txid, seq: least } of acknowledged) {
      // A replica that was led on by an image does not have every TXID, but none is less than what was promised.
      const point = points.find((one) =>
        urls.length === 1 ? one.txid === txid : one.txid >= txid,
      );
      expect(
        point?.seq,
        `restore point ${txid} of replica ${index} holds what its sync acknowledged`,
      ).toBeGreaterThanOrEqual(least);
    }
    const output = directory.file(`restored-${index}.db`);
    await restore({ replica: urls[index] ?? "", output });
    expect(await sha256OfFile(output)).toBe(image.sha256);
  }
  expectSameStates(histories);
  return histories[0]?.length ?? 0;
}

/** Replicas hold the same bytes at every TXID that they have in common. */
function expectSameStates(histories: readonly (readonly RestorePoint[])[]): void {
  const sha256ByTxid = new Map<string, string>();
  for (const { txid, sha256 } of histories.flat()) {
    expect(sha256ByTxid.get(txid) ?? sha256, `TXID ${txid}`).toBe(sha256);
    sha256ByTxid.set(txid, sha256);
  }
}
