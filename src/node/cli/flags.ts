// Flags as Go programs, and so Litestream, take them: `-name` equals `--name`, a value follows after `=` or as the next
// argument, a boolean takes a value only after `=`. Commander reads `-once` as `-o nce`, so known names are
// rewritten to `--name=value` before it parses.
import type { Command } from "commander";
import { HeadwaterError } from "../../core/base/errors.ts";

interface Flag {
  readonly long: string;
  readonly takesValue: boolean;
}

/**
 * The arguments with every known flag of `command` in the one form that commander cannot misread. Values are taken as
 * they are, whatever they look like; `--` ends the flags. Throws `usage/invalid` for a boolean with another value.
 */
export function normalizeFlags(command: Command, argv: readonly string[]): readonly string[] {
  const flagByName = flagsOf(command);
  const normalized: string[] = [];
  for (let at = 0; at < argv.length; at++) {
    const argument = argv[at] ?? "";
    if (argument === "--") return [...normalized, ...argv.slice(at)];
    const match = /^--?(?<name>[^-=][^=]*)(?<assigned>=(?<value>[\s\S]*))?$/u.exec(
      argument,
    )?.groups;
    const flag = flagByName.get(match?.["name"] ?? "");
    if (match === undefined || flag === undefined) {
      normalized.push(argument);
    } else if (!flag.takesValue) {
      const value = match["assigned"] === undefined ? "true" : (match["value"] ?? "");
      if (parseBoolean(flag.long, value)) normalized.push(`--${flag.long}`);
    } else if (match["assigned"] !== undefined) {
      normalized.push(`--${flag.long}=${match["value"] ?? ""}`);
    } else if (at + 1 < argv.length) {
      at++;
      normalized.push(`--${flag.long}=${argv[at] ?? ""}`);
    } else {
      normalized.push(`--${flag.long}`);
    }
  }
  return normalized;
}

/** True if one of the arguments asks for help and is not the value of a flag. */
export function asksForHelp(command: Command, argv: readonly string[]): boolean {
  const normalized = normalizeFlags(command, argv);
  const end = normalized.indexOf("--");
  const flags = end < 0 ? normalized : normalized.slice(0, end);
  return flags.some((argument) => isHelpFlag(argument));
}

/** `-h`, `-help` and their two-dash forms. */
export function isHelpFlag(argument: string): boolean {
  return /^--?(?:h|help)$/u.test(argument);
}

function flagsOf(command: Command): ReadonlyMap<string, Flag> {
  const flagByName = new Map<string, Flag>();
  for (const { long, short, required, optional } of command.options) {
    const name = long?.replace(/^--/u, "");
    if (name === undefined) continue;
    const flag = { long: name, takesValue: required || optional };
    flagByName.set(name, flag);
    if (short !== undefined) flagByName.set(short.replace(/^-/u, ""), flag);
  }
  return flagByName;
}

function parseBoolean(name: string, value: string): boolean {
  if (/^(?:1|t|true)$/iu.test(value)) return true;
  if (/^(?:0|f|false)$/iu.test(value)) return false;
  throw new HeadwaterError(
    "usage/invalid",
    `-${name} is a switch: give it alone, or as -${name}=true or -${name}=false, not ${JSON.stringify(value)}.`,
  );
}
