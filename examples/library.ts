// Replicate a database from a program, and restore it: the newest state, and the state at a TXID.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { replicate, restore } from "headwater";

const directory = await mkdtemp(join(tmpdir(), "headwater-example-"));
const path = join(directory, "app.db");
const replica = `file://${join(directory, "replica")}`;

// The application: any driver, any process.
const app = new DatabaseSync(path);
app.exec("PRAGMA journal_mode=WAL; CREATE TABLE notes(text TEXT)");
const add = app.prepare("INSERT INTO notes VALUES(?)");
const notesIn = (file: string): unknown[] => {
  using db = new DatabaseSync(file);
  return db
    .prepare("SELECT text FROM notes ORDER BY rowid")
    .all()
    .map((row) => row["text"]);
};

{
  await using replication = await replicate({ path, replica });
  add.run("first");
  // Resolves when every commit so far is in the replica.
  const { txid } = await replication.sync();
  add.run("second");
  await replication.sync();

  await restore({ replica, output: join(directory, "newest.db") });
  await restore({ replica, output: join(directory, "earlier.db"), txid });
}
app.close();

const newest = notesIn(join(directory, "newest.db"));
const earlier = notesIn(join(directory, "earlier.db"));
console.log({ newest, earlier });
await rm(directory, { recursive: true });
if (newest.join() !== "first,second" || earlier.join() !== "first") process.exitCode = 1;
