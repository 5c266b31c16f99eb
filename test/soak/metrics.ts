// The metrics and the health of a running Headwater, as a monitoring system asks for them.
import type { Application } from "./application.ts";

/** Proves that every database is in the metrics and well; returns the number of lines, 0 if nobody listens. */
export async function scrapeMetrics(
  port: number,
  applications: readonly Application[],
): Promise<number> {
  const url = `http://127.0.0.1:${port}`;
  const answer = await fetch(`${url}/metrics`).catch(() => undefined);
  if (answer === undefined) return 0;
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${url}/metrics answered ${answer.status}: ${text}`);
  const missing = applications.filter(({ path }) => !text.includes(path));
  if (missing.length > 0)
    throw new Error(`${missing.map(({ path }) => path).join(", ")} missing in ${url}/metrics`);
  const health = await fetch(`${url}/health`);
  if (!health.ok)
    throw new Error(`${url}/health answered ${health.status}: ${await health.text()}`);
  return text.trimEnd().split("\n").length;
}
