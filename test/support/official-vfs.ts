// Litestream itself as the reference in tests: npm `litestream-vfs` is its Go code as an extension of SQLite. Each call
// is a process of its own, because the extension breaks every other connection of the process it is loaded into.
import { fileURLToPath } from "node:url";
import type { Txid } from "../../src/core/ltx/txid.ts";
import { parseTxid } from "../../src/core/ltx/txid.ts";
import { must } from "../../src/core/base/assert.ts";
import { startModule } from "./children.ts";
import { sha256OfFile } from "./live-image.ts";
import { temporaryDirectory } from "./temporary.ts";

export type OfficialRequest =
  | { readonly kind: "hydrate"; readonly replica: string; readonly output: string }
  | { readonly kind: "query"; readonly replica: string; readonly sql: string }
  | { readonly kind: "write"; readonly replica: string; readonly transactions: readonly string[] };

/** Restores the newest state of the replica (a `file://` URL) into `output` with Litestream's plan, merge and decoder. */
export async function officialHydrate(
  replica: string,
  output: string,
): Promise<{ readonly txid: Txid; readonly sha256: string }> {
  const txid = parseTxid(String(await ask({ kind: "hydrate", replica, output })));
  return { txid: must(txid, "TXID"), sha256: await sha256OfFile(output) };
}

/** Runs a query on the newest state of the replica, page by page. */
export async function officialQuery(
  replica: string,
  sql: string,
): Promise<readonly Readonly<Record<string, unknown>>[]> {
  return (await ask({ kind: "query", replica, sql })) as Readonly<Record<string, unknown>>[];
}

/** Writes one LTX file per element, each a transaction of SQL. A new database gets pages of 4096 bytes. */
export async function officialWrite(
  replica: string,
  transactions: readonly string[],
): Promise<void> {
  await ask({ kind: "write", replica, transactions });
}

/** Opening an empty replica blocks the child for ever (known bug): no answer in this time is an error. */
const patienceMs = 45_000;

async function ask(request: OfficialRequest): Promise<unknown> {
  // Every run leaves directories in its temporary folder.
  using scratch = temporaryDirectory();
  const log = scratch.file("litestream.log");
  await using child = startModule(
    fileURLToPath(new URL("official-vfs-child.ts", import.meta.url)),
    request,
    { env: { TMPDIR: scratch.path, LITESTREAM_LOG_FILE: log } },
  );
  const timer = setTimeout(() => child.signal("SIGKILL"), patienceMs);
  try {
    const [line = ""] = await child.success();
    return JSON.parse(line);
  } finally {
    clearTimeout(timer);
  }
}
