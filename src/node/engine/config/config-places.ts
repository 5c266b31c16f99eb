// Where a configuration file is looked for. Apart from the reader, so that a command without a file does not load it.
import { existsSync } from "node:fs";
import type { Environment } from "../../store/s3-settings.ts";

/** If no file is named: variables of the environment, then these. */
const variables = ["HEADWATER_CONFIG", "LITESTREAM_CONFIG"] as const;
const places = ["/etc/headwater.yml", "/etc/litestream.yml"] as const;

/** The configuration file of this machine, or `undefined` if it has none. */
export function defaultConfigPath(environment: Environment): string | undefined {
  const named = variables.map((name) => environment[name] ?? "").find((path) => path !== "");
  return named ?? places.find((path) => existsSync(path));
}

/** Where `defaultConfigPath` looks, for a message. */
export const configPlaces = [...variables.map((name) => `$${name}`), ...places].join(", ");

/** Where the control socket is if nobody says otherwise: where Litestream's is. */
export const defaultSocketPath = "/var/run/litestream.sock";
