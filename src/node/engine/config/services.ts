// The servers that a configuration file asks for.
import { isLoopback, parseAddress } from "../../base/address.ts";
import type { Address } from "../../base/address.ts";
import { localPath } from "../../base/local-path.ts";
import { defaultSocketPath } from "./config-places.ts";
import type { ConfigFile } from "./keys.ts";
import type { Remarks } from "./mistakes.ts";

/** The control socket. */
export interface SocketConfig {
  readonly isEnabled: boolean;
  readonly path: string;
  readonly mode: number;
}

/** The MCP server. */
export interface McpConfig {
  readonly host: string;
  readonly port: number;
  /** What its clients must send. */
  readonly token: string | undefined;
}

/** What watches over the databases, and tells about them. */
export interface MonitorConfig {
  /** Where metrics and health are served. */
  readonly place: { readonly host: string; readonly port: number } | undefined;
  readonly maxLagMs: number;
  readonly heartbeat: { readonly url: string; readonly intervalMs: number } | undefined;
  readonly webhookUrl: string | undefined;
  /** `undefined`: no streams. */
  readonly push: PushConfig | undefined;
}

/** The streams of databases, served where metrics are. */
export interface PushConfig {
  /** What followers must send. */
  readonly token: string | undefined;
  /** Pages that may follow; `*` = any. */
  readonly allowedOrigins: readonly string[];
}

const shortestToken = 16;
/** Who names no host is reached from here alone. */
const thisMachine = "127.0.0.1";
const defaultMaxLagMs = 60_000;
const defaultHeartbeatMs = 300_000;

export function toMonitorConfig(file: ConfigFile, remarks: Remarks): MonitorConfig {
  const { "heartbeat-url": heartbeatUrl, "webhook-url": webhookUrl } = file;
  for (const name of ["heartbeat-url", "webhook-url"] as const) {
    const url = file[name];
    if (url !== undefined && !/^https?:\/\/[^/]/iu.test(url))
      remarks.mistake([name], "must begin with http:// or https:// and name a host.");
  }
  const address = toAddress(file, "addr", { examplePort: 9090 }, remarks);
  if (address !== undefined && address.host === undefined) {
    remarks.warning(
      ["addr"],
      `names no host: only this machine can reach it. For others, write 0.0.0.0:${address.port}.`,
    );
  }
  return {
    place: address && { host: address.host ?? thisMachine, port: address.port },
    push: toPushConfig(file, address, remarks),
    maxLagMs: file["health-max-lag"] ?? defaultMaxLagMs,
    heartbeat:
      heartbeatUrl === undefined
        ? undefined
        : { url: heartbeatUrl, intervalMs: file["heartbeat-interval"] ?? defaultHeartbeatMs },
    webhookUrl,
  };
}

/** `undefined` if they are not wanted. What other machines can reach needs a token. */
function toPushConfig(
  { push, addr }: ConfigFile,
  address: Address | undefined,
  remarks: Remarks,
): PushConfig | undefined {
  const { token, "allow-origin": allowedOrigins = [] } = push ?? {};
  if (token !== undefined && token.length < shortestToken)
    remarks.mistake(["push", "token"], `must have at least ${shortestToken} characters.`);
  if (push?.enabled !== true) return undefined;
  if (addr === undefined) {
    remarks.mistake(["push"], `needs addr, where it is served, such as ${thisMachine}:9090.`);
  }
  if (token === undefined && !isLoopback(address?.host ?? thisMachine)) {
    remarks.mistake(
      ["push"],
      `can be reached from other machines by addr, and needs push.token. For this machine alone, write addr: ${thisMachine}:9090.`,
    );
  }
  return { token, allowedOrigins };
}

export function toSocketConfig({ socket }: ConfigFile): SocketConfig {
  return {
    isEnabled: socket?.enabled ?? false,
    path: localPath(socket?.path ?? defaultSocketPath),
    mode: socket?.permissions ?? 0o600,
  };
}

/** `undefined` if none is wanted. Who can be reached from other machines needs a token. */
export function toMcpConfig(file: ConfigFile, remarks: Remarks): McpConfig | undefined {
  const { "mcp-token": token } = file;
  if (token !== undefined && token.length < shortestToken) {
    remarks.mistake(["mcp-token"], `must have at least ${shortestToken} characters.`);
  }
  const address = toAddress(file, "mcp-addr", { examplePort: 3001 }, remarks);
  if (address === undefined) return undefined;
  const { host = thisMachine, port } = address;
  if (!isLoopback(host) && token === undefined) {
    remarks.mistake(
      ["mcp-addr"],
      `can be reached from other machines, and needs mcp-token. For this machine alone, write ${thisMachine}.`,
    );
  }
  return { host, port, token };
}

/** `undefined` if the file names none, or none that can be read. */
function toAddress(
  file: ConfigFile,
  key: "addr" | "mcp-addr",
  { examplePort }: { readonly examplePort: number },
  remarks: Remarks,
): Address | undefined {
  const { [key]: text } = file;
  if (text === undefined) return undefined;
  const address = parseAddress(text);
  if (address === undefined)
    remarks.mistake([key], `must be a host and a port, such as ${thisMachine}:${examplePort}.`);
  return address;
}
