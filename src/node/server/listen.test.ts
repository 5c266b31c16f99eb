// Servers on sockets and ports: who may take a name, what is left behind, how a server ends.
import { once } from "node:events";
import { existsSync, lstatSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { link, rename, rm } from "node:fs/promises";
import { request } from "node:http";
import { createServer } from "node:net";
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { temporaryDirectory } from "../../../test/support/temporary.ts";
import { listenOnPort, listenOnSocket } from "./listen.ts";

const hello = (): Response => new Response("hello");

async function ask(socketPath: string): Promise<string> {
  const sent = request({ socketPath, path: "/" }).end();
  const [answer] = await once(sent, "response");
  return text(answer);
}

/** Leaves a socket behind as a process does that is killed. */
async function leaveSocket(path: string): Promise<void> {
  const server = createServer().listen(path);
  await once(server, "listening");
  const hidden = `${path}.kept`;
  await link(path, hidden);
  server.close();
  await once(server, "close");
  await rename(hidden, path);
}

describe("listenOnSocket", () => {
  it("answers on a socket with the mode it was given, and removes it at the end", async () => {
    using directory = temporaryDirectory();
    const path = directory.file("a.sock");
    {
      await using listening = await listenOnSocket(hello, { path, mode: 0o640 });
      expect(listening.address).toBe(path);
      expect(lstatSync(path).mode & 0o777).toBe(0o640);
      expect(readdirSync(directory.path)).toEqual(["a.sock"]);
      expect(await ask(path)).toBe("hello");
    }
    expect(readdirSync(directory.path)).toEqual([]);
  });

  it("replaces a socket that nobody listens on", async () => {
    using directory = temporaryDirectory();
    const path = directory.file("a.sock");
    await leaveSocket(path);
    expect(lstatSync(path).isSocket()).toBe(true);
    await using listening = await listenOnSocket(hello, { path, mode: 0o600 });
    expect(await ask(listening.address)).toBe("hello");
    expect(readdirSync(directory.path)).toEqual(["a.sock"]);
  });

  it("leaves a socket alone that somebody listens on", async () => {
    using directory = temporaryDirectory();
    const place = { path: directory.file("a.sock"), mode: 0o600 };
    await using first = await listenOnSocket(hello, place);
    await expect(listenOnSocket(() => new Response("no"), place)).rejects.toMatchObject({
      code: "control/listen",
      message: expect.stringContaining("another process listens there"),
    });
    expect(await ask(first.address)).toBe("hello");
    expect(readdirSync(directory.path)).toEqual(["a.sock"]);
  });

  it("gives the name to one of two that want it at once", async () => {
    using directory = temporaryDirectory();
    const path = directory.file("a.sock");
    await leaveSocket(path);
    const both = await Promise.allSettled(
      ["one", "two"].map((name) => listenOnSocket(() => new Response(name), { path, mode: 0o600 })),
    );
    const won = both.flatMap((result, index) => (result.status === "fulfilled" ? [index] : []));
    expect(won).toHaveLength(1);
    expect(await ask(path)).toBe(["one", "two"][won[0] ?? 0]);
    for (const one of both) if (one.status === "fulfilled") await one.value[Symbol.asyncDispose]();
    expect(readdirSync(directory.path)).toEqual([]);
  });

  it("does not remove what has taken its place", async () => {
    using directory = temporaryDirectory();
    const path = directory.file("a.sock");
    {
      await using listening = await listenOnSocket(hello, { path, mode: 0o600 });
      expect(await ask(listening.address)).toBe("hello");
      await rm(path);
      writeFileSync(path, "mine");
    }
    expect(existsSync(path)).toBe(true);
  });

  it.each([
    ["a file", (path: string) => writeFileSync(path, "data"), "no socket"],
    ["a directory", (path: string) => mkdirSync(path), "no socket"],
    ["a link", (path: string) => symlinkSync("/dev/null", path), "no socket"],
  ])("refuses %s in its place", async (_name, make, message) => {
    using directory = temporaryDirectory();
    const path = directory.file("a.sock");
    make(path);
    const before = lstatSync(path).ino;
    await expect(listenOnSocket(hello, { path, mode: 0o600 })).rejects.toThrow(message);
    expect(lstatSync(path).ino).toBe(before);
    expect(readdirSync(directory.path)).toEqual(["a.sock"]);
  });

  it("refuses a path that no address can hold, and one whose directory is missing", async () => {
    using directory = temporaryDirectory();
    const long = directory.file(`${"x".repeat(108)}.sock`);
    await expect(listenOnSocket(hello, { path: long, mode: 0o600 })).rejects.toThrow("too long");
    const lost = directory.file("missing/a.sock");
    await expect(listenOnSocket(hello, { path: lost, mode: 0o600 })).rejects.toMatchObject({
      code: "control/listen",
    });
    expect(readdirSync(directory.path)).toEqual([]);
  });

  it("lets an answer finish that is being made, and cuts off one that takes too long", async () => {
    using directory = temporaryDirectory();
    const path = directory.file("a.sock");
    const begun = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    const slow = async (): Promise<Response> => {
      begun.resolve();
      await released.promise;
      return new Response("done");
    };
    const first = await listenOnSocket(slow, { path, mode: 0o600 });
    const asked = ask(path);
    await begun.promise;
    const ended = first[Symbol.asyncDispose]();
    released.resolve();
    expect(await asked).toBe("done");
    await ended;

    const never = await listenOnSocket(
      () => new Promise(() => undefined),
      { path, mode: 0o600 },
      { closeGraceMs: 1 },
    );
    const [cut] = await Promise.allSettled([ask(path), never[Symbol.asyncDispose]()]);
    expect(cut.status).toBe("rejected");
  });
});

describe("listenOnPort", () => {
  it("answers on a free port, and names one that is taken", async () => {
    await using listening = await listenOnPort(hello, { host: "127.0.0.1", port: 0 });
    const answer = await fetch(listening.address);
    expect(await answer.text()).toBe("hello");
    const port = Number(new URL(listening.address).port);
    await expect(listenOnPort(hello, { host: "127.0.0.1", port })).rejects.toMatchObject({
      code: "control/listen",
      message: expect.stringContaining(`127.0.0.1:${port}`),
    });
  });
});
