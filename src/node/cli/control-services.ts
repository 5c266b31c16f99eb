// The servers of a running Headwater that a configuration file asks for. One that cannot listen is a warning: the
// databases are replicated all the same, as with Litestream.
import { HeadwaterError } from "../../core/base/errors.ts";
import type { Logger } from "../../core/base/log.ts";
import { systemClock } from "../base/clock.ts";
import { packageVersion } from "../base/package-version.ts";
import type { Config } from "../engine/config/config.ts";
import type { McpConfig } from "../engine/config/services.ts";
import type { Fleet } from "../engine/fleet.ts";
import type { Listening } from "../server/listen.ts";
import type { CliContext } from "./command.ts";
import { toFleetMember } from "./fleet-member.ts";
import type { ReplicateFlags } from "./replicate-steps.ts";

export interface ControlServices {
  readonly fleet: Fleet;
  readonly flags: ReplicateFlags;
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
  const stack = new AsyncDisposableStack();
  if (config.socket.isEnabled) await startSocket(config, services, stack);
  if (config.mcp !== undefined) await startMcp(config, config.mcp, services, stack);
  return stack;
}

async function startSocket(
  config: Config,
  { fleet, flags, logger }: ControlServices,
  stack: AsyncDisposableStack,
): Promise<void> {
  const { Control } = await import("../server/control.ts");
  const { controlRoutes } = await import("../server/control-routes.ts");
  const { listenOnSocket } = await import("../server/listen.ts");
  const clock = systemClock;
  const control = new Control({
    fleet,
    clock,
    memberFor: (path, url) => toFleetMember(config.register(path, url), flags, logger),
  });
  const version = await packageVersion();
  const fetch = controlRoutes(control, { version, nowMs: () => clock.nowMs(), logger });
  await listenOrWarn(stack, logger, "control", () => listenOnSocket(fetch, config.socket));
  // Disposed first: whoever waits is answered before the server ends.
  stack.use(control);
}

async function startMcp(
  config: Config,
  place: McpConfig,
  { fleet, logger, context }: ControlServices,
  stack: AsyncDisposableStack,
): Promise<void> {
  const { mcpRoutes } = await import("../server/mcp.ts");
  const { mcpTools } = await import("./mcp-tools.ts");
  const { listenOnPort } = await import("../server/listen.ts");
  const version = await packageVersion();
  const tools = mcpTools({ config, fleet, version, logger, context });
  const routes = mcpRoutes({ tools, version, logger, ...place });
  await listenOrWarn(stack, logger, "mcp", () => listenOnPort(routes.fetch, place));
  stack.use(routes);
}

async function listenOrWarn(
  stack: AsyncDisposableStack,
  logger: Logger,
  name: string,
  listen: () => Promise<Listening>,
): Promise<void> {
  try {
    const { address } = stack.use(await listen());
    logger.log("info", `${name}.listening`, { address });
  } catch (error) {
    if (!(error instanceof HeadwaterError)) throw error;
    logger.log("warn", `${name}.unavailable`, { error: error.message });
  }
}
