// What happens to Headwater and its databases during a soak, one thing after the other in random order: a deck of
// cards that is shuffled anew when it is through.
import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "../../src/core/base/random.ts";
import { toTxid } from "../../src/core/ltx/txid.ts";
import type { Txid } from "../../src/core/ltx/txid.ts";
import type { FaultProxy, ProxyFault } from "../support/fault-proxy.ts";
import { liveImage } from "../support/live-image.ts";
import { until } from "../support/until.ts";
import type { Application } from "./application.ts";
import type { SoakDaemon } from "./daemon.ts";
import { listedName, visitorName } from "./plan.ts";
import type { Prover } from "./prover.ts";

export interface Stage {
  readonly daemon: SoakDaemon;
  readonly proxy: FaultProxy;
  readonly prover: Prover;
  readonly applications: ReadonlyMap<string, Application>;
  readonly random: Random;
  readonly configuration: (facts: { isListed: boolean; syncInterval: string }) => string;
  readonly report: (line: string) => void;
}

type Card =
  | "sync"
  | "exact sync"
  | "vacuum"
  | "come and go"
  | "stop and start"
  | "reload"
  | "outage"
  | "kill"
  | "restart";

const deck: readonly Card[] = [
  ...Array.from({ length: 6 }, () => "sync" as const),
  "exact sync",
  "exact sync",
  "exact sync",
  "vacuum",
  "come and go",
  "come and go",
  "stop and start",
  "reload",
  "reload",
  "outage",
  "kill",
  "restart",
];

type Answer = Readonly<Record<string, unknown>>;

/** Longest time that anything may take until it is a failure: for machines that have other things to do. */
const patienceMs = 180_000;

export class Chaos {
  readonly #stage: Stage;
  readonly counts = new Map<string, number>();
  readonly #cards: readonly Card[];
  #left: Card[] = [];
  readonly #plays: Readonly<Record<Card, () => Promise<unknown>>> = {
    sync: () => this.sync(this.#anyone()),
    "exact sync": () => this.syncExactly(this.#anyone()),
    vacuum: () => this.#vacuum(),
    "come and go": () => this.#comeOrGo(),
    "stop and start": () => this.#stopAndStart(),
    reload: () => this.#reload(),
    outage: () => this.#outage(),
    kill: () => this.#restartAfter(() => this.#stage.daemon.kill()),
    restart: () => this.#restartAfter(() => this.#stage.daemon.stop()),
  };
  #isListed = true;
  #syncInterval = "500ms";

  constructor(stage: Stage, { kills }: { readonly kills: boolean }) {
    this.#stage = stage;
    this.#cards = deck.filter((card) => kills || card !== "kill");
  }

  /** As many as there are, so that each kind has happened once. */
  get deckSize(): number {
    return this.#cards.length;
  }

  get configuration(): string {
    const { configuration } = this.#stage;
    return configuration({ isListed: this.#isListed, syncInterval: this.#syncInterval });
  }

  /** Plays one card. */
  async next(): Promise<void> {
    if (this.#left.length === 0) this.#left = this.#shuffled();
    const card = this.#left.pop() ?? "sync";
    this.#note(card);
    await this.#plays[card]();
  }

  /** Everybody that Headwater is to replicate at the moment. */
  get replicated(): readonly Application[] {
    return [...this.#stage.applications.values()].filter(
      ({ name, exists }) => exists && (this.#isListed || name !== listedName),
    );
  }

  /** Everybody is there and replicated again. */
  async settle(): Promise<void> {
    const { applications, daemon } = this.#stage;
    for (const application of applications.values()) if (!application.exists) application.appear();
    this.#isListed = true;
    await daemon.reload(this.configuration);
  }

  /** `headwater sync -wait`: what was committed before is in the replica. */
  async sync(application: Application): Promise<void> {
    const { state } = application;
    const txid = txidOf(await this.#order("sync", application, "-wait"));
    this.#stage.prover.acknowledged(application.name).add({ txid, least: state });
  }

  /** The same while nobody writes, so that the bytes are known. Returns their SHA-256. */
  async syncExactly(application: Application, { resumes = true } = {}): Promise<string> {
    await application.pause();
    const { state } = application;
    const { sha256 } = await liveImage(application.path);
    const txid = txidOf(await this.#order("sync", application, "-wait"));
    this.#stage.prover.acknowledged(application.name).add({ txid, least: state, sha256 });
    if (resumes) application.resume();
    return sha256;
  }

  async #vacuum(): Promise<void> {
    const application = this.#anyone();
    const happened = await application.vacuum();
    this.#stage.report(`VACUUM of ${application.name}${happened ? "" : ": locked"}`);
  }

  async #comeOrGo(): Promise<void> {
    const { applications, random, report } = this.#stage;
    const visitor = applications.get(visitorName);
    if (visitor === undefined) return;
    if (visitor.exists) {
      report(`delete ${visitor.name}`);
      await visitor.disappear();
      // Sometimes it is back before anybody has noticed.
      if (random.float() < 0.5) return;
      await sleep(random.float() * 500);
    }
    report(`make ${visitor.name}`);
    visitor.appear();
    await this.sync(visitor);
  }

  async #stopAndStart(): Promise<void> {
    const { random, prover } = this.#stage;
    const application = this.#anyone();
    const { state } = application;
    const txid = txidOf(await this.#order("stop", application));
    prover.acknowledged(application.name).add({ txid, least: state });
    await sleep(random.float() * 2_000);
    await this.#order("start", application);
    await this.sync(application);
  }

  async #reload(): Promise<void> {
    const { random, daemon, report } = this.#stage;
    if (random.float() < 0.7) this.#isListed = !this.#isListed;
    else this.#syncInterval = `${100 + Math.floor(random.float() * 900)}ms`;
    report(
      `SIGHUP: sync-interval ${this.#syncInterval}, ${listedName} ${this.#isListed ? "in" : "out"}`,
    );
    await daemon.reload(this.configuration);
  }

  async #outage(): Promise<void> {
    const { random, proxy, daemon, report } = this.#stage;
    const faults: readonly ProxyFault[] = [
      { kind: "refuse" },
      { kind: "blackhole" },
      { kind: "lose-reply" },
      { kind: "cut-upload", afterBytes: 2_000 },
    ];
    const fault = faults[Math.floor(random.float() * faults.length)];
    report(`outage: ${fault?.kind}`);
    proxy.setFault(fault);
    await sleep(1_000 + random.float() * 5_000);
    if (this.#cards.includes("kill") && random.float() < 0.3) {
      this.#note("kill");
      report("SIGKILL in the outage");
      await daemon.kill();
      await daemon.start();
    }
    proxy.setFault(undefined);
    await this.sync(this.#anyone());
  }

  async #restartAfter(end: () => Promise<void>): Promise<void> {
    const { random, daemon } = this.#stage;
    await end();
    await sleep(random.float() * 2_000);
    await daemon.start();
    await this.sync(this.#anyone());
  }

  /** Gives an order again until it is carried out: a database that has just appeared is not known at once. */
  async #order(
    name: "sync" | "stop" | "start",
    application: Application,
    ...flags: readonly string[]
  ): Promise<Answer> {
    const { daemon } = this.#stage;
    let answer: Answer = {};
    let problem: unknown = "";
    const isDone = async (): Promise<boolean> => {
      try {
        answer = await daemon.command(name, application.path, ...flags, "-timeout", "60");
        return true;
      } catch (error) {
        this.#note("orders given again");
        problem = error;
        return false;
      }
    };
    await until(isDone, patienceMs).catch((error: unknown) => {
      throw new Error(
        `headwater ${name} ${application.path} never succeeded; the last time: ${String(problem)}`,
        {
          cause: error,
        },
      );
    });
    this.#stage.report(`${name} ${application.name}: ${JSON.stringify(answer)}`);
    return answer;
  }

  #note(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  #anyone(): Application {
    const all = this.replicated;
    const application = all[Math.floor(this.#stage.random.float() * all.length)];
    if (application === undefined) throw new Error("no database is replicated");
    return application;
  }

  #shuffled(): Card[] {
    const { random } = this.#stage;
    return this.#cards
      .map((card) => ({ card, at: random.float() }))
      .sort((a, b) => a.at - b.at)
      .map(({ card }) => card);
  }
}

/** How far the replica is. */
function txidOf(answer: Answer): Txid {
  return toTxid(Number(answer["replica_txid"] ?? answer["txid"]));
}
