// Situations in which an engine is killed at every step, prepared once and copied for each kill.
import { engineReady, stopEngine, syncEngine } from "../support/engine.ts";
import { Scene } from "../support/scene.ts";
import { twoReplicas } from "../support/two-replicas.ts";

/** A database with something in it and no replica yet. */
export async function withoutReplica(): Promise<Scene> {
  const scene = await Scene.open();
  await scene.app.close();
  return scene;
}

/** A replica that another engine has continued, and local state that does not know of it. */
export async function withForeignHead(): Promise<Scene> {
  const scene = await Scene.open();
  const ours = scene.engine();
  await engineReady(ours);
  await syncEngine(ours);
  await stopEngine(ours);
  await scene.app.ledger(2);
  const other = scene.engine({ stateDir: scene.directory.file("other-state"), takeOver: true });
  await engineReady(other);
  await syncEngine(other);
  await stopEngine(other);
  await scene.app.ledger(3);
  await scene.app.close();
  return scene;
}

/** A database that was restored from its own replica; `path` is where it was. */
export async function withRestoredDatabase(): Promise<Scene> {
  const scene = await Scene.open();
  const engine = scene.engine({ stateDir: scene.directory.file("old-state") });
  await engineReady(engine);
  await scene.app.ledger(3);
  await syncEngine(engine);
  await stopEngine(engine);
  await scene.restoreInPlace();
  return scene;
}

/** Two replicas: the first is ours, the second was written from elsewhere and is ahead of it. */
export async function withSecondAhead(): Promise<Scene> {
  const scene = await Scene.open();
  const ours = scene.engine();
  await engineReady(ours);
  await syncEngine(ours);
  await stopEngine(ours);
  const other = scene.engine({
    replica: twoReplicas(scene).second,
    stateDir: scene.directory.file("other-state"),
    syncIntervalMs: 0,
  });
  await engineReady(other);
  for (let i = 0; i < 4; i++) {
    await scene.app.ledger(1);
    await syncEngine(other);
  }
  await stopEngine(other);
  await scene.app.ledger(3);
  await scene.app.close();
  return scene;
}
