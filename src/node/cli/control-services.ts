// The servers of a running Headwater that a configuration file asks for. One that cannot listen is a warning: the
// databases are replicated all the same, as with Litestream.
import { messageOf } from "../../core/base/errors.ts";
import type { Logger } from "../../core/base/log.ts";
import { systemClock } from "../base/clock.ts";
import { packageVersion } from "../base/package-version.ts";
import type { Config } from "../engine/config/config.ts";
import type { McpConfig, SocketConfig } from "../engine/config/services.ts";
import type { Fleet } from "../engine/fleet.ts";
import type { FleetMember } from "../engine/fleet-environment.ts";
import type { CliContext } from "./command.ts";

export interface ControlServices {
  readonly fleet: Fleet;
  /** A database that is to be registered, by what the configuration file says now. */
  readonly memberFor: (path: string, replicaUrl: string) => FleetMember;
  readonly logger: Logger;
  readonly context: CliContext;
}

/**
 * Opens the control socket and the MCP server. To be disposed before the fleet is stopped: a start that is asked for
 * meanwhile is refused.
 */
export async function startControl(
  config: Config,
  services: ControlServices,
): Promise<AsyncDisposable> {
  const { logger } = services;
  const { socket, mcp } = config;
  const stack = new AsyncDisposableStack();
  if (socket.isEnabled) await orWarn(logger, "control", () => startSocket(socket, services, stack));
  if (mcp !== undefined) await orWarn(logger, "mcp", () => startMcp(config, mcp, services, stack));
  return stack;
}

async function startSocket(
  place: SocketConfig,
  { fleet, memberFor, logger }: ControlServices,
  stack: AsyncDisposableStack,
): Promise<string> {
  const { Control } = await import("../server/control.ts");
  const { controlRoutes } = await import("../server/control-routes.ts");
  const { listenOnSocket } = await import("../server/listen.ts");
  const clock = systemClock;
  const control = new Control({ fleet, clock, memberFor });
  const version = await packageVersion();
  const fetch = controlRoutes(control, { version, nowMs: () => clock.nowMs(), logger });
  const { address } = stack.use(await listenOnSocket(fetch, place));
  // Disposed first: whoever waits is answered before the server ends.
  stack.use(control);
  return address;
}

async function startMcp(
  config: Config,
  place: McpConfig,
  { fleet, logger, context }: ControlServices,
  stack: AsyncDisposableStack,
): Promise<string> {
  const { mcpRoutes } = await import("../server/mcp.ts");
  const { mcpTools } = await import("./mcp-tools.ts");
  const { listenOnPort } = await import("../server/listen.ts");
  const version = await packageVersion();
  const tools = mcpTools({ config, fleet, version, logger, context });
  const routes = mcpRoutes({ tools, version, logger, ...place });
  const { address } = stack.use(await listenOnPort(routes.fetch, place));
  stack.use(routes);
  return address;
}

/** Replication does not depend on who can be told about it. */
export async function orWarn(
  logger: Logger,
  name: string,
  start: () => Promise<string>,
): Promise<void> {
  try {
    logger.log("info", `${name}.listening`, { address: await start() });
  } catch (error) {
    logger.log("warn", `${name}.unavailable`, { error: messageOf(error) });
  }
}
