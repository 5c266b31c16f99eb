// The control socket's endpoints: Litestream's paths, fields and status codes. TXIDs are decimal numbers here. Where
// Litestream answers 500 for want of a better code, these say what it was: 404 unknown database, 409 it is stopped or
// taken, 504 not in time.
import { Hono } from "hono";
import type { Context } from "hono";
import { bodyLimit } from "hono/body-limit";
import { z } from "zod";
import { HeadwaterError, messageOf } from "../../core/base/errors.ts";
import type { ErrorCode } from "../../core/base/errors.ts";
import type { Logger } from "../../core/base/log.ts";
import { localPath } from "../base/local-path.ts";
import type { Control, TimeLimit } from "./control.ts";
import { statusOf } from "./database-calls.ts";
import type { Fetch } from "./listen.ts";
import { toListRecord, toOutcomeRecord, toSyncStatusRecord } from "./control-records.ts";

export interface ControlRoutesOptions {
  readonly version: string;
  readonly nowMs: () => number;
  readonly logger: Logger;
}

const largestBodyBytes = 64 * 1024;
const defaultTimeoutSeconds = 30;
const longestTimeoutSeconds = 24 * 60 * 60;

const path = z.string("path required").min(1, "path required").transform(localPath);
const timeout = z.int("timeout must be a whole number of seconds").max(longestTimeoutSeconds);
const timedBody = z.object({ path, timeout: timeout.optional() });
const syncBody = timedBody.extend({ wait: z.boolean("wait must be true or false").optional() });
const registerBody = z.object({
  path,
  replica_url: z.string("replica_url required").min(1, "replica_url required"),
});

const statusByCode: Partial<Record<ErrorCode, 400 | 404 | 409 | 504>> = {
  "usage/invalid": 400,
  "control/unknown-database": 404,
  "engine/stopped": 409,
  "engine/fleet": 409,
  "control/timeout": 504,
};

/** Answers requests to the control socket. */
export function controlRoutes(control: Control, options: ControlRoutesOptions): Fetch {
  const app = new Hono();
  app.use(logRequests(options.logger));
  app.use(
    bodyLimit({
      maxSize: largestBodyBytes,
      onError: (context) => context.json({ error: "request body too large" }, 413),
    }),
  );
  addOrders(app, control);
  addQuestions(app, control, options);
  for (const [method, paths] of [
    ["POST", ["/start", "/stop", "/sync", "/register", "/unregister"]],
    ["GET", ["/txid", "/list", "/info", "/debug/sync-status"]],
  ] as const) {
    for (const one of paths) {
      app.all(one, (context) =>
        context.json({ error: `${one} takes ${method}` }, 405, { Allow: method }),
      );
    }
  }
  app.notFound((context) => context.json({ error: `there is no ${context.req.path}` }, 404));
  app.onError((error, context) => {
    const code = error instanceof HeadwaterError ? error.code : undefined;
    const status = (code === undefined ? undefined : statusByCode[code]) ?? 500;
    return context.json({ error: messageOf(error), ...(code && { details: { code } }) }, status);
  });
  return (request) => app.fetch(request);
}

function addOrders(app: Hono, control: Control): void {
  app.post("/start", async (context) => {
    const body = await bodyOf(context, timedBody);
    return context.json(toOutcomeRecord(await control.start(body.path, limitOf(context, body))));
  });
  app.post("/stop", async (context) => {
    const body = await bodyOf(context, timedBody);
    return context.json(toOutcomeRecord(await control.stop(body.path, limitOf(context, body))));
  });
  app.post("/sync", async (context) => {
    const body = await bodyOf(context, syncBody);
    const { wait = false } = body;
    const done = await control.sync(body.path, { wait, ...limitOf(context, body) });
    return context.json({
      ...toOutcomeRecord(done),
      replicated_txid: Number(done.replicatedTxid),
    });
  });
  app.post("/register", async (context) => {
    const body = await bodyOf(context, registerBody);
    const { signal } = context.req.raw;
    return context.json(await control.register(body.path, body.replica_url, { signal }));
  });
  app.post("/unregister", async (context) => {
    const body = await bodyOf(context, timedBody);
    const done = await control.unregister(body.path, limitOf(context, body));
    return context.json(toOutcomeRecord(done));
  });
}

function addQuestions(app: Hono, control: Control, { version, nowMs }: ControlRoutesOptions): void {
  app.get("/txid", async (context) => {
    const { txid } = await statusOf(control.find(parse(path, context.req.query("path"))));
    return context.json({ txid: Number(txid) });
  });
  app.get("/list", async (context) =>
    context.json({ databases: await Promise.all(control.fleet.databases.map(toListRecord)) }),
  );
  app.get("/info", (context) =>
    context.json({
      version,
      pid: process.pid,
      uptime_seconds: Math.floor((nowMs() - control.startedAtMs) / 1000),
      started_at: new Date(control.startedAtMs).toISOString(),
      database_count: control.fleet.databases.length,
    }),
  );
  app.get("/debug/sync-status", async (context) => {
    const named = context.req.query("path");
    const databases =
      named === undefined ? control.fleet.databases : [control.find(parse(path, named))];
    return context.json({ databases: await Promise.all(databases.map(toSyncStatusRecord)) });
  });
}

/** Orders are worth a line, questions are not. */
function logRequests(logger: Logger) {
  return async (context: Context, next: () => Promise<void>): Promise<void> => {
    await next();
    const { method, path: asked } = context.req;
    const isOrder = method === "POST" && asked !== "/sync";
    const fields = { method, path: asked, status: context.res.status };
    logger.log(isOrder ? "info" : "debug", "control.request", fields);
  };
}

function limitOf(
  context: Context,
  { timeout: seconds = 0 }: { timeout?: number | undefined },
): TimeLimit {
  const timeoutMs = (seconds > 0 ? seconds : defaultTimeoutSeconds) * 1000;
  return { timeoutMs, signal: context.req.raw.signal };
}

async function bodyOf<T extends z.ZodType>(context: Context, schema: T): Promise<z.output<T>> {
  let body: unknown;
  try {
    body = JSON.parse(await context.req.text());
  } catch (error) {
    throw new HeadwaterError("usage/invalid", `invalid request body: ${messageOf(error)}`, {
      cause: error,
    });
  }
  return parse(schema, body);
}

function parse<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ message }) => message);
  throw new HeadwaterError("usage/invalid", problems.join("; "));
}
