// A Unix socket at a path: made where nobody else can see it, given its mode, then put under its name. So it is never
// open to more people than it should be, and never takes the name of a socket that somebody listens on.
import { once } from "node:events";
import { chmod, link, lstat, mkdtemp, rename, rm } from "node:fs/promises";
import { type Server, createConnection } from "node:net";
import { dirname, join } from "node:path";
import { HeadwaterError, messageOf, platformCode } from "../../core/base/errors.ts";

export interface SocketPlace {
  /** Absolute. */
  readonly path: string;
  /** Permissions: 0o600 = the owner alone. */
  readonly mode: number;
}

/** What the system's address of a socket can hold. */
const longestPathBytes = 107;

/**
 * Makes `server` listen at the path. A socket that is there already is replaced if nobody listens on it. Disposing the
 * result removes the name; the server is for the caller to close. Throws `control/listen`, with the server closed.
 */
export async function bindSocket(
  server: Server,
  { path, mode }: SocketPlace,
): Promise<AsyncDisposable> {
  let hidden: string | undefined;
  let inode: bigint;
  try {
    hidden = await mkdtemp(join(dirname(path), ".hw-"));
    const bound = join(hidden, "s");
    if (Math.max(Buffer.byteLength(path), Buffer.byteLength(bound)) > longestPathBytes) {
      throw refusal(path, "the path is too long for a socket. Choose a shorter one");
    }
    server.listen({ path: bound });
    await once(server, "listening");
    await chmod(bound, mode);
    ({ ino: inode } = await lstat(bound, { bigint: true }));
    await takeName(bound, path, hidden);
  } catch (error) {
    server.close();
    if (error instanceof HeadwaterError) throw error;
    throw refusal(path, `${messageOf(error)}. Choose another path in socket.path`, error);
  } finally {
    if (hidden !== undefined) await rm(hidden, { recursive: true, force: true });
  }
  return {
    [Symbol.asyncDispose]: async () => {
      // Somebody may have put something else there.
      const now = await lstat(path, { bigint: true }).catch(() => undefined);
      if (now?.ino === inode) await rm(path, { force: true });
    },
  };
}

/** Gives the socket its name. Of two that want it at once, one gets it. */
async function takeName(bound: string, path: string, hidden: string): Promise<void> {
  for (let attempts = 3; ; attempts--) {
    try {
      await link(bound, path);
      return;
    } catch (error) {
      if (platformCode(error) !== "EEXIST" || attempts === 1) throw error;
      await removeDeadSocket(path, join(hidden, "old"));
    }
  }
}

/** Removes a socket that nobody listens on; throws if it is anything else. */
async function removeDeadSocket(path: string, aside: string): Promise<void> {
  const status = await lstat(path).catch(() => undefined);
  if (status === undefined) return;
  if (!status.isSocket()) {
    throw refusal(path, "there is a file that is no socket. Remove it, or choose another path");
  }
  if (await isAnswered(path)) throw inUse(path);
  // A live one may have taken its place since: asked again where nobody can exchange it, and put back if it answers.
  await rename(path, aside);
  if (!(await isAnswered(aside))) {
    await rm(aside);
    return;
  }
  await rename(aside, path);
  throw inUse(path);
}

/** True if somebody listens on the socket. Throws if that cannot be told. */
async function isAnswered(path: string): Promise<boolean> {
  const connection = createConnection({ path });
  try {
    await once(connection, "connect");
    return true;
  } catch (error) {
    const code = platformCode(error);
    if (code === "EAGAIN") return true;
    if (code === "ECONNREFUSED" || code === "ENOENT") return false;
    throw error;
  } finally {
    connection.destroy();
  }
}

function inUse(path: string): HeadwaterError {
  return refusal(path, "another process listens there. End it, or choose another path");
}

function refusal(path: string, why: string, cause?: unknown): HeadwaterError {
  return new HeadwaterError(
    "control/listen",
    `Headwater cannot listen on the socket ${path}: ${why}.`,
    {
      data: { path },
      cause,
    },
  );
}
