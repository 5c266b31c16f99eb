// Events of the library as messages for a person.
import type { Clock } from "../../core/base/clock.ts";
import type { Logger } from "../../core/base/log.ts";
import type { CliContext } from "./command.ts";
import { formatFields } from "./line-logger.ts";

/** A store that does not answer is asked again many times at once; a person needs to hear it now and then. */
const retryMessageEveryMs = 5000;

/** Prints warnings and errors, one line each: `Warning: ltx.skipped key=ltx/0/notes ...`. */
export function createMessageLogger({ inform, isTerminal }: CliContext, clock: Clock): Logger {
  let retryShownMs = -Infinity;
  // A progress bar may stand on the line; it draws itself again below.
  const clearLine = isTerminal ? "\r\u001B[K" : "";
  return {
    log: (level, event, fields) => {
      if (level !== "warn" && level !== "error") return;
      if (event === "store.retry") {
        const nowMs = clock.monotonicMs();
        if (nowMs - retryShownMs < retryMessageEveryMs) return;
        retryShownMs = nowMs;
        inform(`${clearLine}Warning: ${String(fields?.["error"])}; trying again\n`);
        return;
      }
      inform(
        `${clearLine}${level === "warn" ? "Warning" : "Error"}: ${event}${formatFields(fields)}\n`,
      );
    },
  };
}
