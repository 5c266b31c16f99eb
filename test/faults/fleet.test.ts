// Databases that are stopped, started, taken out and put back while their process runs.
import { expect, test } from "vitest";
import { silentLogger } from "../../src/core/base/log.ts";
import { systemClock, systemRandom } from "../../src/node/base/clock.ts";
import { resolveOptions } from "../../src/node/engine/engine-options.ts";
import { Fleet } from "../../src/node/engine/fleet.ts";
import type { FleetMember } from "../../src/node/engine/fleet-environment.ts";
import { startShutdownLimit } from "../../src/node/engine/shutdown.ts";
import { QuickFleet } from "../support/fleet.ts";
import { Scene } from "../support/scene.ts";

const never = new AbortController().signal;
const limit = startShutdownLimit(60_000, never);

function fleetOf(...members: readonly FleetMember[]): Fleet {
  const fleet = new Fleet({ logger: silentLogger, clock: systemClock, random: systemRandom });
  for (const member of members) fleet.add(member);
  return fleet;
}

function memberOf({ path, replica }: Scene, prepare = async () => {}): FleetMember {
  return { options: resolveOptions({ path, replica }), prepare };
}

test("what is written while a database is stopped, its WAL gone, is whole after it is started again", async () => {
  await using scene = await Scene.open();
  let preparations = 0;
  const fleet = fleetOf(memberOf(scene, async () => void preparations++));
  const database = fleet.get(scene.path);
  await database?.started({ signal: never });
  for (let i = 0; i < 3; i++) {
    expect(await database?.stop(limit)).toBeUndefined();
    expect(database?.isStopped).toBe(true);
    expect(database?.engine).toBeUndefined();
    const seq = await scene.app.ledger(5);
    await scene.app.close();
    expect(database?.start()).toBe(true);
    expect(database?.start()).toBe(false);
    await database?.sync({ signal: never });
    expect((await scene.prove()).at(-1)?.seq).toBe(seq);
  }
  expect(preparations).toBe(4);
  expect(await fleet.stop(limit)).toEqual([]);
});

test("it is settled when each database has had its turn, or has failed; one that is not there is not waited for", async () => {
  await using one = await Scene.open();
  await using other = await Scene.open();
  await using failing = await Scene.open();
  const quick = new QuickFleet({ maxAwake: 1 });
  const { fleet } = quick;
  for (const { path, replica } of [one, other]) quick.add({ path, replica });
  fleet.add(memberOf(failing, () => Promise.reject(new Error("it cannot be restored"))));
  const missing = { path: one.directory.file("missing.db"), replica: one.directory.url("missing") };
  quick.add(missing);
  await fleet.settled({ signal: never });
  expect(fleet.get(failing.path)?.failure).toBeInstanceOf(Error);
  expect(fleet.get(missing.path)?.status?.state).toBe("waiting");
  const failures = await fleet.stop(limit);
  expect(failures.map(({ path }) => path)).toEqual([failing.path]);
  await one.prove();
  await other.prove();
});

test("a database that is taken out gets its last commits, leaves the others alone, and can come back", async () => {
  await using one = await Scene.open();
  await using other = await Scene.open();
  const fleet = fleetOf(memberOf(one), memberOf(other));
  const [first, second] = fleet.databases;
  await Promise.all([first?.started({ signal: never }), second?.started({ signal: never })]);
  const seq = await one.app.ledger(3);
  expect(await fleet.remove(one.path, limit)).toBeUndefined();
  expect(fleet.databases).toEqual([second]);
  expect((await one.prove()).at(-1)?.seq).toBe(seq);
  await other.app.ledger(3);
  await second?.sync({ signal: never });
  await other.prove();
  const again = fleet.add(memberOf(one));
  expect(() => fleet.add(memberOf(one))).toThrow("is replicated already");
  const rival = {
    options: resolveOptions({ path: other.directory.file("b.db"), replica: one.replica }),
  };
  expect(() => fleet.add({ ...memberOf(other), ...rival })).toThrow(`is that of ${one.path}`);
  await again.started({ signal: never });
  expect(await fleet.stop(limit)).toEqual([]);
  expect(() => fleet.add(memberOf(one))).toThrow("is being stopped");
});

test("whoever waits for a start learns why it failed, and that it was stopped", async () => {
  await using scene = await Scene.open();
  const refusal = new Error("not yet");
  let refusals = 1;
  const fleet = fleetOf(
    memberOf(scene, async () => {
      if (refusals-- > 0) throw refusal;
    }),
  );
  const database = fleet.get(scene.path);
  await expect(database?.started({ signal: never })).rejects.toBe(refusal);
  expect(database?.failure).toBe(refusal);
  expect(await database?.stop(limit)).toEqual({ path: scene.path, error: refusal });
  expect(() => database?.started({ signal: never })).toThrow("is stopped");
  expect(database?.start()).toBe(true);
  await database?.started({ signal: never });
  expect(database?.failure).toBeUndefined();
  expect(await fleet.stop(limit)).toEqual([]);
});
