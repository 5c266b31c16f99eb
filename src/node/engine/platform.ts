// Where replicating works. Restore, ltx and verify run wherever Node does.
import { HeadwaterError } from "../../core/base/errors.ts";
import type { Logger } from "../../core/base/log.ts";

/** Throws `engine/platform` on Windows, warns on anything but Linux. */
export function checkPlatform(logger: Logger, platform: NodeJS.Platform = process.platform): void {
  if (platform === "linux") return;
  if (platform === "win32") {
    throw new HeadwaterError(
      "engine/platform",
      "Replicating does not work on Windows: SQLite's WAL is locked in another way there. Replicate on Linux; " +
        "restore, ltx and verify work here.",
    );
  }
  logger.log("warn", "platform.untested", {
    platform,
    hint: "replicating is tested on Linux only",
  });
}
