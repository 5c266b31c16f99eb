// What a database is called where a path does not fit, as in an address: its file name without the ending of a database. Where
// several have that name, each has a longer one, which is the same whatever other databases come and go.
import { createHash } from "node:crypto";
import { basename } from "node:path";

/** `app` for `/srv/app.db`. */
function shortName(path: string): string {
  const name = basename(path);
  return name.replace(/(?<=.)\.(?:db3?|sqlite3?)$/iu, "");
}

/** `app-2f1c9a04` for `/srv/app.db`: of its path alone. */
function longName(path: string): string {
  const digest = createHash("sha256").update(path).digest("hex");
  return `${shortName(path)}-${digest.slice(0, 8)}`;
}

/** The short name if no other of the paths has it, else the long one. Both always lead to the database, see `findByName`. */
export function databaseName(path: string, paths: readonly string[]): string {
  const short = shortName(path);
  const isTaken = paths.some((other) => other !== path && shortName(other) === short);
  return isTaken ? longName(path) : short;
}

/** All databases of this short or long name: several only for a short one. */
export function findByName<T extends { readonly path: string }>(
  name: string,
  databases: readonly T[],
): readonly T[] {
  return databases.filter(({ path }) => {
    const short = shortName(path);
    return short === name || (name.startsWith(`${short}-`) && longName(path) === name);
  });
}
