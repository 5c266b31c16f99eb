// The servers of a running Headwater that a configuration file asks for. One that cannot listen is a warning: the
// databases are replicated all the same, as with Litestream.
import { HeadwaterError } from "../../core/base/errors.ts";
import type { Logger } from "../../core/base/log.ts";
import { systemClock } from "../base/clock.ts";
import { packageVersion } from "../base/package-version.ts";
import type { Config } from "../engine/config/config.ts";
import type { Fleet } from "../engine/fleet.ts";
import type { Listening } from "../server/listen.ts";
import { toFleetMember } from "./fleet-member.ts";
import type { ReplicateFlags } from "./replicate-steps.ts";

export interface ControlServices {
  readonly fleet: Fleet;
  readonly flags: ReplicateFlags;
  readonly logger: Logger;
}

/** Opens the control socket. Disposing it ends it, before the fleet is stopped: who asks for a start is refused. */
export async function startControl(
  config: Config,
  { fleet, flags, logger }: ControlServices,
): Promise<AsyncDisposable> {
  const stack = new AsyncDisposableStack();
  if (config.socket.isEnabled) {
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
    stack.use(control);
  }
  return stack;
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
