// `GET /databases/<name>/stream`: what a database has staged, for those who follow by push (docs/formats/stream.md). Content
// of databases goes out here, so whoever asks is looked at first: a token where one is set, no names of other machines where
// there is none, and no page of a browser that is not allowed to.
import { formatTxid, toTxid } from "../../core/ltx/txid.ts";
import type { Logger } from "../../core/base/log.ts";
import { type StreamFrame, encodeFrame } from "../../core/push/stream-frames.ts";
import { isLoopback } from "../base/address.ts";
import type { PushConfig } from "../engine/config/services.ts";
import { findByName } from "../engine/database-name.ts";
import type { FleetDatabase } from "../engine/fleet-database.ts";
import { refuseWithoutToken } from "./bearer-token.ts";

/** Streams at once, of all databases. The rest of the listener's connections are for who looks after it. */
const maxStreams = 64;

export interface StreamRoutesOptions extends PushConfig {
  readonly databases: () => readonly Pick<FleetDatabase, "path" | "feed">[];
  readonly logger: Logger;
}

/** Answers requests for streams. Disposing it ends all of them in order. */
export class StreamRoutes implements Disposable {
  readonly #options: StreamRoutesOptions;
  readonly #stopping = new AbortController();
  #streams = 0;

  constructor(options: StreamRoutesOptions) {
    this.#options = options;
  }

  [Symbol.dispose](): void {
    this.#stopping.abort();
  }

  /** `name` is decoded. */
  answer(request: Request, name: string): Response {
    const allowed = this.#allowedOrigin(request);
    const response =
      this.#refuseForeign(request, allowed) ??
      answerPreflight(request) ??
      this.#refuseStranger(request) ??
      this.#open(request, name);
    if (allowed !== undefined) {
      response.headers.set("access-control-allow-origin", allowed);
      response.headers.set("vary", "origin");
    }
    return response;
  }

  /** The origin of a page that may read this. */
  #allowedOrigin({ headers }: Request): string | undefined {
    const origin = headers.get("origin");
    const { allowedOrigins } = this.#options;
    if (origin === null) return undefined;
    return allowedOrigins.some((one) => one === origin || one === "*") ? origin : undefined;
  }

  /** A page of the web can make a browser send requests here, also under a name of its own. */
  #refuseForeign({ headers }: Request, allowed: string | undefined): Response | undefined {
    if (headers.has("origin") && allowed === undefined) {
      return refuse(403, "Pages of this origin may not read here: see push.allow-origin.");
    }
    const host = headers.get("host") ?? "";
    const isNamedHere = isLoopback(host.replace(/:\d+$/u, "").replaceAll(/[[\]]/gu, ""));
    if (this.#options.token !== undefined || isNamedHere) return undefined;
    return refuse(403, "Without push.token this is for 127.0.0.1 and localhost alone.");
  }

  #refuseStranger(request: Request): Response | undefined {
    const { token } = this.#options;
    return token === undefined
      ? undefined
      : refuseWithoutToken(request, { token, key: "push.token" });
  }

  #open(request: Request, name: string): Response {
    if (request.method !== "GET") return refuse(405, "A stream takes GET.", { allow: "GET" });
    const after = parseAfter(new URL(request.url).searchParams.get("after"));
    if (after === undefined)
      return refuse(400, "after must be a TXID: 1 to 16 hexadecimal digits.");
    const [database, ...others] = findByName(name, this.#options.databases());
    if (database === undefined) {
      return refuse(404, `There is no ${name} here: headwater databases -json prints the names.`);
    }
    if (others.length > 0) {
      return refuse(409, `Several databases are called ${name}: use the long name of one.`);
    }
    const isFull = this.#streams >= maxStreams;
    if (isFull || !database.feed.isOpen || this.#stopping.signal.aborted) {
      const why = isFull ? "Too many follow already." : `${name} is stopped or not ready yet.`;
      return refuse(503, why, { "retry-after": "1" });
    }
    return new Response(this.#body(database, after), {
      headers: {
        "content-type": "application/octet-stream",
        "cache-control": "no-store",
        // A proxy that collects what comes before it sends it on would take away what this is for.
        "x-accel-buffering": "no",
      },
    });
  }

  /** Asks for the next frame when the one before has gone out: nothing queues up for a reader that is slow. */
  #body(
    { path, feed }: Pick<FleetDatabase, "path" | "feed">,
    after: bigint,
  ): ReadableStream<Uint8Array> {
    const { logger } = this.#options;
    const leaving = new AbortController();
    const signal = AbortSignal.any([this.#stopping.signal, leaving.signal]);
    const frames = feed.follow(after, { signal });
    this.#streams++;
    logger.log("info", "push.following", { db: path, after: formatTxid(toTxid(after)) });
    const close = (why: string): void => {
      if (leaving.signal.aborted) return;
      leaving.abort();
      this.#streams--;
      logger.log("info", "push.left", { db: path, why });
    };
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          try {
            const next = await frames.next();
            if (leaving.signal.aborted) return;
            if (next.done !== true) {
              noteFrame(logger, path, next.value);
              return send(controller, next.value);
            }
            if (this.#stopping.signal.aborted) send(controller, { kind: "end" });
            close("ended");
            controller.close();
          } catch (error) {
            close("failed");
            throw error;
          }
        },
        cancel: async () => {
          close("gone");
          await frames.return();
        },
      },
      { highWaterMark: 0 },
    );
  }
}

function noteFrame(logger: Logger, db: string, frame: StreamFrame): void {
  if (frame.kind === "file")
    logger.log("debug", "push.sent", { db, sizeBytes: frame.bytes.length });
  if (frame.kind === "reset") logger.log("debug", "push.reset", { db });
}

function send(controller: ReadableStreamDefaultController<Uint8Array>, frame: StreamFrame): void {
  for (const part of encodeFrame(frame)) if (part.length > 0) controller.enqueue(part);
}

/** A browser asks first when a token is to be sent. Only pages that are allowed come this far. */
function answerPreflight({ method }: Request): Response | undefined {
  if (method !== "OPTIONS") return undefined;
  return new Response(null, {
    status: 204,
    headers: {
      "access-control-allow-methods": "GET",
      "access-control-allow-headers": "authorization",
      "access-control-max-age": "600",
    },
  });
}

function parseAfter(text: string | null): bigint | undefined {
  if (text === null || !/^[0-9a-f]{1,16}$/iu.test(text)) return undefined;
  return BigInt(`0x${text}`) || undefined;
}

function refuse(status: number, error: string, headers: Record<string, string> = {}): Response {
  return Response.json({ error }, { status, headers });
}
