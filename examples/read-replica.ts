// Query a replica without restoring it: as it is, as it was, and what has changed in between.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { formatTxid, openReplica, replicate } from "headwater";

const directory = await mkdtemp(join(tmpdir(), "headwater-example-"));
const path = join(directory, "app.db");
const replica = `file://${join(directory, "shop")}`;

// The application, and its replication.
const app = new DatabaseSync(path);
app.exec("PRAGMA journal_mode=WAL; CREATE TABLE orders(id INTEGER PRIMARY KEY, state TEXT)");
await using replication = await replicate({ path, replica });
app.exec("INSERT INTO orders VALUES(1, 'new'), (2, 'new')");
const { txid: before } = await replication.sync();

// Somewhere else: nothing is downloaded but the pages that a query reads.
await using db = await openReplica(replica);
for await (const order of db.query("SELECT * FROM orders WHERE id = ?", [2])) console.log(order);

app.exec("UPDATE orders SET state = 'paid' WHERE id = 2; INSERT INTO orders VALUES(3, 'new')");
await replication.sync();
await db.refresh();

// Two moments in one statement.
await Array.fromAsync(db.query(`ATTACH 'file:shop?txid=${formatTxid(before)}' AS past`));
const changed = await Array.fromAsync(
  db.query(`
    SELECT id, was.state AS was, now.state AS now
    FROM main.orders AS now LEFT JOIN past.orders AS was USING (id)
    WHERE was.state IS NOT now.state ORDER BY id`),
);
console.log(changed);

app.close();
await rm(directory, { recursive: true });
const expected = [
  { id: 2, was: "new", now: "paid" },
  { id: 3, was: null, now: "new" },
];
if (JSON.stringify(changed) !== JSON.stringify(expected)) process.exitCode = 1;
