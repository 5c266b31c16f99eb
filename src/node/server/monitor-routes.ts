// `/metrics` for Prometheus, `/health` for whoever watches over Headwater, and the streams of databases where they are on.
import { Hono } from "hono";
import type { DatabaseHealth } from "./health.ts";
import type { Fetch } from "./listen.ts";
import type { Metrics } from "./metrics.ts";
import type { StreamRoutes } from "./stream-routes.ts";

export interface MonitorRoutesOptions {
  readonly metrics: Metrics;
  readonly health: () => readonly DatabaseHealth[];
  readonly streams?: StreamRoutes | undefined;
}

/** Answers GET and HEAD; nothing can be changed here. */
export function monitorRoutes({ metrics, health, streams }: MonitorRoutesOptions): Fetch {
  const app = new Hono();
  app.get("/metrics", async (context) =>
    context.text(await metrics.text(), 200, { "content-type": metrics.contentType }),
  );
  app.get("/health", (context) => {
    const databases = health();
    const isHealthy = databases.every((database) => database.isHealthy);
    return context.json(
      { status: isHealthy ? "healthy" : "unhealthy", databases: databases.map(toRecord) },
      isHealthy ? 200 : 503,
    );
  });
  if (streams !== undefined) {
    app.all("/databases/:name/stream", (context) =>
      streams.answer(context.req.raw, context.req.param("name")),
    );
  }
  app.notFound((context) =>
    context.text(`There is no ${context.req.path}: try /metrics or /health.\n`, 404),
  );
  return (request) => app.fetch(request);
}

function toRecord({ path, state, isHealthy, reasons, lagMs, error }: DatabaseHealth): object {
  return { path, state, healthy: isHealthy, reasons, lag_seconds: lagMs / 1000, error };
}
