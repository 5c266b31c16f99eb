// Holds docs/litestream-parity.md to what the program does: every row of its tables is tried.
import { rmSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { defaultConfigPath } from "../src/node/engine/config/config-places.ts";
import { logLevelOf } from "../src/node/cli/replicate-steps.ts";
import { toS3Settings } from "../src/node/store/s3-settings.ts";
import { mistakesOf, readConfigText, warningsOf } from "./support/config-file.ts";
import { Daemon, runCommand } from "./support/daemon.ts";
import { repositoryText } from "./support/repository.ts";
import { Scene } from "./support/scene.ts";
import { temporaryDirectory } from "./support/temporary.ts";

type Row = readonly string[];

const document = repositoryText("docs/litestream-parity.md");

/** The rows of the table under a heading, their cells without back quotes. */
function rowsOf(heading: string): readonly Row[] {
  const section = document.split("\n## ").find((part) => part.startsWith(heading)) ?? "";
  const lines = section.split("\n").filter((line) => line.startsWith("|"));
  return lines
    .slice(2)
    .map((line) => line.split("|").slice(1, -1))
    .map((cells) => cells.map((cell) => cell.trim().replace(/^`(?<text>.*)`$/u, "$<text>")));
}

/** `name` to what the table says of it. */
function verdictsOf(heading: string): readonly (readonly [string, string])[] {
  const rows = rowsOf(heading);
  if (rows.length < 5) throw new Error(`the table ${heading} was not found`);
  return rows.map(([name = "", verdict = ""]) => [name, verdict] as const);
}

test("every verdict is one of those that the page explains", () => {
  const known = new Set(["same", "no effect", "different", "refused", "absent"]);
  const verdicts = [
    ...["Commands", "Environment", "Fields", "Control", "Metrics", "MCP"].flatMap((heading) =>
      rowsOf(heading).map((row) => row[1]),
    ),
    ...rowsOf("Configuration").map((row) => row[2]),
  ];
  expect(verdicts.length).toBeGreaterThan(200);
  expect(verdicts.filter((verdict) => !known.has(verdict ?? ""))).toEqual([]);
});

describe("commands and flags", () => {
  const rows = verdictsOf("Commands");
  const names = [...new Set(rows.map(([name]) => name.split(" ")[0] ?? ""))];

  test.each(names)("of %s", async (command) => {
    const { code, stdout } = await runCommand(command, "-help");
    expect(code).toBe(0);
    const ofCommand = rows.filter(([name]) => name.split(" ")[0] === command);
    const wrong = ofCommand.filter(([name, verdict]) => {
      const flag = name.split(" -")[1];
      if (flag === undefined) return verdict === "absent";
      const isThere = new RegExp(`(?:^|[\\s,])--?${flag}(?=[\\s,])`, "mu").test(stdout);
      return isThere !== (verdict !== "absent");
    });
    expect(wrong).toEqual([]);
  });
});

describe("configuration keys", () => {
  test.each(rowsOf("Configuration"))("%s: %s is %s", (name, example, verdict) => {
    using directory = temporaryDirectory();
    const keyFile = directory.file("key");
    writeFileSync(keyFile, sseKey);
    const text = fileWith(name, example === "/etc/sse.key" ? keyFile : example);
    const key = name.replace("[]", "[0]");
    const remarks = [...mistakesOf(text)];
    const isRefused = remarks.some((line) => line.includes(key) && line.includes("is refused"));
    expect(isRefused).toBe(verdict === "refused");
    if (verdict === "refused") return;
    expect(remarks).toEqual([]);
    const warned = warningsOf(readConfigText(text)).filter((line) =>
      line.includes(`${key} has no`),
    );
    expect(warned.length > 0).toBe(verdict === "no effect");
  });
});

/** A sound file in which the key has this value. */
function fileWith(name: string, example: string): string {
  const value = /^[[{]/u.test(example) ? example : JSON.stringify(example);
  const plain = /^(?:true|false|-?\d+)$/u.test(example) ? example : value;
  const nested = (path: string): string => {
    const [first = "", second] = path.split(".");
    return second === undefined ? `${first}: ${plain}` : `${first}: {${second}: ${plain}}`;
  };
  const replicaKey = /^dbs\[\]\.replica\.(?<key>.*)$/u.exec(name)?.groups?.["key"];
  const databaseKey = /^dbs\[\]\.(?<key>.*)$/u.exec(name)?.groups?.["key"];
  if (replicaKey !== undefined)
    return `dbs: [{path: /a.db, replica: {${replicaWith(replicaKey, plain)}}}]\n`;
  if (databaseKey !== undefined)
    return `dbs: [{${databaseWith(databaseKey, nested(databaseKey))}}]\n`;
  return `${nested(name)}\ndbs: [{path: /a.db, replica: {path: /r}}]\n`;
}

function databaseWith(key: string, entry: string): string {
  const isOfDirectory = ["dir", "pattern", "recursive", "watch", "meta-dir"].includes(key);
  const place = isOfDirectory
    ? [
        ["dir", "dir: /d"],
        ["pattern", "pattern: '*.db'"],
        ["watch", "watch: true"],
      ]
    : [["path", "path: /a.db"]];
  const others = place.filter(([name]) => name !== key).map(([, text]) => text);
  const replica = key === "replicas" ? [] : ["replica: {path: /r}"];
  return [...others, entry, ...replica].join(", ");
}

const sseKey = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

/** What else a replica needs so that the key makes sense. */
const companions: Readonly<Record<string, string>> = {
  url: "",
  path: "",
  "access-key-id": "url: s3://b/p, secret-access-key: sk",
  "secret-access-key": "url: s3://b/p, access-key-id: AK",
  bucket: "type: s3, path: p",
  host: "path: /r",
  "webdav-url": "path: /r",
  "sse-customer-key": "url: 's3://b/p?endpoint=https://example.com'",
  "sse-customer-key-path": "url: 's3://b/p?endpoint=https://example.com'",
  "sse-customer-algorithm": `url: 's3://b/p?endpoint=https://example.com', sse-customer-key: ${sseKey}`,
};

function replicaWith(key: string, value: string): string {
  const companion = companions[key] ?? (key === "type" ? "path: /r" : "url: s3://b/p");
  return [companion, `${key}: ${value}`].filter((part) => part !== "").join(", ");
}

function settings(environment: Record<string, string>): ReturnType<typeof toS3Settings> {
  return toS3Settings("s3://bucket/path", environment);
}

describe("environment variables", () => {
  const tries: Readonly<Record<string, () => void>> = {
    LITESTREAM_CONFIG: () =>
      expect(defaultConfigPath({ LITESTREAM_CONFIG: "/x.yml" })).toBe("/x.yml"),
    LOG_LEVEL: () => expect(logLevelOf({}, { LOG_LEVEL: "WARN" })).toBe("warn"),
    LITESTREAM_ACCESS_KEY_ID: () =>
      expect(
        settings({ LITESTREAM_ACCESS_KEY_ID: "id", LITESTREAM_SECRET_ACCESS_KEY: "key" })
          .credentials,
      ).toMatchObject({ accessKeyId: "id" }),
    LITESTREAM_SECRET_ACCESS_KEY: () =>
      expect(
        settings({ LITESTREAM_ACCESS_KEY_ID: "id", LITESTREAM_SECRET_ACCESS_KEY: "key" })
          .credentials,
      ).toMatchObject({ secretAccessKey: "key" }),
    LITESTREAM_S3_ENDPOINT: () =>
      expect(settings({ LITESTREAM_S3_ENDPOINT: "https://x.example" }).endpoint).toContain(
        "x.example",
      ),
  };

  test.each(verdictsOf("Environment"))("%s is %s", (name, verdict) => {
    expect(tries[name] !== undefined).toBe(verdict !== "absent");
    tries[name]?.();
  });
});

describe("what a running Headwater answers", () => {
  let scene: Scene;
  let daemon: Daemon;
  const outputs = new Map<string, string>();

  beforeAll(async () => {
    scene = await Scene.open();
    daemon = await Daemon.of(scene, 'addr: "127.0.0.1:0"\nmcp-addr: "127.0.0.1:0"\n').ready();
    const other = scene.directory.file("other.db");
    const output = scene.directory.file("restored.db");
    const run = async (name: string, ...args: readonly string[]): Promise<void> => {
      const [command = "", ...flags] = name.split(" ");
      const { code, stdout, stderr } = await daemon.command(command, ...flags, "-json", ...args);
      expect({ name, code, stderr }).toEqual({ name, code: 0, stderr: expect.any(String) });
      outputs.set(name, stdout);
    };
    await run("sync -wait", scene.path);
    await run("sync", scene.path);
    await run("databases");
    await run("status", scene.path);
    await run("ltx", scene.path);
    await run("restore -dry-run", "-o", output, scene.path);
    await run("restore", "-o", output, scene.path);
    await run("stop", scene.path);
    await run("start", scene.path);
    await run("register", "-replica", scene.directory.url("other"), other);
    await run("unregister", other);
    await run("list");
    await run("info");
    rmSync(output);
  });

  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    await scene[Symbol.asyncDispose]();
  });

  test.each(verdictsOf("Fields"))("%s is %s", (name) => {
    const [, command = "", field = ""] = /^(?<command>.*) (?<field>\S+)$/u.exec(name) ?? [];
    const parsed: unknown = JSON.parse(outputs.get(command) ?? "{}");
    const record: unknown = Array.isArray(parsed) ? parsed[0] : parsed;
    expect(record).toHaveProperty(field);
  });

  test.each(verdictsOf("Control"))("%s is %s", async (name, verdict) => {
    const [method = "", path = ""] = name.split(" ");
    const body = { path: scene.path, replica_url: scene.replica };
    const query = method === "GET" ? `?path=${encodeURIComponent(scene.path)}` : "";
    const { status } = await daemon.ask(
      method,
      `${path}${query}`,
      method === "GET" ? undefined : body,
    );
    expect(status).toBe(verdict === "absent" ? 404 : 200);
    if (path === "/unregister" || path === "/stop")
      await daemon.ask("POST", path === "/stop" ? "/start" : "/register", body);
  });

  test.each(verdictsOf("Metrics"))("%s is %s", async (name) => {
    const line = await daemon.event("metrics.listening");
    const address = /address=(?<address>\S+)/u.exec(line)?.groups?.["address"] ?? "";
    const body = await (await fetch(`${address}/metrics`)).text();
    expect(body).toContain(`# TYPE ${name} `);
  });

  test.each(verdictsOf("MCP"))("%s is %s", async (name) => {
    const line = await daemon.event("mcp.listening");
    const address = /address=(?<address>\S+)/u.exec(line)?.groups?.["address"] ?? "";
    const response = await fetch(address, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        accept: "application/json, text/event-stream",
      },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list", params: {} }),
    });
    expect(await response.text()).toContain(`"name":"${name}"`);
  });
});
