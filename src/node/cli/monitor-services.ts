// What watches over the databases of a running Headwater, and tells about them.
import type { Logger } from "../../core/base/log.ts";
import { systemClock } from "../base/clock.ts";
import type { MonitorConfig } from "../engine/config/services.ts";
import type { FleetDatabase } from "../engine/fleet-database.ts";
import type { Patient } from "../server/health.ts";
import { listenOnPort } from "../server/listen.ts";
import { Metrics } from "../server/metrics.ts";
import { monitorRoutes } from "../server/monitor-routes.ts";
import { Monitor } from "../server/monitor.ts";
import { StreamRoutes } from "../server/stream-routes.ts";
import { orWarn } from "./control-services.ts";

/** Metrics count from the first event on, so this comes before the engines. */
export function createMetrics(
  { maxLagMs }: MonitorConfig,
  patients: () => readonly Patient[],
): Metrics {
  return new Metrics({ patients, clock: systemClock, maxLagMs });
}

export interface MonitorServices {
  readonly metrics: Metrics;
  readonly patients: () => readonly Patient[];
  readonly databases: () => readonly FleetDatabase[];
  readonly logger: Logger;
}

/** Watches until disposed. */
export async function startMonitor(
  { place, push, ...config }: MonitorConfig,
  { metrics, patients, databases, logger }: MonitorServices,
): Promise<AsyncDisposable> {
  const stack = new AsyncDisposableStack();
  const clock = systemClock;
  const monitor = stack.use(new Monitor({ ...config, patients, clock, logger, send: fetch }));
  if (place !== undefined) {
    await orWarn(logger, "metrics", async () => {
      const streams = push && new StreamRoutes({ ...push, databases, logger });
      const routes = monitorRoutes({ metrics, health: () => monitor.health(), streams });
      const { address } = stack.use(await listenOnPort(routes, place));
      // Disposed first: who follows is told before the server ends.
      if (streams !== undefined) stack.use(streams);
      return address;
    });
  }
  return stack;
}
