// Keeps a fleet to what its configuration file says: databases of watched directories come and go, and the file itself
// can be read again. What others have added to the fleet is left alone.
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { Clock } from "../../core/base/clock.ts";
import { messageOf } from "../../core/base/errors.ts";
import type { Logger } from "../../core/base/log.ts";
import { DirectoryWatcher } from "../file/directory-watcher.ts";
import type { DirectoryEvent } from "../file/directory-watcher.ts";
import { Bell } from "./bell.ts";
import type { Config } from "./config/config.ts";
import type { DatabaseConfig } from "./config/database-config.ts";
import { isCompanionName, isStateName } from "./config/directory.ts";
import type { Fleet } from "./fleet.ts";
import type { FleetMember } from "./fleet-environment.ts";
import { OpenFiles } from "./open-files.ts";
import type { ShutdownLimit } from "./shutdown.ts";

export interface FleetKeeperOptions {
  readonly fleet: Fleet;
  readonly toMember: (database: DatabaseConfig) => FleetMember;
  /** Reads the configuration file again. */
  readonly readConfig: (isOpen: (path: string) => boolean) => Config;
  /** For the last sync of a database that is let go. */
  readonly startLimit: () => ShutdownLimit;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** Files are made in many steps, and many at a time: one look for all of them. */
const gatherMs = 250;

/** Watched directories are looked through so often without an event, because events can be lost. */
const lookMs = 10_000;

export class FleetKeeper implements AsyncDisposable {
  readonly #options: FleetKeeperOptions;
  readonly #bell = new Bell();
  readonly #ending = new AbortController();
  /** What this keeper has put into the fleet, or would have if it had not been there. */
  readonly #kept = new Map<string, DatabaseConfig>();
  /** Databases that are let go and have not had their last sync yet. */
  readonly #leaving = new Map<string, Promise<void>>();
  /** Databases that were not taken in, with the one that has their replica. */
  readonly #refused = new Map<string, string>();
  readonly #watchers = new Map<string, DirectoryWatcher>();
  readonly #running: Promise<void>;
  #config: Config;
  #wantsReload = false;
  /** What kept the last look from its end; told once. */
  #unreadable: string | undefined;

  /** Takes in the databases of `config` and follows what becomes of them until it is disposed. */
  constructor(config: Config, options: FleetKeeperOptions) {
    this.#config = config;
    this.#options = options;
    this.#bringTo(config.databases, new OpenFiles(options.fleet));
    this.#bell.ring();
    this.#running = this.#run(this.#ending.signal);
  }

  /** What the file said when it was read last. */
  get config(): Config {
    return this.#config;
  }

  /** Has the file read again soon. One with mistakes changes nothing. */
  reload(): void {
    this.#wantsReload = true;
    this.#bell.ring();
  }

  /** Stops following. The fleet goes on with what it has. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#running;
    for (const watcher of this.#watchers.values()) watcher.close();
    await Promise.all(this.#leaving.values());
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const isWatching = this.#config.watchedDirectories.length > 0;
      await this.#bell.wait(isWatching ? lookMs : undefined, signal);
      if (signal.aborted) return;
      if (this.#wantsReload) this.#reload();
      this.#look();
      await this.#options.clock.sleep(gatherMs, { signal }).catch(() => undefined);
    }
  }

  #reload(): void {
    this.#wantsReload = false;
    const { fleet, logger, readConfig } = this.#options;
    try {
      const files = new OpenFiles(fleet);
      const config = readConfig((path) => files.has(path));
      for (const { message } of config.warnings) logger.log("warn", "config.remark", { message });
      const late = Object.keys(config.atStart).filter(
        (key) => !isDeepStrictEqual(config.atStart[key], this.#config.atStart[key]),
      );
      if (late.length > 0) {
        const message = `${late.join(", ")} changed: that takes effect when Headwater is started again.`;
        logger.log("warn", "config.remark", { message });
      }
      this.#config = config;
      logger.log("info", "config.reloaded", { path: config.path });
    } catch (error) {
      logger.log("error", "config.not-reloaded", { error: messageOf(error) });
    }
  }

  #look(): void {
    const seen = new Set<string>();
    const files = new OpenFiles(this.#options.fleet);
    const isOpen = (path: string): boolean => files.has(path);
    const onDirectory = (directory: string): void => {
      seen.add(directory);
      this.#watch(directory);
    };
    try {
      const { fixedDatabases, watchedDirectories } = this.#config;
      const found = watchedDirectories.flatMap(({ find }) => find({ isOpen, onDirectory }));
      this.#bringTo([...fixedDatabases, ...found], files);
      this.#unreadable = undefined;
    } catch (error) {
      // A directory that cannot be read says nothing about its databases: they stay.
      const message = messageOf(error);
      if (message !== this.#unreadable) {
        this.#options.logger.log("error", "directory.unreadable", { error: message });
      }
      this.#unreadable = message;
      return;
    }
    for (const [directory, watcher] of this.#watchers) {
      if (seen.has(directory)) continue;
      watcher.close();
      this.#watchers.delete(directory);
    }
  }

  /** Makes the fleet hold exactly `databases`, of those that are this keeper's. Of two with one path the first counts. */
  #bringTo(databases: readonly DatabaseConfig[], files: OpenFiles): void {
    const wanted = new Map<string, DatabaseConfig>();
    for (const database of databases) {
      const { path } = database.options;
      if (!wanted.has(path)) wanted.set(path, database);
    }
    for (const [path, kept] of this.#kept) {
      const next = wanted.get(path);
      if (next === undefined) this.#letGo(path, "it is gone");
      else if (!isDeepStrictEqual(kept, next)) this.#letGo(path, "its configuration changed");
    }
    for (const [path, database] of wanted) {
      if (!this.#kept.has(path) && !this.#leaving.has(path)) this.#takeIn(database, files);
    }
  }

  #takeIn(database: DatabaseConfig, files: OpenFiles): void {
    const { path } = database.options;
    const { fleet, toMember, logger } = this.#options;
    if (fleet.get(path) === undefined) {
      if (files.has(path)) return;
      const member = toMember(database);
      const rival = fleet.rivalOf(member);
      if (rival !== undefined) {
        // One that is being let go makes way, and the next look finds it gone.
        if (!this.#leaving.has(rival.path)) this.#tellOnce(path, rival.path);
        return;
      }
      fleet.add(member);
      files.note(path);
      logger.log("info", "database.added", { path });
    }
    this.#refused.delete(path);
    this.#kept.set(path, database);
  }

  #tellOnce(path: string, rival: string): void {
    if (this.#refused.get(path) === rival) return;
    this.#refused.set(path, rival);
    const error = `Its replica is that of ${rival}. Each database needs its own.`;
    this.#options.logger.log("error", "database.not-added", { path, error });
  }

  #letGo(path: string, why: string): void {
    const { fleet, startLimit, logger } = this.#options;
    this.#kept.delete(path);
    logger.log("info", "database.removed", { path, why });
    const leaving = (async () => {
      const failure = await fleet.remove(path, startLimit());
      if (failure !== undefined) {
        logger.log("warn", "database.incomplete", { path, error: messageOf(failure.error) });
      }
      this.#leaving.delete(path);
      // It may be there again.
      this.#bell.ring();
    })();
    this.#leaving.set(path, leaving);
  }

  #watch(directory: string): void {
    let watcher = this.#watchers.get(directory);
    if (watcher === undefined) {
      watcher = new DirectoryWatcher(directory, (name, event) => {
        if (name === null || this.#isNews(name, join(directory, name), event)) this.#bell.ring();
      });
      this.#watchers.set(directory, watcher);
    }
    watcher.refresh();
  }

  /** Applications write to their databases all the time: only what can change the list of databases counts. */
  #isNews(name: string, path: string, event: DirectoryEvent): boolean {
    if (isCompanionName(name) || isStateName(name)) return false;
    return event === "rename" || !this.#kept.has(path);
  }
}
