// The application of the example: a shop with a SQLite database.
import { DatabaseSync } from "node:sqlite";

const adjectives = ["Amber", "Brisk", "Calm", "Dusty", "Early", "Faded", "Gentle", "Hollow"];
const nouns = [
  "Anchor",
  "Basket",
  "Candle",
  "Drum",
  "Easel",
  "Flute",
  "Globe",
  "Hammock",
  "Inkwell",
];
const cities = ["Bergen", "Cork", "Delft", "Graz", "Lyon", "Porto", "Turku", "Vilnius"];
const firstNames = ["Ada", "Bo", "Cleo", "Dag", "Eva", "Finn", "Ida", "Jon", "Lea", "Mio"];

export class Shop implements Disposable {
  readonly path: string;
  readonly #db: DatabaseSync;
  #state = 7;

  constructor(path: string) {
    this.path = path;
    this.#db = new DatabaseSync(path);
    this.#db.exec(`
      PRAGMA journal_mode = WAL;
      CREATE TABLE customers(id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT NOT NULL);
      CREATE TABLE products(id INTEGER PRIMARY KEY, name TEXT NOT NULL, cents INTEGER NOT NULL, stock INTEGER NOT NULL);
      CREATE TABLE orders(
        id INTEGER PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customers, product INTEGER NOT NULL REFERENCES products,
        pieces INTEGER NOT NULL, placed TEXT NOT NULL, note TEXT NOT NULL
      );
      CREATE INDEX orders_of_customer ON orders(customer);
      BEGIN`);
    const customer = this.#db.prepare("INSERT INTO customers(name, city) VALUES(?, ?)");
    for (let i = 0; i < 2000; i++) {
      customer.run(`${this.#pick(firstNames)} ${this.#pick(nouns)}`, this.#pick(cities));
    }
    const product = this.#db.prepare("INSERT INTO products(name, cents, stock) VALUES(?, ?, ?)");
    for (const adjective of adjectives) {
      for (const noun of nouns)
        product.run(`${adjective} ${noun}`, 500 + this.#below(9500), 90_000);
    }
    this.#db.exec("COMMIT");
    this.sell(60_000);
  }

  /** So many orders, in one transaction. */
  sell(count: number): void {
    const order = this.#db.prepare(
      "INSERT INTO orders(customer, product, pieces, placed, note) VALUES(?, ?, ?, datetime('now'), ?)",
    );
    const stock = this.#db.prepare("UPDATE products SET stock = stock - ? WHERE id = ?");
    this.#db.exec("BEGIN");
    for (let i = 0; i < count; i++) {
      const product = 1 + this.#below(adjectives.length * nouns.length);
      const pieces = 1 + this.#below(4);
      const note = `Parcel ${this.#below(1_000_000)}, to be left with ${this.#pick(firstNames)}`;
      order.run(1 + this.#below(2000), product, pieces, note);
      stock.run(pieces, product);
    }
    this.#db.exec("COMMIT");
  }

  close(): void {
    this.#db.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #pick(words: readonly string[]): string {
    return words[this.#below(words.length)] ?? "";
  }

  /** The same shop each time. */
  #below(limit: number): number {
    this.#state = (this.#state * 48_271) % 2_147_483_647;
    return this.#state % limit;
  }
}
