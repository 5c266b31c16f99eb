// One run of the kill test: a ledger under load, an engine killed again and again, and the proof that every
// restore point it left is whole. Used with few cycles in the ordinary tests and many in the slow ones.
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { pauseLoad, startLoad, lastCommitted } from "../support/load.ts";
import { liveImage, sha256OfFile } from "../support/live-image.ts";
import { startEngineChild, syncEngine, engineReady, stopEngine } from "../support/engine.ts";
import type { EngineChildOptions } from "../support/engine.ts";
import { checkHistory } from "../support/history-check.ts";
import { createSeededRandom } from "../../src/core/testing/seeded-random.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { restore } from "../../src/node/restore/restore.ts";

export interface KillCyclesOptions {
  readonly cycles: number;
  readonly seed: number;
  /** Every restore point is proved in the end, so their number, and that of their rows, is what the test costs. */
  readonly commitsPerSecond: number;
  readonly syncIntervalMs: number;
}

/** Kills the engine at a random moment or before a random call to the file system; returns the number of restore points. */
export async function runKillCycles(options: KillCyclesOptions): Promise<number> {
  const { cycles, seed, commitsPerSecond, syncIntervalMs } = options;
  using directory = temporaryDirectory();
  const random = createSeededRandom(seed);
  const path = directory.file("app.db");
  const replica = directory.url("replica");
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
      replica,
      syncIntervalMs,
      killAtCall: atCall,
      logs: false,
    };
    await using engine = startEngineChild(engineOptions);
    const kill = async (): Promise<void> => {
      await engineReady(engine);
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
  await using engine = startEngineChild({ path, replica, logs: false });
  await engineReady(engine);
  const seq = await pauseLoad(load);
  acknowledged.push({ seq, txid: await syncEngine(engine) });
  const image = await liveImage(path);
  expect(await stopEngine(engine)).toBe(0);
  const points = await checkHistory(replica);
  for (const { txid, seq: least } of acknowledged) {
    const point = points.find((one) => one.txid === txid);
    expect(
      point?.seq,
      `restore point ${txid} holds what its sync acknowledged`,
    ).toBeGreaterThanOrEqual(least);
  }
  const output = directory.file("restored.db");
  await restore({ replica, output });
  expect(await sha256OfFile(output)).toBe(image.sha256);
  return points.length;
}
