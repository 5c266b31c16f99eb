// An HTTP server of ours: answers requests with a function, on a Unix socket or on a port, and ends in order.
import { once } from "node:events";
import { type Server, createServer } from "node:http";
import { getRequestListener } from "@hono/node-server";
import { HeadwaterError, messageOf } from "../../core/base/errors.ts";
import { bindSocket } from "./unix-socket.ts";
import type { SocketPlace } from "./unix-socket.ts";

/** Answers a request. */
export type Fetch = (request: Request) => Response | Promise<Response>;

/** A server at work. Disposing it ends it: requests that are being answered have 5 s to finish. */
export interface Listening extends AsyncDisposable {
  /** Where clients reach it: the path of the socket, or `http://host:port`. */
  readonly address: string;
}

export interface ListenOptions {
  /** How long requests may go on when the server is disposed, ms. */
  readonly closeGraceMs?: number | undefined;
}

/** Listens on a Unix socket. Throws `control/listen`. */
export async function listenOnSocket(
  fetch: Fetch,
  place: SocketPlace,
  { closeGraceMs = 5_000 }: ListenOptions = {},
): Promise<Listening> {
  const server = createHttpServer(fetch);
  const socket = await bindSocket(server, place);
  return {
    address: place.path,
    [Symbol.asyncDispose]: async () => {
      await socket[Symbol.asyncDispose]();
      await close(server, closeGraceMs);
    },
  };
}

/** Listens on a port; 0 = any that is free. Throws `control/listen`. */
export async function listenOnPort(
  fetch: Fetch,
  { host, port }: { readonly host: string; readonly port: number },
  { closeGraceMs = 5_000 }: ListenOptions = {},
): Promise<Listening> {
  const server = createHttpServer(fetch);
  try {
    server.listen({ host, port });
    await once(server, "listening");
  } catch (error) {
    throw new HeadwaterError(
      "control/listen",
      `Headwater cannot listen on ${host}:${port}: ${messageOf(error)}. Choose another address, or end what uses it.`,
      { data: { host, port }, cause: error },
    );
  }
  const address = server.address();
  const taken = typeof address === "object" && address !== null ? address.port : port;
  const shown = host.includes(":") ? `[${host}]` : host;
  return {
    address: `http://${shown}:${taken}`,
    [Symbol.asyncDispose]: () => close(server, closeGraceMs),
  };
}

/** Slow and idle clients are cut off, too many are turned away; answers may take as long as they take. */
function createHttpServer(fetch: Fetch): Server {
  const listener = getRequestListener(fetch, { overrideGlobalObjects: false });
  const server = createServer(
    { requestTimeout: 30_000, headersTimeout: 10_000, keepAliveTimeout: 5_000 },
    (incoming, outgoing) => void listener(incoming, outgoing),
  );
  server.maxConnections = 128;
  return server;
}

async function close(server: Server, graceMs: number): Promise<void> {
  const closed = once(server, "close");
  server.close();
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), graceMs);
  await closed;
  clearTimeout(timer);
}
