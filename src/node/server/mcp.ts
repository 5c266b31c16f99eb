// An MCP server over HTTP: tools with Litestream's names, for programs that work with language models. Browsers of this
// machine are kept out by their Host and Origin headers, others by the token.
import {
  McpServer,
  createMcpHandler,
  hostHeaderValidationResponse,
  localhostAllowedHostnames,
  localhostAllowedOrigins,
  originValidationResponse,
} from "@modelcontextprotocol/server";
import type { StandardSchemaWithJSON } from "@modelcontextprotocol/server";
import { messageOf } from "../../core/base/errors.ts";
import type { Logger } from "../../core/base/log.ts";
import { isLoopback } from "../base/address.ts";
import { refuseWithoutToken } from "./bearer-token.ts";
import type { Fetch } from "./listen.ts";

/** Adds itself to a server. */
export type McpTool = (server: McpServer) => void;

export interface McpToolOptions<Input> {
  readonly description: string;
  /** An object of zod. */
  readonly input: StandardSchemaWithJSON<unknown, Input>;
  /** Whether it writes or deletes something. */
  readonly changes: boolean;
}

/** A tool that answers with text; what it throws becomes an answer that says so. */
export function mcpTool<Input>(
  name: string,
  { description, input, changes }: McpToolOptions<Input>,
  call: (input: Input, waiting: { readonly signal: AbortSignal }) => Promise<string>,
): McpTool {
  const annotations = { readOnlyHint: !changes, destructiveHint: changes };
  const config = { description, inputSchema: input, annotations };
  return (server) => {
    server.registerTool(name, config, async (given: Input, { mcpReq: { signal } }) => {
      try {
        return { content: [{ type: "text", text: await call(given, { signal }) }] };
      } catch (error) {
        return { content: [{ type: "text", text: `Error: ${messageOf(error)}` }], isError: true };
      }
    });
  };
}

export interface McpOptions {
  readonly tools: readonly McpTool[];
  readonly version: string;
  /** Where it listens. */
  readonly host: string;
  readonly token: string | undefined;
  readonly logger: Logger;
}

const largestBodyBytes = 1024 ** 2;

/** Answers MCP requests, on every path. Disposing it breaks off what is being answered. */
export function mcpRoutes(options: McpOptions): { readonly fetch: Fetch } & AsyncDisposable {
  const { tools, version, host, token, logger } = options;
  const handler = createMcpHandler(
    () => {
      const server = new McpServer({ name: "Headwater MCP Server", version });
      for (const add of tools) add(server);
      return server;
    },
    {
      maxRequestBodySize: largestBodyBytes,
      onerror: (error) => logger.log("debug", "mcp.failed", { error: error.message }),
    },
  );
  return {
    fetch: (request) =>
      (isLoopback(host) ? refuseForeign(request) : undefined) ??
      (token === undefined
        ? undefined
        : refuseWithoutToken(request, { token, key: "mcp-token" })) ??
      handler.fetch(request),
    [Symbol.asyncDispose]: () => handler.close(),
  };
}

/** A page of the web can make a browser send requests here, under a name of its own. */
function refuseForeign(request: Request): Response | undefined {
  return (
    hostHeaderValidationResponse(request, localhostAllowedHostnames()) ??
    originValidationResponse(request, localhostAllowedOrigins())
  );
}
