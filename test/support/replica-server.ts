// A static file server as replicas for browsers lie behind: ranges, versions, CORS. It can be slow, refuse and break off,
// and has every request on record.
import { createReadStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";

export interface ServedRequest {
  readonly method: string;
  /** Below the root, without a slash at its start. */
  readonly path: string;
  readonly range: string | undefined;
  /** 0 while it waits for its answer. */
  status: number;
}

/** What requests suffer. */
export interface ServerBehaviour {
  readonly latencyMs?: number | undefined;
  /** Requests whose path ends with `suffix` get this status. */
  readonly refuse?: { readonly suffix: string; readonly status: number } | undefined;
  /** Bodies of paths that end with `suffix` break off after so many bytes. */
  readonly cut?: { readonly suffix: string; readonly afterBytes: number } | undefined;
}

export interface ReplicaServerOptions {
  /** The directory that is served. */
  readonly root: string;
  /** Of every answer, beside those for CORS. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Answers requests that are not for files; `false`: not its own. */
  readonly handle?: (request: IncomingMessage, response: ServerResponse) => Promise<boolean>;
}

/** As a bucket is to be set up: docs/guides/browser.md. */
const corsHeaders = {
  "Access-Control-Allow-Origin": "*",
  "Access-Control-Expose-Headers": "Content-Range, ETag",
} as const;

const contentTypes: Readonly<Record<string, string>> = {
  css: "text/css",
  html: "text/html; charset=utf-8",
  js: "text/javascript",
  json: "application/json",
  mjs: "text/javascript",
  wasm: "application/wasm",
};

export class ReplicaServer implements AsyncDisposable {
  /** `http://127.0.0.1:port` */
  readonly origin: string;
  behaviour: ServerBehaviour = {};
  readonly #close: () => Promise<void>;
  readonly #requests: ServedRequest[];

  private constructor(origin: string, requests: ServedRequest[], close: () => Promise<void>) {
    this.origin = origin;
    this.#requests = requests;
    this.#close = close;
  }

  static async start(options: ReplicaServerOptions): Promise<ReplicaServer> {
    const requests: ServedRequest[] = [];
    const behaviourOf = (): ServerBehaviour => started.behaviour;
    const http = createServer((request, response) => {
      // A client that goes away in the middle is none of the server's business.
      serve({ ...options, requests, behaviourOf }, request, response).catch(() =>
        response.destroy(),
      );
    });
    await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
    const address = http.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    const started = new ReplicaServer(`http://127.0.0.1:${address.port}`, requests, async () => {
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    });
    return started;
  }

  /** Requests since the last time this was asked. */
  takeRequests(): readonly ServedRequest[] {
    return this.#requests.splice(0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
  }
}

interface Serving extends ReplicaServerOptions {
  readonly requests: ServedRequest[];
  readonly behaviourOf: () => ServerBehaviour;
}

async function serve(
  { root, headers, handle, requests, behaviourOf }: Serving,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? "/", "http://localhost");
  const path = decodeURIComponent(url.pathname).slice(1);
  for (const [name, value] of Object.entries({ ...corsHeaders, ...headers })) {
    response.setHeader(name, value);
  }
  if ((await handle?.(request, response)) === true) return;
  const { latencyMs = 0, refuse, cut } = behaviourOf();
  const record = { method: request.method ?? "", path, range: request.headers.range, status: 0 };
  requests.push(record);
  // Before the other side can have the end of the answer.
  response.on("prefinish", () => {
    record.status = response.statusCode;
  });
  if (latencyMs > 0) await sleep(latencyMs);
  if (request.method === "OPTIONS") {
    response.setHeader("Access-Control-Allow-Headers", "*");
    response.writeHead(204).end();
  } else if (refuse !== undefined && path.endsWith(refuse.suffix)) {
    response.writeHead(refuse.status).end();
  } else {
    const afterBytes = cut !== undefined && path.endsWith(cut.suffix) ? cut.afterBytes : undefined;
    await sendFile(join(root, path), { request, response, afterBytes });
  }
}

interface Sending {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly afterBytes: number | undefined;
}

async function sendFile(path: string, { request, response, afterBytes }: Sending): Promise<void> {
  let file: FileHandle;
  try {
    file = await open(path);
  } catch {
    response.writeHead(404).end();
    return;
  }
  await using opened = file;
  const info = await opened.stat({ bigint: true });
  if (!info.isFile()) {
    response.writeHead(404).end();
    return;
  }
  const size = Number(info.size);
  const etag = `"${info.ino.toString(16)}-${info.mtimeNs.toString(16)}-${size}"`;
  response.setHeader("ETag", etag);
  response.setHeader("Last-Modified", info.mtime.toUTCString());
  response.setHeader("Accept-Ranges", "bytes");
  response.setHeader(
    "Content-Type",
    contentTypes[path.slice(path.lastIndexOf(".") + 1)] ?? "application/octet-stream",
  );
  if (request.headers["if-none-match"] === etag) {
    response.writeHead(304).end();
    return;
  }
  const range = rangeOf(request.headers.range, size);
  if (range === undefined) {
    response.writeHead(416, { "Content-Range": `bytes */${size}` }).end();
    return;
  }
  const { start, end, isPart } = range;
  response.writeHead(isPart ? 206 : 200, {
    "Content-Length": end - start,
    ...(isPart && { "Content-Range": `bytes ${start}-${end - 1}/${size}` }),
  });
  if (request.method === "HEAD" || end === start) {
    response.end();
    return;
  }
  const last = Math.min(end, start + (afterBytes ?? Infinity));
  const body = createReadStream(path, { start, end: last - 1 });
  await pipeline(body, response, { end: last === end });
  if (last < end) response.destroy();
}

/** `undefined`: it cannot be had. */
function rangeOf(
  header: string | undefined,
  size: number,
): { readonly start: number; readonly end: number; readonly isPart: boolean } | undefined {
  const match = /^bytes=(?<first>\d*)-(?<last>\d*)$/u.exec(header ?? "");
  if (match === null) return { start: 0, end: size, isPart: false };
  const { first = "", last = "" } = match.groups ?? {};
  const start = first === "" ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === "" || last === "" ? size : Math.min(size, Number(last) + 1);
  return start < end ? { start, end, isPart: true } : undefined;
}
