// The MCP server as its clients meet it: JSON-RPC over HTTP to bin/headwater.js.
import { once } from "node:events";
import { existsSync } from "node:fs";
import { request } from "node:http";
import { text } from "node:stream/consumers";
import { describe, expect, test } from "vitest";
import { Daemon } from "../support/daemon.ts";
import { Scene } from "../support/scene.ts";

const token = "a-token-of-the-tests";

interface Tool {
  readonly name: string;
  readonly inputSchema: { readonly properties: Record<string, unknown> };
}

interface McpAnswer {
  readonly status: number;
  readonly text: string;
  readonly isError: boolean;
}

class McpClient {
  readonly #url: URL;
  readonly #headers: Record<string, string>;

  constructor(url: string, headers: Record<string, string> = {}) {
    this.#url = new URL(url);
    this.#headers = headers;
  }

  async send(
    method: string,
    params: unknown,
  ): Promise<{ status: number; result: unknown; body: string }> {
    const headers = {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      ...this.#headers,
    };
    const sent = request(this.#url, { method: "POST", headers });
    sent.end(JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }));
    const [response] = await once(sent, "response");
    const body = await text(response);
    const json = /^data: (?<json>.*)$/mu.exec(body)?.groups?.["json"] ?? body;
    return { status: response.statusCode, result: JSON.parse(json).result, body };
  }

  async call(name: string, given: Record<string, unknown> = {}): Promise<McpAnswer> {
    const { status, result } = await this.send("tools/call", { name, arguments: given });
    const { content, isError = false } = result as {
      content: { text: string }[];
      isError?: boolean;
    };
    return { status, text: content.map((part) => part.text).join(""), isError };
  }
}

async function urlOf(daemon: Daemon): Promise<string> {
  const line = await daemon.event("mcp.listening");
  return /address=(?<url>\S+)/u.exec(line)?.groups?.["url"] ?? "";
}

describe("the MCP server", () => {
  test("has Litestream's tools, and they do what they say", async () => {
    await using scene = await Scene.open();
    await using daemon = await Daemon.of(scene, `mcp-addr: ":0"\nmcp-token: ${token}\n`).ready();
    const url = await urlOf(daemon);
    const { path, directory } = scene;
    await daemon.ask("POST", "/sync", { path, wait: true });
    const client = new McpClient(url, { authorization: `Bearer ${token}` });

    const { result: hello } = await client.send("initialize", {
      protocolVersion: "2025-03-26",
      capabilities: {},
      clientInfo: { name: "test", version: "1" },
    });
    expect(hello).toMatchObject({ serverInfo: { name: "Headwater MCP Server" } });
    const { result } = await client.send("tools/list", {});
    const { tools } = result as { tools: Tool[] };
    const inputs = Object.fromEntries(
      tools.map(({ name, inputSchema }) => [name, Object.keys(inputSchema.properties).toSorted()]),
    );
    expect(inputs).toEqual({
      litestream_version: [],
      litestream_databases: ["config"],
      litestream_status: ["config", "path"],
      litestream_ltx: ["config", "path"],
      litestream_info: ["config"],
      litestream_restore: [
        "config",
        "if_db_not_exists",
        "if_replica_exists",
        "o",
        "parallelism",
        "path",
        "timestamp",
        "txid",
      ],
      litestream_reset: ["config", "path"],
    });

    expect((await client.call("litestream_version")).text).toMatch(/^\d+\.\d+\.\d+\n$/u);
    expect((await client.call("litestream_databases")).text).toContain(`${path}  file`);
    const config = daemon.config;
    expect((await client.call("litestream_status", { path, config })).text).toContain(" ok ");
    expect((await client.call("litestream_ltx", { path })).text).toMatch(/^level +min_txid/u);
    expect((await client.call("litestream_ltx", { path: scene.replica })).text).toMatch(/^9 /mu);
    const report = (await client.call("litestream_info")).text;
    expect(report).toContain(config);
    expect(report).toMatch(/^9 /mu);

    const restored = directory.file("new.db");
    const made = await client.call("litestream_restore", {
      path,
      o: restored,
      if_db_not_exists: true,
      if_replica_exists: true,
      parallelism: "2",
    });
    expect(made.text).toContain(`Restored ${restored}`);
    expect(existsSync(restored)).toBe(true);
    const again = { path, o: restored };
    expect(await client.call("litestream_restore", again)).toMatchObject({
      isError: true,
      text: expect.stringContaining("This tool replaces nothing"),
    });
    expect(
      await client.call("litestream_restore", { ...again, if_db_not_exists: true }),
    ).toMatchObject({ isError: false });
    expect(await client.call("litestream_restore", { path })).toMatchObject({ isError: true });

    expect(await client.call("litestream_reset", { path })).toMatchObject({
      isError: true,
      text: expect.stringContaining("in use by another Headwater"),
    });
    await daemon.ask("POST", "/stop", { path });
    expect((await client.call("litestream_reset", { path })).text).toContain(
      "Deleted the local state",
    );
    expect(scene.staged).toEqual([]);
  });

  test("answers nobody without the token, and reads no other file", async () => {
    await using scene = await Scene.open();
    await using daemon = await Daemon.of(
      scene,
      `mcp-addr: 127.0.0.1:0\nmcp-token: ${token}\n`,
    ).ready();
    const url = await urlOf(daemon);
    for (const authorization of ["", token, "Bearer", `Bearer ${token}x`, `Basic ${token}`]) {
      const client = new McpClient(url, { authorization });
      expect((await client.send("tools/list", {})).status).toBe(401);
    }
    const client = new McpClient(url, { authorization: `bearer ${token}` });
    for (const name of ["databases", "status", "info", "ltx", "restore", "reset"]) {
      const given = { path: scene.path, config: "/etc/passwd" };
      expect(await client.call(`litestream_${name}`, given)).toMatchObject({
        isError: true,
        text: expect.stringContaining("Leave config out"),
      });
    }
    expect(await client.call("litestream_status", { path: "/nowhere.db" })).toMatchObject({
      isError: true,
    });
    expect(await client.call("litestream_ltx", {})).toMatchObject({ isError: true });
  });

  test("without a token it tells about its own databases, to this machine, and changes nothing", async () => {
    await using scene = await Scene.open();
    await using daemon = await Daemon.of(scene, "mcp-addr: localhost:0\n").ready();
    const url = await urlOf(daemon);
    const { path, replica } = scene;
    const client = new McpClient(url);
    expect((await client.call("litestream_ltx", { path })).isError).toBe(false);
    for (const [name, given] of [
      ["restore", { path, o: scene.directory.file("new.db") }],
      ["reset", { path }],
      ["ltx", { path: replica }],
      ["ltx", { path: "/elsewhere.db" }],
    ] as const) {
      expect(await client.call(`litestream_${name}`, given)).toMatchObject({
        isError: true,
        text: expect.stringContaining("set mcp-token"),
      });
    }
    for (const headers of [{ host: "evil.example" }, { origin: "http://evil.example" }]) {
      expect((await new McpClient(url, headers).send("tools/list", {})).status).toBe(403);
    }
    expect((await daemon.child.end("SIGTERM")).code).toBe(0);
  });
});
