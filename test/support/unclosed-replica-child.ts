// Opens a replica, reads a row and ends without closing anything: nothing may keep the process alive.
import { openReplica } from "../../src/node/vfs/open-replica.ts";

const { replica } = JSON.parse(process.argv[2] ?? "{}") as { readonly replica: string };
const db = await openReplica(replica);
for await (const row of db.query("SELECT count(*) AS n FROM t")) console.log(JSON.stringify(row));
const left = db.query("WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n");
for await (const row of left) {
  console.log(JSON.stringify(row));
  break;
}
