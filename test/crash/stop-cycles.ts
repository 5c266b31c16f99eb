// Random stops and starts with hundreds of small transactions in each gap: the sequence in which Litestream loses
// commits. Used with few cycles in the ordinary tests and many in the slow ones.
import { createSeededRandom } from "../../src/core/testing/seeded-random.ts";
import { engineReady, stopEngine, syncEngine } from "../support/engine.ts";
import { Scene } from "../support/scene.ts";

const checkpoints = ["PASSIVE", "RESTART", "TRUNCATE"] as const;

/** Returns the number of restore points; throws if one is not whole or the last is not the source. */
export async function runStopCycles({
  cycles,
  seed,
}: {
  readonly cycles: number;
  readonly seed: number;
}): Promise<number> {
  await using scene = await Scene.open();
  const random = createSeededRandom(seed);
  const number = (below: number): number => Math.floor(random.float() * below);
  for (let cycle = 0; cycle < cycles; cycle++) {
    const engine = scene.engine({ syncIntervalMs: 0, logs: false });
    await engineReady(engine);
    await scene.app.ledger(1 + number(20), { changes: 0, seed: cycle });
    if (random.float() < 0.5) await syncEngine(engine);
    if (random.float() < 0.3) await engine.end("SIGKILL");
    else await stopEngine(engine);
    await scene.app.ledger(5 + number(896), { changes: 0, seed: cycle + 100 });
    const kind = number(6);
    const checkpoint = checkpoints[kind];
    if (checkpoint !== undefined) await scene.app.exec(`PRAGMA wal_checkpoint(${checkpoint})`);
    if (kind === 3) await scene.app.close();
    if (kind === 4) await scene.restartApp();
  }
  const engine = scene.engine({ logs: false });
  await engineReady(engine);
  await syncEngine(engine);
  return (await scene.prove()).length;
}
