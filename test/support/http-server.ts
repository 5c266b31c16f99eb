// A static file server over a store, as a real one on a real socket, that can be as limited or as faulty as servers are.
import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { collectBytes } from "../../src/core/base/bytes.ts";
import type { ObjectStore } from "../../src/core/store/object-store.ts";

/** What becomes of a request in place of its answer. */
export type HttpFault =
  /** An answer without an object. */
  | { readonly kind: "status"; readonly status: number }
  /** The connection is cut after so many bytes of the body. */
  | { readonly kind: "cut"; readonly afterBytes: number }
  /** So many bytes, properly framed, whatever was asked for. */
  | { readonly kind: "length"; readonly sizeBytes: number }
  /** Bytes from there on, whatever was asked for. */
  | { readonly kind: "offset"; readonly offset: number };

export interface HttpServerOptions {
  /** False: every answer is the whole object, as from `python -m http.server`. */
  readonly hasRanges?: boolean;
  /** False: sizes are not told, as by a server that compresses on the way. */
  readonly hasLengths?: boolean;
  /** ETag of an object; `undefined` = that of the store. */
  readonly etagOf?: ((etag: string) => string) | undefined;
}

export interface SeenRequest {
  readonly method: string;
  readonly key: string;
  readonly range: string | undefined;
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
}

export interface HttpServer extends AsyncDisposable {
  /** Without a slash at its end. */
  readonly url: string;
  /** Answered, oldest first; emptied by `takeRequests`. */
  readonly requests: SeenRequest[];
  takeRequests(): readonly SeenRequest[];
  fault: (request: { readonly method: string; readonly key: string }) => HttpFault | undefined;
  /** Requests wait for it. */
  delay: () => Promise<void>;
}

export async function startHttpServer(
  store: ObjectStore,
  options: HttpServerOptions = {},
): Promise<HttpServer> {
  const server = createServer((request, response) => void answer(request, response));
  const requests: SeenRequest[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = "", url = "", headers } = request;
    const key = decodeURIComponent(url.replace(/[?].*$/u, "").replace(/^\/replica\//u, ""));
    try {
      await handle.delay();
      const fault = handle.fault({ method, key });
      await respond({ store, options, key, fault }, request, response);
    } catch {
      response.writeHead(500).end();
    }
    requests.push({ method, key, range: headers.range, status: response.statusCode, headers });
  };
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  // A server on a TCP port has an address of this shape.
  const { port } = server.address() as AddressInfo;
  const handle: HttpServer = {
    url: `http://127.0.0.1:${port}/replica`,
    requests,
    takeRequests: () => requests.splice(0),
    fault: () => undefined,
    delay: async () => undefined,
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      server.closeAllConnections();
      await closed;
    },
  };
  return handle;
}

interface Asked {
  readonly store: ObjectStore;
  readonly options: HttpServerOptions;
  readonly key: string;
  readonly fault: HttpFault | undefined;
}

async function respond(
  { store, options, key, fault }: Asked,
  { method, headers }: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (fault?.kind === "status") return void response.writeHead(fault.status).end();
  const content = await store.get(key, {});
  if (content === undefined) return void response.writeHead(404).end("nothing there");
  const bytes = await collectBytes(content.body);
  const { hasRanges = true, hasLengths = true, etagOf = (etag: string) => etag } = options;
  const etag = `"${etagOf(content.info.etag)}"`;
  response.setHeader("etag", etag);
  response.setHeader("last-modified", new Date(content.info.timestampMs).toUTCString());
  if (headers["if-none-match"] === etag) return void response.writeHead(304).end();
  const asked = hasRanges ? /^bytes=(?<start>\d+)-(?<end>\d*)$/u.exec(headers.range ?? "") : null;
  const { start, end } = asked?.groups ?? {};
  const from = fault?.kind === "offset" ? fault.offset : Number(start ?? 0);
  if (asked !== null && from >= bytes.length) {
    response.setHeader("content-range", `bytes */${bytes.length}`);
    return void response.writeHead(416).end();
  }
  const to = Math.min(bytes.length, end === undefined || end === "" ? Infinity : Number(end) + 1);
  if (asked !== null) {
    response.setHeader("content-range", `bytes ${from}-${to - 1}/${bytes.length}`);
    response.statusCode = 206;
  }
  const part =
    fault?.kind === "length" ? new Uint8Array(fault.sizeBytes) : bytes.subarray(from, to);
  if (hasLengths) response.setHeader("content-length", part.length);
  if (method === "HEAD") return void response.end();
  // In two steps, or Node tells the length by itself.
  if (!hasLengths) response.write(part.subarray(0, 1));
  if (fault?.kind !== "cut") return void response.end(part.subarray(hasLengths ? 0 : 1));
  response.write(part.subarray(0, fault.afterBytes), () => response.destroy());
  return undefined;
}
