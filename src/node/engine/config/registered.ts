// A database that is registered while Headwater runs: an entry of the file that nobody has written there.
import { HeadwaterError } from "../../../core/base/errors.ts";
import type { Environment } from "../../store/s3-settings.ts";
import { toEntry } from "./database-config.ts";
import type { DatabaseConfig } from "./database-config.ts";
import type { ConfigFile } from "./keys.ts";
import { Remarks } from "./mistakes.ts";

/** Its mistakes have no place in a file. */
const nowhere = "registration";

/** Credentials and settings at the top of the file hold for it. Throws `usage/invalid` if the URL cannot be used. */
export function toRegistered(
  path: string,
  replicaUrl: string,
  { file, environment }: { readonly file: ConfigFile; readonly environment: Environment },
): DatabaseConfig {
  const remarks = new Remarks(nowhere, () => ({ line: 1, column: 1 }));
  const entry = { path, replica: { url: replicaUrl } };
  const made = toEntry(entry, { remarks, at: [], environment, file });
  if (made?.kind === "database") return made.database;
  const problems = remarks.mistakes.map(({ message }) => message.replace(/^[^ ]* /u, ""));
  throw new HeadwaterError("usage/invalid", `${path} was not registered: ${problems.join(" ")}`);
}
