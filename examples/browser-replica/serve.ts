// Serves a page that queries a replica: a small shop that goes on selling is replicated into a folder, and a web server offers
// that folder. Run it after `npm run build` and open the address that it prints. With --push a process of its own replicates the
// shop, and pushes each sale to the page before it is in the folder.
import { createReadStream } from "node:fs";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import { stripTypeScriptTypes } from "node:module";
import { tmpdir } from "node:os";
import { dirname, extname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { replicate } from "headwater";
import { startPrimary } from "./primary.ts";
import { Shop } from "./shop.ts";

/** What is served under which path. The page's import map leads there; a bundler would need none of it. */
const folders = {
  "/headwater/": dirname(fileURLToPath(import.meta.resolve("headwater"))),
  "/sqlite-wasm/": dirname(fileURLToPath(import.meta.resolve("@sqlite.org/sqlite-wasm"))),
  "/wa-sqlite/": dirname(
    fileURLToPath(import.meta.resolve("@journeyapps/wa-sqlite/dist/wa-sqlite-jspi.mjs")),
  ),
  "/": import.meta.dirname,
};

const types: Readonly<Record<string, string>> = {
  ".css": "text/css",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".json": "application/json",
  ".mjs": "text/javascript",
  ".ts": "text/javascript",
  ".wasm": "application/wasm",
};

const directory = await mkdtemp(join(tmpdir(), "headwater-shop-"));
const replica = join(directory, "shop");
const stop = new AbortController();
process.once("SIGINT", () => stop.abort());
process.once("SIGTERM", () => stop.abort());

// The application. It knows nothing of what follows.
const shop = new Shop(join(directory, "shop.db"));

// Its replication, with the manifest by which a browser finds the files, and the newest hours readable step by step.
await using replication = await replicate({
  path: shop.path,
  replica: `file://${replica}`,
  manifest: true,
  l0RetentionMs: 12 * 3_600_000,
});
for (let day = 0; day < 12; day++) {
  shop.sell(400);
  await replication.sync();
}
const isPushed = process.argv.includes("--push");
if (isPushed) await replication[Symbol.asyncDispose]();

/** What the server was asked of the replica: the page shows it. */
const traffic = { requests: 0, bytes: 0 };

const server = createServer((request, response) => {
  answer(request, response).catch(() => response.destroy());
});
await new Promise<void>((resolve) => server.listen(portOf(), "127.0.0.1", resolve));
const listening = server.address();
const port = listening !== null && typeof listening === "object" ? listening.port : 0;
const origin = `http://127.0.0.1:${port}`;
await using primary = isPushed
  ? await startPrimary({ database: shop.path, replica, origin, directory })
  : undefined;
const query = primary === undefined ? "" : `?push=${encodeURIComponent(primary.address)}`;
console.log(`The shop is open: ${origin}/${query}`);

while (!stop.signal.aborted) {
  await sleep(1500, undefined, { signal: stop.signal }).catch(() => undefined);
  shop.sell(1);
}
server.closeAllConnections();
server.close();
shop.close();
await primary?.[Symbol.asyncDispose]();
await rm(directory, { recursive: true });

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname } = new URL(request.url ?? "/", "http://localhost");
  // Such a page may share memory with its workers, which is the fastest way to wait for pages.
  response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
  response.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
  if (pathname === "/traffic") {
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify(traffic));
  } else if (pathname.startsWith("/replica/")) {
    await sendObject(join(replica, pathname.slice("/replica/".length)), request, response);
  } else {
    await sendPagePart(pathname === "/" ? "/index.html" : pathname, response);
  }
}

async function sendPagePart(pathname: string, response: ServerResponse): Promise<void> {
  const [path = "/", folder = ""] =
    Object.entries(folders).find(([start]) => pathname.startsWith(start)) ?? [];
  const file = join(folder, pathname.slice(path.length));
  response.setHeader("Content-Type", types[extname(file)] ?? "application/octet-stream");
  try {
    const bytes = await readFile(file);
    response.end(file.endsWith(".ts") ? stripTypeScriptTypes(bytes.toString()) : bytes);
  } catch {
    response.writeHead(404).end();
  }
}

/** A file of the replica, or a part of it: what any web server and any bucket does. */
async function sendObject(
  path: string,
  { headers }: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  traffic.requests++;
  const info = await stat(path).catch(() => undefined);
  if (info?.isFile() !== true) {
    response.writeHead(404).end();
    return;
  }
  const etag = `"${info.mtimeMs.toString(36)}-${info.size.toString(36)}"`;
  response.setHeader("ETag", etag);
  response.setHeader("Cache-Control", path.endsWith(".json") ? "no-cache" : "max-age=86400");
  if (headers["if-none-match"] === etag) {
    response.writeHead(304).end();
    return;
  }
  const { first, last } =
    /^bytes=(?<first>\d+)-(?<last>\d+)$/u.exec(headers.range ?? "")?.groups ?? {};
  const start = Number(first ?? 0);
  const end = Math.min(info.size - 1, Number(last ?? Infinity));
  traffic.bytes += end - start + 1;
  response.writeHead(first === undefined ? 200 : 206, {
    "Content-Length": end - start + 1,
    ...(first !== undefined && { "Content-Range": `bytes ${start}-${end}/${info.size}` }),
  });
  await pipeline(createReadStream(path, { start, end }), response);
}

function portOf(): number {
  const at = process.argv.indexOf("--port");
  return at < 0 ? 0 : Number(process.argv[at + 1]);
}
