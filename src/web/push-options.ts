// What a browser follows the stream of a primary with.
import type { PushOptions } from "../core/vfs/replica-engine.ts";
import type { OpenMoment } from "../core/vfs/replica-moment.ts";
import { browserRandom } from "./clock.ts";

/** `undefined`: there is no primary to follow. */
export function pushOptions({
  push: url,
  pushToken: token,
}: Pick<OpenMoment, "push" | "pushToken">): PushOptions | undefined {
  if (url === undefined) return undefined;
  // Called as a method of anything but the global object it throws.
  return {
    url,
    token,
    random: browserRandom,
    fetch: (address, options) => fetch(address, options),
  };
}
