// The page: opens the replica, runs SQL on it, goes to other moments. All of Headwater in it is `openReplica` and `query`.
import {
  type LogFields,
  type OpenReplicaOptions,
  type SqlRow,
  openReplica,
  toTxid,
} from "headwater/vfs";

type Replica = Awaited<ReturnType<typeof openReplica>>;

const queries = {
  "Orders by city": `SELECT city, count(*) AS orders, sum(pieces * cents) / 100 AS turnover
FROM orders JOIN customers c ON c.id = customer JOIN products p ON p.id = product
GROUP BY city ORDER BY turnover DESC`,
  "One customer":
    "SELECT orders.*, products.name FROM orders JOIN products ON products.id = product\nWHERE customer = 77",
  "The newest orders": "SELECT id, placed, pieces, note FROM orders ORDER BY id DESC LIMIT 12",
  "Best sellers": "SELECT name, 90000 - stock AS sold FROM products ORDER BY sold DESC LIMIT 12",
  "What changed since TXID 5": `ATTACH 'file:replica?txid=0000000000000005' AS past;
SELECT p.name, was.stock AS was, p.stock AS now FROM past.products was JOIN products p USING (id)
ORDER BY was.stock - p.stock DESC LIMIT 12; DETACH past`,
};

const page = {
  status: element("status", HTMLElement),
  openTime: element("open-time", HTMLElement),
  firstTime: element("first-time", HTMLElement),
  requests: element("requests", HTMLElement),
  bytes: element("bytes", HTMLElement),
  databaseSize: element("database-size", HTMLElement),
  moment: element("moment", HTMLElement),
  slider: element("slider", HTMLInputElement),
  mode: element("mode", HTMLSelectElement),
  follow: element("follow", HTMLInputElement),
  hydrate: element("hydrate", HTMLButtonElement),
  progress: element("progress", HTMLProgressElement),
  chips: element("chips", HTMLElement),
  sql: element("sql", HTMLTextAreaElement),
  run: element("run", HTMLButtonElement),
  took: element("took", HTMLElement),
  error: element("error", HTMLElement),
  rows: element("rows", HTMLTableElement),
};

/** Where a primary pushes what is new, if the page's address says so: `?push=http://127.0.0.1:9090/databases/shop`. */
const push = new URLSearchParams(location.search).get("push") ?? undefined;

let replica: Replica | undefined;
let isHydrated = false;
let isLive = false;
/** Traffic when the page was loaded. */
const before = await traffic();

async function open(): Promise<void> {
  page.status.textContent = "opening";
  isLive = false;
  await replica?.[Symbol.asyncDispose]();
  const { slider, mode, follow } = page;
  const isNow = slider.value === slider.max;
  const startedMs = performance.now();
  replica = await openReplica("replica/", {
    mode: mode.value as OpenReplicaOptions["mode"],
    waSqlite: async () => {
      const { default: load } = await import("@journeyapps/wa-sqlite/dist/wa-sqlite-jspi.mjs");
      return load();
    },
    ...(isNow
      ? { follow: follow.checked, push: follow.checked ? push : undefined }
      : { txid: toTxid(BigInt(slider.value)) }),
    hydrate: isHydrated ? "opfs" : undefined,
    logger: { log: (_level, event, fields = {}) => onEvent(event, fields) },
  });
  const openedMs = performance.now();
  const [size] = await Array.fromAsync(
    replica.query(
      "SELECT page_count * page_size AS bytes FROM pragma_page_count, pragma_page_size",
    ),
  );
  page.openTime.textContent = inMs(openedMs - startedMs);
  page.firstTime.textContent = inMs(performance.now() - openedMs);
  page.databaseSize.textContent = inBytes(Number(size?.["bytes"]));
  if (isNow) {
    slider.max = String(replica.txid);
    slider.value = slider.max;
  }
  showState();
}

async function run(): Promise<void> {
  if (replica === undefined) return;
  page.run.disabled = true;
  page.error.hidden = true;
  const startedMs = performance.now();
  const already = await traffic();
  try {
    let columns: readonly string[] = [];
    let rows: SqlRow[string][][] = [];
    for await (const batch of replica.batches(page.sql.value)) {
      if (batch.columns.length === 0) continue;
      if (batch.columns !== columns) rows = [];
      columns = batch.columns;
      rows.push(...batch.rows.map((row) => [...row]));
    }
    const tookMs = performance.now() - startedMs;
    const { requests, bytes } = await traffic();
    page.took.textContent =
      `${rows.length} rows in ${inMs(tookMs)}, ${requests - already.requests} requests, ` +
      inBytes(bytes - already.bytes);
    show(columns, rows.slice(0, 500));
  } catch (error) {
    page.error.textContent = error instanceof Error ? error.message : String(error);
    page.error.hidden = false;
    show([], []);
  } finally {
    page.run.disabled = false;
    showState();
  }
}

function onEvent(event: string, fields: LogFields): void {
  if (event === "replica.hydrating") {
    page.progress.hidden = false;
    page.progress.max = Number(fields["totalBytes"]);
    page.progress.value = Number(fields["readBytes"]);
  } else if (event === "replica.hydrated") {
    page.progress.hidden = true;
    page.hydrate.textContent = "A copy is here";
  } else if (event.startsWith("push.")) {
    // The primary tells whatever is new, or only the store does.
    isLive = event === "push.live";
    showState();
  }
}

/** What the replica shows at the moment, and what it took so far. */
function showState(): void {
  if (replica === undefined) return;
  const at = new Date(replica.timestampMs).toLocaleTimeString();
  page.status.textContent = `TXID ${Number(replica.txid)}, ${at}${isLive ? ", pushed" : ""}`;
  const isNow = page.slider.value === page.slider.max;
  page.moment.textContent = isNow ? "now" : `TXID ${page.slider.value}, ${at}`;
  void showTraffic();
}

async function showTraffic(): Promise<void> {
  const { requests, bytes } = await traffic();
  page.requests.textContent = String(requests - before.requests);
  page.bytes.textContent = inBytes(bytes - before.bytes);
}

function show(columns: readonly string[], rows: readonly SqlRow[string][][]): void {
  const head = document.createElement("tr");
  head.append(...columns.map((name, column) => cell("th", name, classOf(rows[0]?.[column]))));
  const body = rows.map((values) => {
    const row = document.createElement("tr");
    row.append(...values.map((value) => cell("td", textOf(value), classOf(value))));
    return row;
  });
  page.rows.replaceChildren(head, ...body);
}

function cell(tag: "td" | "th", text: string, className: string): HTMLElement {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
}

function classOf(value: SqlRow[string] | undefined): string {
  return typeof value === "number" || typeof value === "bigint" ? "number" : "";
}

function textOf(value: SqlRow[string] | undefined): string {
  if (value === null || value === undefined) return "";
  return value instanceof Uint8Array ? `${value.length} bytes` : String(value);
}

async function traffic(): Promise<{ readonly requests: number; readonly bytes: number }> {
  return (await fetch("traffic")).json();
}

function inMs(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

function inBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1e6 ? `${Math.round(bytes / 1000)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function element<Kind extends HTMLElement>(id: string, kind: new () => Kind): Kind {
  const found = document.querySelector(`#${id}`);
  if (found instanceof kind) return found;
  throw new Error(`the page has no ${id}`);
}

/** One after the other: what is opened is run on before it makes way for the next. */
let turn = Promise.resolve();
function openAndRun(): Promise<void> {
  turn = turn.then(openThenRun);
  return turn;
}

async function openThenRun(): Promise<void> {
  try {
    await open();
    await run();
  } catch (error) {
    page.status.textContent = "cannot be opened";
    page.error.textContent = error instanceof Error ? error.message : String(error);
    page.error.hidden = false;
  }
}

for (const [name, sql] of Object.entries(queries)) {
  const chip = document.createElement("button");
  chip.type = "button";
  chip.textContent = name;
  chip.addEventListener("click", () => {
    page.sql.value = sql;
    turn = turn.then(run);
  });
  page.chips.append(chip);
}
page.sql.value = queries["Orders by city"];
page.run.addEventListener("click", () => {
  turn = turn.then(run);
});
page.sql.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) turn = turn.then(run);
});
for (const control of [page.slider, page.mode, page.follow]) {
  control.addEventListener("change", () => void openAndRun());
}
page.slider.addEventListener("input", () => {
  page.moment.textContent = `TXID ${page.slider.value}`;
});
page.hydrate.addEventListener("click", () => {
  isHydrated = true;
  page.hydrate.disabled = true;
  void openAndRun();
});
setInterval(() => {
  // A follower moves on by itself.
  const isNow = page.slider.value === page.slider.max;
  if (isNow && replica !== undefined && page.slider.max !== String(replica.txid)) {
    page.slider.max = String(replica.txid);
    page.slider.value = page.slider.max;
    showState();
  }
}, 100);
await openAndRun();
document.documentElement.dataset["ready"] = "true";
