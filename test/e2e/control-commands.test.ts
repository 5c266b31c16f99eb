// The commands that talk to a running Headwater, and reset, each in a process of its own.
import { chmodSync, existsSync, linkSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { startModule } from "../support/children.ts";
import { Daemon, runCommand } from "../support/daemon.ts";
import { Scene } from "../support/scene.ts";
import { temporaryDirectory } from "../support/temporary.ts";

async function fails(pattern: RegExp, ...args: readonly string[]): Promise<void> {
  const { code, stdout, stderr } = await runCommand(...args);
  expect([args, code, stdout]).toEqual([args, 1, ""]);
  expect(stderr).toMatch(pattern);
}

describe("the commands", () => {
  test("print what was done, for people and as JSON", async () => {
    await using scene = await Scene.open();
    await using daemon = await Daemon.of(scene).ready();
    const { path, directory } = scene;
    const { socket } = daemon;
    const text = async (...args: readonly [string, ...string[]]): Promise<string> => {
      const { code, stdout, stderr } = await daemon.command(...args);
      expect([args, code, stderr]).toEqual([args, 0, ""]);
      return stdout;
    };
    const json = async (name: string, ...args: readonly string[]): Promise<unknown> =>
      JSON.parse(await text(name, "-json", ...args));

    expect(await text("sync", "-wait", path)).toMatch(
      new RegExp(
        `^status: .+\\ndb_path: ${path}\\ntxid: \\d+\\nreplica_txid: \\d+\\nduration_ms: \\d+$`,
        "u",
      ),
    );
    expect(await json("sync", path)).toEqual({
      status: "no_change",
      db_path: path,
      txid: expect.any(Number),
      duration_ms: expect.any(Number),
    });
    expect(await text("stop", path)).toMatch(
      new RegExp(
        `^status: stopped\\ndb_path: ${path}\\nstate: stopped\\ntxid: \\d+\\nsocket: ${socket}$`,
        "u",
      ),
    );
    expect(await text("list")).toMatch(
      new RegExp(`^${path} \\[stopped\\] \\(last sync: never\\)$`, "u"),
    );
    expect(await json("start", path)).toEqual({
      status: "started",
      db_path: path,
      state: "running",
      txid: expect.any(Number),
      socket,
    });
    const other = directory.file("other.db");
    const replica = directory.url("other");
    expect(await text("register", "-replica", replica, other)).toBe(
      `status: registered\ndb_path: ${other}\nreplica: ${replica}\nsocket: ${socket}`,
    );
    expect(await text("register", "-replica", replica, other)).toContain(
      "status: already registered\n",
    );
    expect(await json("list")).toEqual({
      databases: [
        expect.objectContaining({ path, status: "replicating" }),
        { path: other, status: "open" },
      ],
    });
    expect(await text("unregister", "-dry-run", other)).toContain("status: would unregister\n");
    expect(await json("unregister", other)).toEqual({
      status: "unregistered",
      db_path: other,
      final_txid: 0,
      socket,
    });
    expect(await text("info")).toContain(`pid: ${daemon.child.pid}\n`);
    expect(await json("info")).toMatchObject({ pid: daemon.child.pid, database_count: 1 });
  });

  test("say what is wrong", async () => {
    await using scene = await Scene.open();
    await using daemon = await Daemon.of(scene).ready();
    const { directory, path } = scene;
    const at = ["-socket", daemon.socket];
    await fails(/not among the databases/u, "start", ...at, "/nowhere.db");
    await fails(/must be a whole number of at least 1/u, "list", ...at, "-timeout", "0");
    await fails(/Say where to replicate to/u, "register", ...at, path);
    await fails(/missing required argument/u, "stop", ...at);
    await fails(/There is no control socket/u, "list", "-socket", directory.file("missing.sock"));
    writeFileSync(directory.file("file"), "");
    await fails(/is no socket/u, "info", "-socket", directory.file("file"));
  });

  test("tell that the other side is silent, or no Headwater", async () => {
    using directory = temporaryDirectory();
    const socket = directory.file("other.sock");
    let answer = "";
    const server = createServer((connection) => {
      connection.on("error", () => undefined);
      if (answer !== "") connection.end(answer);
    }).listen(socket);
    await once(server, "listening");
    try {
      const silent = await runCommand("info", "-socket", socket, "-timeout", "1");
      expect(silent.stderr).toMatch(/No answer on .* within 1 s/u);
      answer = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
      expect((await runCommand("info", "-socket", socket)).stderr).toContain("is no Headwater");
      answer = "not even HTTP\r\n\r\n";
      expect((await runCommand("info", "-socket", socket)).stderr).toContain("No answer on");
    } finally {
      server.close();
    }
  });

  test.skipIf(process.getuid?.() !== 0)("tell that the socket is not for them", async () => {
    await using scene = await Scene.open();
    await using daemon = await Daemon.of(scene).ready();
    // Everybody may go to the socket, and only its owner use it.
    using open = temporaryDirectory();
    chmodSync(open.path, 0o755);
    const socket = open.file("s");
    linkSync(daemon.socket, socket);
    const module = fileURLToPath(new URL("../support/control-as-nobody.ts", import.meta.url));
    await using refused = startModule(module, socket);
    expect((await refused.success()).join()).toContain("You may not use the control socket");
    chmodSync(socket, 0o666);
    await using answered = startModule(module, socket);
    expect(await answered.success()).toEqual(["answered"]);
  });
});

describe("headwater reset", () => {
  test("deletes the state of a stopped database and nothing else; the next start is whole", async () => {
    await using scene = await Scene.open();
    await using daemon = await Daemon.of(scene).ready();
    const { path, stateDirectory } = scene;
    const seq = await scene.app.ledger(3);
    await daemon.ask("POST", "/sync", { path, wait: true });
    const busy = await daemon.command("reset", path);
    expect(busy.code).toBe(1);
    expect(busy.stderr).toContain(`in use by another Headwater (process ${daemon.child.pid}`);
    await daemon.ask("POST", "/stop", { path });
    const mine = `${stateDirectory}/notes.txt`;
    writeFileSync(mine, "mine");
    const planned = await daemon.command("reset", "-dry-run", path);
    expect(planned.stdout).toContain(`Would delete the local state of ${path}`);
    expect(scene.staged).not.toEqual([]);
    const done = await daemon.command("reset", path);
    expect(done).toMatchObject({ code: 0, stderr: "" });
    expect(done.stdout).toBe(planned.stdout.replace("Would delete", "Deleted"));
    expect(scene.staged).toEqual([]);
    expect(existsSync(`${stateDirectory}/state.json`)).toBe(false);
    expect(existsSync(mine)).toBe(true);
    expect((await daemon.command("reset", path)).stdout).toContain("There is no local state");
    await daemon.ask("POST", "/start", { path });
    await daemon.ask("POST", "/sync", { path, wait: true });
    expect((await scene.prove({ mayGoBack: true })).at(-1)?.seq).toBe(seq);
  });

  test("says which TXID is not in the replica yet", async () => {
    await using scene = await Scene.open();
    await using daemon = await Daemon.of(scene, "shutdown-sync-timeout: 1ms\n").ready();
    const { path } = scene;
    await daemon.ask("POST", "/sync", { path, wait: true });
    scene.blockReplica();
    await scene.app.ledger(1);
    expect((await daemon.ask("POST", "/sync", { path })).status).toBe(200);
    await daemon.ask("POST", "/stop", { path, timeout: 1 });
    expect((await daemon.command("reset", "-dry-run", path)).stdout).toMatch(
      /TXID [0-9a-f]{16} is not in the replica yet/u,
    );
  });
});
