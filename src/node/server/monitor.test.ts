import { expect, test } from "vitest";
import { VirtualClock } from "../../core/testing/virtual-clock.ts";
import type { Patient } from "./health.ts";
import { Monitor } from "./monitor.ts";
import type { MonitorOptions } from "./monitor.ts";

class Scenery {
  readonly clock = new VirtualClock();
  readonly events: string[] = [];
  readonly sent: { url: string; body: unknown }[] = [];
  patients: Patient[] = [];
  /** What the other side answers; a rejection if it is an error. */
  answer: () => Response | Error = () => new Response();

  monitor(options: Partial<MonitorOptions>): Monitor {
    return new Monitor({
      patients: () => this.patients,
      maxLagMs: 60_000,
      clock: this.clock,
      logger: { log: (_level, event) => this.events.push(event) },
      send: async (url, { body }) => {
        this.sent.push({ url, body: typeof body === "string" ? JSON.parse(body) : undefined });
        const answer = this.answer();
        if (answer instanceof Error) throw answer;
        return answer;
      },
      ...options,
    });
  }

  /** Lets time pass, and whatever waits for an answer come so far. */
  async pass(seconds: number): Promise<void> {
    for (let i = 0; i < seconds; i++) {
      await this.clock.advance(1_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

const well: Patient = { path: "/a.db", isStopped: false, failure: undefined, status: undefined };
const ill: Patient = { ...well, failure: new Error("no disk") };

test("a heartbeat is sent once an interval while every database is well, and at least one is not stopped", async () => {
  const scenery = new Scenery();
  await using monitor = scenery.monitor({
    heartbeat: { url: "http://beat/", intervalMs: 60_000 },
  });
  await scenery.pass(70);
  expect(scenery.sent).toHaveLength(0);
  scenery.patients = [{ ...ill, isStopped: true }];
  await scenery.pass(70);
  expect(scenery.sent).toHaveLength(0);
  scenery.patients = [well];
  await scenery.pass(125);
  expect(scenery.sent).toHaveLength(3);
  scenery.patients = [well, { ...ill, path: "/b.db" }];
  await scenery.pass(125);
  expect(scenery.sent).toHaveLength(3);
  expect(monitor.health()).toHaveLength(scenery.patients.length);
});

test("a heartbeat that fails is logged and not tried again before the interval is over", async () => {
  const scenery = new Scenery();
  scenery.patients = [well];
  scenery.answer = () => new Response(null, { status: 500 });
  await using monitor = scenery.monitor({
    heartbeat: { url: "http://beat/", intervalMs: 60_000 },
  });
  await scenery.pass(59);
  expect(scenery.sent).toHaveLength(1);
  expect(scenery.events).toEqual(["heartbeat.failed"]);
  scenery.answer = () => new Error("refused");
  await scenery.pass(60);
  expect(scenery.events).toEqual(["heartbeat.failed", "heartbeat.failed"]);
  expect(monitor.health()).toHaveLength(scenery.patients.length);
});

test("a change of health is logged once and posted, also when the other side needs more than one try", async () => {
  const scenery = new Scenery();
  scenery.patients = [well];
  let failures = 2;
  scenery.answer = () => (failures-- > 0 ? new Error("refused") : new Response());
  await using monitor = scenery.monitor({ webhookUrl: "http://hook/" });
  await scenery.pass(20);
  scenery.patients = [ill];
  await scenery.pass(20);
  scenery.patients = [well];
  await scenery.pass(20);
  const [first, second, third, last] = scenery.sent.map(({ body }) => body);
  expect(first).toMatchObject({
    event: "database.unhealthy",
    database: "/a.db",
    reasons: ["failing"],
    error: "no disk",
    at: expect.stringMatching(/^2023-/u),
  });
  expect([second, third]).toEqual([first, first]);
  expect(last).toMatchObject({ event: "database.healthy", database: "/a.db", reasons: [] });
  expect(scenery.events).toEqual([
    "database.unhealthy",
    "webhook.failed",
    "webhook.failed",
    "database.healthy",
  ]);
  expect(monitor.health()).toHaveLength(scenery.patients.length);
});

test("messages that nobody takes are given up after a few tries, and do not pile up", async () => {
  const scenery = new Scenery();
  scenery.answer = () => new Error("refused");
  await using monitor = scenery.monitor({ webhookUrl: "http://hook/" });
  scenery.patients = Array.from({ length: 150 }, (_, i) => ({ ...ill, path: `/${i}.db` }));
  await scenery.pass(30);
  expect(scenery.events.filter((event) => event === "webhook.dropped").length).toBeGreaterThan(40);
  expect(
    scenery.events.filter((event) => event === "webhook.failed").length,
  ).toBeGreaterThanOrEqual(4);
  expect(monitor.health()).toHaveLength(scenery.patients.length);
});
