// A TCP proxy that fails on command: in front of a real server it makes the faults that real networks make.
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

export type ProxyFault =
  /** Bytes pass, this much later. */
  | { readonly kind: "latency"; readonly ms: number }
  /** Both sides are reset after so many bytes from the client, or from the server. */
  | { readonly kind: "cut-upload"; readonly afterBytes: number }
  | { readonly kind: "cut-download"; readonly afterBytes: number }
  /** The server's answer is thrown away and the connection reset. */
  | { readonly kind: "lose-reply" }
  /** Connections are reset as they come. */
  | { readonly kind: "refuse" }
  /** Connections are accepted, and nothing ever comes back. */
  | { readonly kind: "blackhole" };

export interface FaultProxy extends AsyncDisposable {
  readonly endpoint: string;
  /** For the next `times` connections; `undefined` lets all pass. Open connections are closed, so that the next request makes one. */
  setFault(fault: ProxyFault | undefined, times?: number): void;
}

export interface FaultProxyOptions {
  /** Hears of each request of a client, with its method and target. */
  readonly onRequest?: ((method: string, target: string) => void) | undefined;
}

/** A proxy in front of `endpoint` (`http://host:port`). */
export async function startFaultProxy(
  endpoint: string,
  { onRequest }: FaultProxyOptions = {},
): Promise<FaultProxy> {
  const target = new URL(endpoint);
  const sockets = new Set<Socket>();
  let fault: ProxyFault | undefined;
  let left = 0;
  const closeAll = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const track = (socket: Socket): void => {
    sockets.add(socket);
    socket.on("error", () => undefined).once("close", () => sockets.delete(socket));
  };

  const server = createServer((client) => {
    track(client);
    if (onRequest !== undefined) client.on("data", (chunk) => hearRequest(chunk, onRequest));
    const current = left > 0 ? fault : undefined;
    left -= 1;
    if (current?.kind === "refuse") return void client.resetAndDestroy();
    if (current?.kind === "blackhole") return void client.resume();
    const upstream = connect(Number(target.port), target.hostname);
    track(upstream);
    const reset = (): void => {
      client.resetAndDestroy();
      upstream.destroy();
    };
    client.once("close", () => upstream.destroy());
    upstream.once("close", () => client.end());
    forward(client, upstream, { fault: current, cut: "cut-upload", reset });
    forward(upstream, client, { fault: current, cut: "cut-download", reset });
    return undefined;
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  // A server on a TCP port has an address of this shape.
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    setFault: (next, times = Infinity) => {
      fault = next;
      left = next === undefined ? 0 : times;
      closeAll();
    },
    [Symbol.asyncDispose]: async () => {
      closeAll();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}

/** A client sends a request once the one before is answered, so it begins with a chunk. */
function hearRequest(chunk: Buffer, onRequest: (method: string, target: string) => void): void {
  const line = /^(?<method>GET|HEAD|PUT|POST|DELETE) (?<target>\S+) HTTP/u.exec(
    chunk.toString("latin1", 0, 2_000),
  )?.groups;
  if (line !== undefined) onRequest(line["method"] ?? "", line["target"] ?? "");
}

function forward(
  from: Socket,
  to: Socket,
  options: {
    readonly fault: ProxyFault | undefined;
    readonly cut: ProxyFault["kind"];
    readonly reset: () => void;
  },
): void {
  const { fault, cut, reset } = options;
  let passedBytes = 0;
  const pass = async (chunk: Buffer): Promise<void> => {
    if (fault?.kind === "latency") await sleep(fault.ms);
    if (fault?.kind === "lose-reply" && cut === "cut-download") return reset();
    if (fault !== undefined && "afterBytes" in fault && fault.kind === cut) {
      if (passedBytes + chunk.length > fault.afterBytes) {
        to.write(chunk.subarray(0, fault.afterBytes - passedBytes), reset);
        return undefined;
      }
    }
    passedBytes += chunk.length;
    if (!to.write(chunk)) {
      from.pause();
      to.once("drain", () => from.resume());
    }
    return undefined;
  };
  from.on("data", (chunk: Buffer) => void pass(chunk));
}
