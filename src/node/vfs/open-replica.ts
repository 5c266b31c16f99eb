// Opens a replica for queries: the store, its views, and SQLite in a thread over both.
import { basename } from "node:path/posix";
import type { Waiting } from "../../core/base/async.ts";
import { HeadwaterError } from "../../core/base/errors.ts";
import type { Logger } from "../../core/base/log.ts";
import { parseMoment } from "../../core/base/moments.ts";
import { openCodec } from "../../core/codec/codec.ts";
import { parseTxid } from "../../core/ltx/txid.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import { layoutForUrl } from "../../core/replica/layout.ts";
import { ReplicaViews, type ViewTarget } from "../../core/view/replica-views.ts";
import { type Environment, systemEnvironment } from "../restore/environment.ts";
import type { StoreSecrets } from "../store/store-secrets.ts";
import { FollowLoop } from "./follow-loop.ts";
import { PageDesk } from "./page-desk.ts";
import { refuseWrite } from "./refuse-write.ts";
import { ReplicaDatabase } from "./replica-database.ts";
import type { ReplicaPages } from "./replica-pages.ts";
import { SqliteClient, startSqliteThread } from "./sqlite-client.ts";

const defaultCacheBytes = 64 * 1024 * 1024;

/** Smallest memory for pages: a few of the largest. */
const minCacheBytes = 1024 * 1024;

/** Which state to open; without `at` and `txid` the newest. */
export interface OpenReplicaOptions extends Waiting {
  /** The newest state strictly before a moment: a date, or words: `"2 hours ago"`, `"2026-11-26T14:30:00Z"`. */
  readonly at?: Date | string | undefined;
  /** Exactly this TXID. */
  readonly txid?: Txid | undefined;
  /** Goes on to newer states by itself, as they reach the store: queries see the newest one. */
  readonly follow?: boolean | undefined;
  /** Memory for pages that were read, at least 1 MiB. */
  readonly cacheBytes?: number | undefined;
  /** What opens the replica's store; without it the environment. Never logged. */
  readonly secrets?: StoreSecrets | undefined;
  /** Gets `store.retry` whenever the store has to be asked again, and what `follow` meets. */
  readonly logger?: Logger | undefined;
}

/**
 * Opens a replica, `file:///absolute/path` or `s3://bucket/path`, for reading. Nothing is downloaded but the indexes of its
 * files; a query fetches the pages that it reads. Dispose what it resolves to. Throws `replica/*` and `ltx/*` if that state
 * cannot be had, `usage/invalid`, and what the store throws.
 */
export async function openReplica(
  url: string,
  options: OpenReplicaOptions = {},
): Promise<ReplicaDatabase> {
  return openReplicaIn(systemEnvironment(options.logger), url, options);
}

/** `openReplica` with its surroundings as an argument. */
export async function openReplicaIn(
  environment: Environment,
  url: string,
  options: OpenReplicaOptions,
): Promise<ReplicaDatabase> {
  const { signal, secrets, cacheBytes = defaultCacheBytes } = options;
  const { clock, logger } = environment;
  const moment = momentOf(options, clock.nowMs());
  if (!(cacheBytes >= minCacheBytes)) {
    throw invalid(`cacheBytes must be at least ${minCacheBytes}, not ${cacheBytes}.`);
  }
  await using opened = new AsyncDisposableStack();
  const worker = opened.adopt(
    startSqliteThread(),
    async (thread) => void (await thread.terminate()),
  );
  const store = await environment.openReplica(url, { signal, secrets });
  // Not `use`: V8's takes no bound function as the method, and a wrapped store may have one.
  opened.defer(() => store[Symbol.asyncDispose]());
  const views = opened.use(
    await ReplicaViews.open(
      {
        store,
        layout: layoutForUrl(store.url),
        codec: openCodec(),
        cacheBytes,
        isShared: true,
        logger,
      },
      { signal, ...(moment !== undefined && { target: moment }) },
    ),
  );
  const pages = moment === undefined ? views : fixed(views);
  const desk = new PageDesk(pages, (asked) => parseAsked(asked, clock.nowMs()));
  const name = nameOf(url);
  const client = opened.use(new SqliteClient(worker, desk, { name }));
  if (options.follow === true) opened.use(new FollowLoop({ pages, clock, logger }));
  const kept = opened.move();
  return new ReplicaDatabase({
    name,
    current: () => desk.current,
    client,
    refresh: (waiting) => pages.refresh(waiting),
    close: () => kept.disposeAsync(),
    refuseWrite: (waiting) => refuseWrite(store, waiting),
  });
}

/** Views of which the newest stays the one that was opened. */
function fixed(views: ReplicaViews): ReplicaPages {
  return {
    cache: views.cache,
    txid: views.txid,
    newest: () => views.newest(),
    at: (moment, waiting) => views.at(moment, waiting),
    refresh: () => Promise.resolve(false),
  };
}

function momentOf({ at, txid, follow }: OpenReplicaOptions, nowMs: number): ViewTarget | undefined {
  if (at !== undefined && txid !== undefined) {
    throw invalid("Give at or txid to open a replica: one of them.");
  }
  if (follow === true && (at !== undefined || txid !== undefined)) {
    throw invalid(
      "A replica that is opened at a moment stays there: leave follow out, or at and txid.",
    );
  }
  if (txid !== undefined) return { kind: "txid", txid };
  if (at === undefined) return undefined;
  const beforeMs = (typeof at === "string" ? parseMoment(at, nowMs, "at") : at).getTime();
  if (Number.isNaN(beforeMs)) throw invalid("The date to open a replica at is not a valid one.");
  return { kind: "time", beforeMs };
}

/** The moment that a file name in SQL asks for. */
function parseAsked(
  { at, txid }: { readonly at: string | undefined; readonly txid: string | undefined },
  nowMs: number,
): ViewTarget {
  if (txid === undefined) {
    return { kind: "time", beforeMs: parseMoment(at ?? "", nowMs, "at").getTime() };
  }
  if (at !== undefined) throw invalid("Give at or txid in the name of a file: one of them.");
  const parsed = parseTxid(txid.toLowerCase());
  if (parsed === undefined) {
    throw invalid(`txid must be 16 hexadecimal digits, not ${JSON.stringify(txid)}.`);
  }
  return { kind: "txid", txid: parsed };
}

/** What the replica is called in SQL: the last part of its URL's path, else its host. */
function nameOf(url: string): string {
  const { pathname, host } = new URL(url);
  const name = basename(pathname);
  try {
    return decodeURIComponent(name) || host;
  } catch {
    // It has a percent sign that stands for itself.
    return name;
  }
}

function invalid(message: string): HeadwaterError {
  return new HeadwaterError("usage/invalid", message);
}
