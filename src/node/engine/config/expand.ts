// Variables of the environment in the text of a configuration file, by the rules of Go's `os.Expand`, which is what
// Litestream's files were written for: also in comments and quotes, and without an escape. Only a `$` before a digit
// stays: no variable has such a name, and `$1/month` is a price.
import type { Environment } from "../../store/s3-settings.ts";

const reference =
  /\$(?:\{(?<braced>[^}]*)\}|(?<bare>[A-Za-z_]\w*)|(?<special>[*#$@!?-])|(?<open>\{))/gu;

/** Replaces `$NAME` and `${NAME}`; what is not set becomes empty, `PID` is `processId`, a `$` before anything else stays. */
export function expandVariables(text: string, environment: Environment, processId: number): string {
  return text.replaceAll(reference, (...match) => {
    const groups: unknown = match.at(-1);
    const name = nameIn(groups, "braced") ?? nameIn(groups, "bare") ?? "";
    return name === "PID" ? String(processId) : (environment[name] ?? "");
  });
}

function nameIn(groups: unknown, group: string): string | undefined {
  if (typeof groups !== "object" || groups === null) return undefined;
  const name: unknown = Reflect.get(groups, group);
  return typeof name === "string" ? name : undefined;
}
