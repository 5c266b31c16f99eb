// A database like those of web applications, the same bytes on every machine: users, orders with an index, items
// without rowid, JSON events, prose, session tokens and random blobs, then updates and deletes.
import { statSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";

const schema = `
  CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, email TEXT UNIQUE, bio TEXT, created INTEGER);
  CREATE TABLE orders (id INTEGER PRIMARY KEY, user INTEGER, total REAL, state TEXT, created INTEGER);
  CREATE INDEX orders_by_user ON orders (user, created);
  CREATE TABLE items (orderid INTEGER, line INTEGER, sku TEXT, amount INTEGER, PRIMARY KEY (orderid, line)) WITHOUT ROWID;
  CREATE TABLE events (id INTEGER PRIMARY KEY, body TEXT);
  CREATE TABLE sessions (token BLOB PRIMARY KEY, user INTEGER, seen INTEGER) WITHOUT ROWID;
  CREATE TABLE files (id INTEGER PRIMARY KEY, data BLOB);
`;

const words =
  "the of and to in is that for it was on are as with they at be this from have or by one had not but what all were when we there can an your which their said if do will each about how up out them then she many some so these would other into has more her two like him see time could no make than first been its who now people my made over did down only way find use may water long little very after words called just where most know".split(
    " ",
  );

/** Numbers that repeat for the same seed. */
class Sequence {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 .. 2^32-1. */
  next(): number {
    // mulberry32
    this.#state = (this.#state + 0x6d2b_79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  below(limit: number): number {
    return this.next() % limit;
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.below(256));
  }

  prose(count: number): string {
    return Array.from({ length: count }, () => words[this.below(words.length)]).join(" ");
  }
}

/**
 * Makes a database at `path` (which must not exist) of at least `sizeBytes`, checkpointed and closed, in rollback-journal
 * mode. Takes about 3 s for 100 MB.
 */
export function createSampleDatabase(
  path: string,
  { sizeBytes, pageSize = 4096, seed = 1 }: { sizeBytes: number; pageSize?: number; seed?: number },
): void {
  const db = new DatabaseSync(path);
  try {
    db.exec(`PRAGMA page_size=${pageSize}; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;`);
    db.exec(schema);
    const fill = prepareFill(db, new Sequence(seed));
    for (let batch = 0; statSync(path).size < sizeBytes; batch++) {
      db.exec("BEGIN");
      fill(batch);
      db.exec("COMMIT");
    }
    db.exec(`
      UPDATE orders SET state = 'shipped' WHERE id % 7 = 3;
      DELETE FROM sessions WHERE seen % 5 = 0;
      DELETE FROM events WHERE id % 11 = 4;
      PRAGMA journal_mode=DELETE;
    `);
  } finally {
    db.close();
  }
}

/** Adds about 1 MB per call. */
function prepareFill(db: DatabaseSync, random: Sequence): (batch: number) => void {
  const user = db.prepare("INSERT INTO users VALUES (?, ?, ?, ?, ?)");
  const order = db.prepare("INSERT INTO orders VALUES (?, ?, ?, ?, ?)");
  const item = db.prepare("INSERT INTO items VALUES (?, ?, ?, ?)");
  const event = db.prepare("INSERT INTO events (body) VALUES (?)");
  const session = db.prepare("INSERT INTO sessions VALUES (?, ?, ?)");
  const file = db.prepare("INSERT INTO files (data) VALUES (?)");
  return (batch) => {
    const time = 1_700_000_000 + batch * 60;
    for (let i = 0; i < 400; i++) {
      const id = batch * 400 + i;
      const name = random.prose(2);
      user.run(id, name, `${name.replace(" ", ".")}${id}@example.com`, random.prose(20), time + i);
    }
    for (let i = 0; i < 1500; i++) {
      const id = batch * 1500 + i;
      const owner = random.below((batch + 1) * 400);
      order.run(id, owner, random.below(100_000) / 100, "paid", time + i);
      for (let line = 0; line < 3; line++) {
        item.run(id, line, `SKU-${random.below(5000)}`, 1 + random.below(9));
      }
      const body = {
        type: "order.paid",
        order: id,
        user: owner,
        at: time + i,
        note: random.prose(8),
      };
      event.run(JSON.stringify(body));
    }
    for (let i = 0; i < 200; i++) session.run(random.bytes(32), random.below(9999), time + i);
    for (let i = 0; i < 6; i++) file.run(random.bytes(2000 + random.below(20_000)));
  };
}
