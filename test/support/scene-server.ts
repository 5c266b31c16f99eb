// Replicas for tests in a browser, which have no files and no processes: they ask for them by HTTP, under `/-/`. The other
// end is `WebScene`.
import type { IncomingMessage, ServerResponse } from "node:http";
import { mkdirSync, rmSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { pathToFileURL } from "node:url";
import { openCodec } from "../../src/core/codec/codec.ts";
import { readPageIndex } from "../../src/core/ltx/page-index.ts";
import { systemEnvironment } from "../../src/node/restore/environment.ts";
import { putManifest } from "./manifest.ts";
import { type FileRange, type ReplicaHistory, ltxPath, writeLtx } from "./replica-builder.ts";
import { SceneStream } from "./scene-stream.ts";
import { ReplicaServer, type ServedRequest, type ServerBehaviour } from "./replica-server.ts";
import { databaseStates, historyOf } from "./sqlite-history.ts";
import { temporaryDirectory } from "./temporary.ts";

const codec = openCodec();

/** What a scene is asked, and what it answers. */
export interface SceneCommands {
  /** A new replica without files, of a database that SQL makes step by step: TXID n is step n. */
  readonly make: {
    readonly asked: {
      readonly pageSize?: number | undefined;
      readonly steps?: readonly string[] | undefined;
    };
    readonly answer: { readonly id: string; readonly txid: number };
  };
  /** Writes files of it. */
  readonly put: {
    readonly asked: { readonly id: string; readonly ranges: readonly FileRange[] };
    readonly answer: Record<string, never>;
  };
  /** Tells in its `manifest.json` what is there. */
  readonly describe: {
    readonly asked: { readonly id: string };
    readonly answer: Record<string, never>;
  };
  readonly remove: {
    readonly asked: { readonly id: string; readonly ranges: readonly FileRange[] };
    readonly answer: Record<string, never>;
  };
  /** Sends files of it to those who follow its stream; they are not in the replica. */
  readonly push: {
    readonly asked: { readonly id: string; readonly ranges: readonly FileRange[] };
    readonly answer: Record<string, never>;
  };
  /** Flips bits of one byte of a file. */
  readonly damage: {
    readonly asked: { readonly id: string; readonly range: FileRange; readonly offset: number };
    readonly answer: Record<string, never>;
  };
  /** Changes what the frames of pages say they are. */
  readonly damagePages: {
    readonly asked: {
      readonly id: string;
      readonly range: FileRange;
      readonly pgnos: readonly number[];
    };
    readonly answer: Record<string, never>;
  };
  /** From now on, of all replicas. */
  readonly behave: {
    readonly asked: ServerBehaviour;
    readonly answer: Record<string, never>;
  };
  /** Since the last time, of all replicas. */
  readonly requests: {
    readonly asked: Record<string, never>;
    readonly answer: readonly ServedRequest[];
  };
}

interface Scene {
  readonly history: ReplicaHistory;
  readonly stream: SceneStream;
}

type Scenes = Map<string, Scene>;

type Commands = {
  readonly [Name in keyof SceneCommands]: (
    asked: SceneCommands[Name]["asked"],
  ) => Promise<SceneCommands[Name]["answer"]>;
};

/** A server that makes scenes. Disposing it deletes them. */
export async function startSceneServer(): Promise<ReplicaServer> {
  const directory = temporaryDirectory();
  const scenes: Scenes = new Map();
  const server = await ReplicaServer.start({
    root: directory.path,
    handle: async (request, response) =>
      isStream(scenes, request, response) || answer(commands, request, response),
  });
  const commands = sceneCommands(server, directory.path, scenes);
  const close = server[Symbol.asyncDispose].bind(server);
  return Object.assign(server, {
    [Symbol.asyncDispose]: async () => {
      await close();
      directory[Symbol.dispose]();
    },
  });
}

function sceneCommands(server: ReplicaServer, root: string, scenes: Scenes): Commands {
  const sceneOf = (id: string): Scene => {
    const scene = scenes.get(id);
    if (scene === undefined) throw new Error(`there is no scene ${id}`);
    return scene;
  };
  return {
    make: async ({ pageSize = 4096, steps }) => {
      const states = databaseStates(pageSize, steps);
      const id = `replica-${scenes.size + 1}`;
      scenes.set(id, { history: historyOf(states, pageSize), stream: new SceneStream() });
      // What there is to be read, by TXID.
      const databases = join(root, `${id}-databases`);
      mkdirSync(databases);
      for (const [index, state] of states.entries()) {
        await writeFile(join(databases, `${index + 1}.db`), state);
      }
      return { id, txid: states.length };
    },
    put: async ({ id, ranges }) => {
      await sceneOf(id).history.writeFiles(join(root, id), ranges);
      return {};
    },
    push: async ({ id, ranges }) => {
      const { history, stream } = sceneOf(id);
      for (const range of ranges) stream.push({ ...range, bytes: await history.fileOf(range) });
      return {};
    },
    describe: async ({ id }) => {
      const url = pathToFileURL(join(root, id)).href;
      await using store = await systemEnvironment().openReplica(url, {});
      await putManifest(store);
      return {};
    },
    remove: async ({ id, ranges }) => {
      for (const range of ranges) rmSync(ltxPath(join(root, id), range));
      return {};
    },
    damage: async ({ id, range, offset }) => {
      const directory = join(root, id);
      const bytes = await readFile(ltxPath(directory, range));
      bytes[offset] = (bytes[offset] ?? 0) ^ 0x11;
      writeLtx(directory, range, bytes);
      return {};
    },
    damagePages: async ({ id, range, pgnos }) => {
      const directory = join(root, id);
      const bytes = await readFile(ltxPath(directory, range));
      const found = readPageIndex(codec, bytes, { name: id, fileSizeBytes: bytes.length });
      for (const { pgno, offset } of found.kind === "index" ? found.index : []) {
        if (pgnos.includes(pgno)) bytes[offset] = (bytes[offset] ?? 0) ^ 0x11;
      }
      writeLtx(directory, range, bytes);
      return {};
    },
    behave: async (behaviour) => {
      server.behaviour = behaviour;
      return {};
    },
    requests: async () => server.takeRequests(),
  };
}

/** Where a scene's stream is followed: `/-/primary/<id>/stream?after=<TXID>`. */
function isStream(
  scenes: Scenes,
  { url, method }: IncomingMessage,
  response: ServerResponse,
): boolean {
  const asked = /^\/-\/primary\/(?<id>[\w-]+)\/stream\?after=(?<after>[0-9a-f]+)$/u.exec(url ?? "");
  const { id = "", after = "" } = asked?.groups ?? {};
  const scene = method === "GET" ? scenes.get(id) : undefined;
  scene?.stream.follow(response, after);
  return scene !== undefined;
}

async function answer(
  commands: Commands,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<boolean> {
  const name = /^\/-\/(?<name>\w+)$/u.exec(request.url ?? "")?.groups?.["name"];
  if (name === undefined || request.method !== "POST") return false;
  const asked: unknown = await json(request);
  try {
    // The client's types are the server's: both are `SceneCommands`.
    const command = commands[name as keyof SceneCommands] as (asked: unknown) => Promise<unknown>;
    response.end(JSON.stringify(await command(asked)));
  } catch (error) {
    response.writeHead(500).end(String(error));
  }
  return true;
}
