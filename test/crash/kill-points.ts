// Every step of the engine as a kill point. An engine dies right before its n-th call to the file system, for n = 1, 2,
// 3, ... until a run ends without dying; after each death another engine must make one whole history of it.
import { silentLogger } from "../../src/core/base/log.ts";
import { resolveOptions } from "../../src/node/engine/engine-options.ts";
import { startEngine } from "../../src/node/engine/running-engine.ts";
import type { Child } from "../support/children.ts";
import type { EngineChildOptions } from "../support/engine.ts";
import { engineReady, stopEngine, syncEngine } from "../support/engine.ts";
import { sha256OfFile } from "../support/live-image.ts";
import { Scene } from "../support/scene.ts";
import { secondHistory, twoReplicas } from "../support/two-replicas.ts";

export interface KillPointsOptions {
  /** The first call to die at. */
  readonly from: number;
  /** Every so many calls. */
  readonly step: number;
  readonly engine?: Partial<EngineChildOptions> | undefined;
  /** The engines have the scene's second replica, too. */
  readonly isTwofold?: boolean | undefined;
}

/**
 * Dies again and again on one database that goes on. Returns the number of deaths. After each an engine that lives brings
 * the state in order: what is left lying would cost the next one calls, and their number would never be reached.
 */
export async function dieRepeatedly(scene: Scene, options: KillPointsOptions): Promise<number> {
  for (let call = options.from, deaths = 0; ; call += options.step, deaths++) {
    if (deaths > 0) await live(scene, options.engine ?? {});
    await scene.app.ledger(2, { seed: call });
    const doomed = { levels: [], ...options.engine, killAtCall: call };
    const hasSurvived = await runDoomed(scene, doomed, () => scene.app.ledger(1));
    if (hasSurvived) return deaths;
  }
}

/** Dies once at each kill point, each time from the files of `prepared`, and proves what the next engine makes of it. */
export async function dieFromPrepared(
  prepared: Scene,
  { from, step, engine: common = {}, isTwofold = false }: KillPointsOptions,
): Promise<number> {
  for (let call = from, deaths = 0; ; call += step, deaths++) {
    await using scene = Scene.copyOf(prepared);
    const engine = { ...common, ...(isTwofold ? twoReplicas(scene).both : {}) };
    const hasSurvived = await runDoomed(scene, { levels: [], ...engine, killAtCall: call });
    await finish(scene, engine, { isTwofold }).catch((error: unknown) => {
      throw new Error(`killed before call ${call}`, { cause: error });
    });
    if (hasSurvived) return deaths;
  }
}

/** Lets an engine start, sync and stop, unless it dies before; `true` if it did not die. */
async function runDoomed(
  scene: Scene,
  options: Partial<EngineChildOptions>,
  work: () => Promise<unknown> = async () => undefined,
): Promise<boolean> {
  await using engine: Child = scene.engine(options);
  const run = async (): Promise<void> => {
    await engineReady(engine);
    await work();
    await syncEngine(engine);
    await stopEngine(engine);
  };
  await Promise.race([engine.exited, run()]).catch(() => undefined);
  const { code, signal } = await engine.exited;
  if (signal === "SIGKILL") return false;
  if (code !== 0) throw new Error(`it failed:\n${engine.lines.join("\n")}\n${engine.stderr}`);
  return true;
}

/** Another engine, in this process: starts, syncs and stops. */
async function live(
  scene: Scene,
  { takeOver, replicas }: Partial<EngineChildOptions>,
): Promise<void> {
  const { path } = scene;
  const { signal } = new AbortController();
  const urls = replicas ?? [{ url: scene.replica }];
  const options = resolveOptions({ path, replicas: urls, takeOver, levels: [] });
  const engine = await startEngine(options, { logger: silentLogger }, { signal });
  try {
    await engine.sync();
  } finally {
    await engine.stop({ signal });
  }
}

/** What the next engine makes of it is the source. */
async function finish(
  scene: Scene,
  engine: Partial<EngineChildOptions>,
  { isTwofold }: { readonly isTwofold: boolean },
): Promise<void> {
  const { path } = scene;
  await live(scene, engine);
  const histories = [await scene.history(), ...(isTwofold ? [await secondHistory(scene)] : [])];
  for (const points of histories) {
    if (points.at(-1)?.sha256 !== (await sha256OfFile(path)))
      throw new Error("the newest restore point is not the source");
  }
}
