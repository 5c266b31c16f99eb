// The smallest and the largest page size through the whole engine: growth, shrinking and both within one batch.
import { expect, test } from "vitest";
import { engineReady, stopEngine, syncEngine } from "../support/engine.ts";
import { Scene } from "../support/scene.ts";

test.each([512, 65_536])(
  "pages of %i bytes: a batch that shrinks and grows is exact, after a kill too",
  async (pageSize) => {
    await using scene = await Scene.open({ pageSize });
    const engine = scene.engine({ syncIntervalMs: 3_600_000 });
    await engineReady(engine);
    await scene.app.exec(`
    CREATE TABLE bulk(x);
    INSERT INTO bulk SELECT randomblob(${pageSize} * 2) FROM (SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4);`);
    await syncEngine(engine);
    // One batch: the sync interval keeps the engine from staging in between.
    await scene.app.exec("DELETE FROM bulk; VACUUM");
    await scene.app.exec(
      `INSERT INTO bulk VALUES(randomblob(${pageSize} * 5)); DROP TABLE bulk; VACUUM`,
    );
    await scene.app.ledger(3);
    await syncEngine(engine);
    await scene.prove();
    await scene.app.ledger(3);
    await engine.end("SIGKILL");
    await scene.app.exec("VACUUM");
    const next = scene.engine();
    await engineReady(next);
    await syncEngine(next);
    expect((await scene.prove()).at(-1)?.seq).toBe(26);
    expect(await stopEngine(next)).toBe(0);
  },
);

test("a stop in the middle of staging a large transaction loses neither it nor what follows", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine({ syncIntervalMs: 0 });
  await engineReady(engine);
  await syncEngine(engine);
  await scene.app.exec("CREATE TABLE bulk(x)");
  await scene.app.exec("INSERT INTO bulk VALUES(randomblob(30000000))");
  await scene.app.ledger(1);
  const stopped = stopEngine(engine);
  const seq = await scene.app.ledger(20);
  expect(await stopped).toBe(0);
  const next = scene.engine();
  await engineReady(next);
  await syncEngine(next);
  expect((await scene.prove()).at(-1)?.seq).toBe(seq);
});
