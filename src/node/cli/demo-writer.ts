// The application of the demo: a small shop that writes hundreds of transactions a second through a connection of its
// own, in a process of its own. Told `pause` and `resume` by its parent; says how much it has committed.
import { DatabaseSync } from "node:sqlite";

const path = process.argv[2] ?? "";
const commitsPerTick = 4;
const tickMs = 10;

const db = new DatabaseSync(path, { timeout: 5_000 });
db.exec(`
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = NORMAL;
  CREATE TABLE customers(id INTEGER PRIMARY KEY, name TEXT NOT NULL, balance_cents INTEGER NOT NULL);
  CREATE TABLE orders(id INTEGER PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customers, placed_at TEXT NOT NULL,
    note TEXT);
  CREATE INDEX orders_by_customer ON orders(customer);
  CREATE TABLE items(order_id INTEGER NOT NULL, line INTEGER NOT NULL, product TEXT NOT NULL, cents INTEGER NOT NULL,
    PRIMARY KEY(order_id, line)) WITHOUT ROWID;
`);
const addCustomer = db.prepare("INSERT INTO customers(name, balance_cents) VALUES(?, 100000)");
const charge = db.prepare("UPDATE customers SET balance_cents = balance_cents - ? WHERE id = ?");
const addOrder = db.prepare("INSERT INTO orders(customer, placed_at, note) VALUES(?, ?, ?)");
const addItem = db.prepare("INSERT INTO items VALUES(?, ?, ?, ?)");
const oldest = db.prepare("SELECT min(id) AS id FROM orders WHERE customer = ?");
const cancelItems = db.prepare("DELETE FROM items WHERE order_id = ?");
const cancel = db.prepare("DELETE FROM orders WHERE id = ?");

const customers = 500;
db.exec("BEGIN");
for (let i = 1; i <= customers; i++) addCustomer.run(`customer ${i}`);
db.exec("COMMIT");

let commits = 1;
let isPaused = false;

function placeOrder(): void {
  const customer = 1 + Math.floor(Math.random() * customers);
  db.exec("BEGIN IMMEDIATE");
  const note = "x".repeat(Math.floor(Math.random() * 200));
  const { lastInsertRowid } = addOrder.run(customer, new Date().toISOString(), note);
  const lines = 1 + Math.floor(Math.random() * 4);
  for (let line = 1; line <= lines; line++) {
    const cents = 100 + Math.floor(Math.random() * 9_900);
    addItem.run(lastInsertRowid, line, `product ${Math.floor(Math.random() * 1_000)}`, cents);
    charge.run(cents, customer);
  }
  if (Math.random() < 0.1) {
    const id = Number(oldest.get(customer)?.["id"]);
    cancelItems.run(id);
    cancel.run(id);
  }
  db.exec("COMMIT");
  commits += 1;
}

const timer = setInterval(() => {
  if (isPaused) return;
  for (let i = 0; i < commitsPerTick; i++) placeOrder();
}, tickMs);

process.on("message", (message) => {
  if (message === "pause") isPaused = true;
  if (message === "resume") isPaused = false;
  process.send?.({ commits });
});
// The parent is gone, or done with us.
process.on("disconnect", () => {
  clearInterval(timer);
  db.close();
});
process.send?.({ commits });
