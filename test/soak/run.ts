// One soak: real databases under load, `headwater replicate` with a configuration file and a real S3 server, everything
// that goes wrong in the life of a server, and the proof that nothing was lost.
import { writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { createSeededRandom } from "../../src/core/testing/seeded-random.ts";
import { freePorts, startCeph } from "../support/ceph.ts";
import { startFaultProxy } from "../support/fault-proxy.ts";
import type { FaultProxy } from "../support/fault-proxy.ts";
import { createBucket } from "../support/s3-bucket.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { Application } from "./application.ts";
import { countReplicaFiles, saveBucket } from "./bucket.ts";
import type { Bucket } from "./bucket.ts";
import { Chaos } from "./chaos.ts";
import { SoakDaemon } from "./daemon.ts";
import { Measuring } from "./measure.ts";
import { scrapeMetrics } from "./metrics.ts";
import { applicationPlans, configuration } from "./plan.ts";
import type { SoakOptions } from "./plan.ts";
import { Prover } from "./prover.ts";
import type { SoakReport } from "./report.ts";

const bucketName = "soak";

/** In a longer run retention has its turn, whatever the machine has to do. */
const minutesUntilRetention = 8;

/** Runs one. What fails is in the report; its working directory is then kept. */
export async function runSoak(options: SoakOptions): Promise<SoakReport> {
  await using ceph = await startCeph();
  await createBucket(ceph.service, bucketName);
  const requests = new Map<string, number>();
  await using proxy = await startFaultProxy(ceph.service.endpoint, {
    onRequest: (method, target) => {
      const kind = requestKind(method, target);
      requests.set(kind, (requests.get(kind) ?? 0) + 1);
    },
  });
  const directory = temporaryDirectory();
  const report = await new Soak(options, {
    directory: directory.path,
    proxy,
    bucket: { service: ceph.service, bucket: bucketName },
    metricsPort: (await freePorts())[0],
  }).run();
  if (report.failures.length === 0) directory[Symbol.dispose]();
  return { ...report, requests: Object.fromEntries(requests) };
}

interface Place {
  readonly directory: string;
  readonly bucket: Bucket;
  readonly proxy: FaultProxy;
  readonly metricsPort: number;
}

class Soak {
  readonly #options: SoakOptions;
  readonly #place: Place;
  readonly #applications: ReadonlyMap<string, Application>;
  readonly #daemon: SoakDaemon;
  readonly #prover: Prover;
  readonly #chaos: Chaos;
  readonly #failed = new AbortController();
  readonly #failures: string[] = [];
  /** Nothing more will be done to Headwater. */
  #isCalm = false;

  constructor(options: SoakOptions, place: Place) {
    const { seed, minutes, kills, report } = options;
    const { directory, bucket, proxy, metricsPort } = place;
    this.#options = options;
    this.#place = place;
    this.#applications = new Map(
      applicationPlans.map((plan, i) => [
        plan.name,
        new Application(directory, plan, seed + i * 10_000),
      ]),
    );
    this.#daemon = new SoakDaemon(`${directory}/litestream.yml`, (error) => this.#fail(error));
    const random = (offset: number): ReturnType<typeof createSeededRandom> =>
      createSeededRandom(seed + offset);
    this.#prover = new Prover({ ...bucket, directory, random: random(1) });
    this.#chaos = new Chaos(
      {
        daemon: this.#daemon,
        proxy,
        prover: this.#prover,
        applications: this.#applications,
        random: random(2),
        report,
        configuration: (facts) =>
          configuration({
            ...facts,
            directory,
            minutes,
            metricsPort,
            socket: `${directory}/headwater.sock`,
            bucket: bucket.bucket,
            service: { ...bucket.service, endpoint: proxy.endpoint },
          }),
      },
      { kills },
    );
  }

  async run(): Promise<SoakReport> {
    const { seed, report, signal } = this.#options;
    signal.addEventListener("abort", () => this.#fail(new Error("interrupted")));
    const { directory } = this.#place;
    const startMs = performance.now();
    using measuring = new Measuring({
      pid: () => this.#daemon.pid,
      databases: [...this.#applications.values()].map(({ path }) => path),
    });
    report(`seed ${seed}, in ${directory}`);
    let ended = { files: 0, metrics: 0 };
    try {
      await this.#begin();
      await Promise.all([this.#disturb(startMs), this.#proveMoments()]);
      if (this.#failures.length === 0) ended = await this.#proveEnd();
    } catch (error) {
      this.#fail(error);
    }
    for (const application of this.#applications.values()) await application[Symbol.asyncDispose]();
    await this.#daemon[Symbol.asyncDispose]();
    if (this.#failures.length > 0) await this.#keep();
    const names = [...this.#applications.keys()];
    return {
      ...ended,
      seed,
      seconds: (performance.now() - startMs) / 1000,
      failures: this.#failures,
      directory: this.#failures.length > 0 ? directory : undefined,
      commits: [...this.#applications.values()].reduce((sum, { commits }) => sum + commits, 0),
      acknowledged: names.reduce(
        (sum, name) => sum + this.#prover.acknowledged(name).all.length,
        0,
      ),
      proofs: this.#prover.proofs,
      events: Object.fromEntries(this.#chaos.counts),
      requests: {},
      costs: measuring.costs,
      warnings: Object.fromEntries(this.#daemon.warnings),
    };
  }

  async #begin(): Promise<void> {
    writeFileSync(this.#daemon.config, this.#chaos.configuration);
    await this.#daemon.start();
    for (const application of this.#applications.values()) application.appear();
    for (const application of this.#applications.values()) await this.#chaos.sync(application);
  }

  /** Until the time is over, and everything has happened once. */
  async #disturb(startMs: number): Promise<void> {
    const { signal } = this.#failed;
    const endsAtMs = startMs + this.#options.minutes * 60_000;
    for (
      let cards = 0;
      !signal.aborted && (cards < this.#chaos.deckSize || performance.now() < endsAtMs);
      cards++
    ) {
      await this.#chaos.next().catch((error: unknown) => this.#fail(error));
      await sleep(500, undefined, { signal }).catch(() => undefined);
    }
    this.#isCalm = true;
  }

  /** Restores while Headwater works, until it is calm. */
  async #proveMoments(): Promise<void> {
    const names = [...this.#applications.keys()];
    for (let i = 0; !this.#isCalm && !this.#failed.signal.aborted; i++)
      await this.#prover
        .proveSomething(names[i % names.length] ?? "")
        .catch((error: unknown) => this.#fail(error));
  }

  /** Every database against its replica, every replica against itself. */
  async #proveEnd(): Promise<{ files: number; metrics: number }> {
    const { bucket, metricsPort } = this.#place;
    this.#options.report("the end: everything is proved");
    await this.#chaos.settle();
    const applications = [...this.#applications.values()];
    const sha256s = new Map<string, string>();
    for (const one of applications)
      sha256s.set(one.name, await this.#chaos.syncExactly(one, { resumes: false }));
    const metrics = await scrapeMetrics(metricsPort, applications);
    if (metrics === 0 && this.#daemon.servesMetrics)
      throw new Error(`nobody answers on 127.0.0.1:${metricsPort}, the addr of the configuration`);
    await this.#daemon.stop();
    await Promise.all(
      applications.map(({ name }) => this.#prover.proveAll(name, sha256s.get(name) ?? "")),
    );
    if (this.#options.minutes > minutesUntilRetention && this.#prover.proofs.thinned === 0)
      throw new Error("retention has deleted nothing of any replica");
    const files = await countReplicaFiles(bucket, [...this.#applications.keys()]);
    return { files, metrics };
  }

  #fail(error: unknown): void {
    const text = error instanceof Error ? error.message : String(error);
    this.#options.report(`FAILED: ${text}`);
    this.#failures.push(text);
    this.#failed.abort();
  }

  async #keep(): Promise<void> {
    const { directory, bucket } = this.#place;
    writeFileSync(`${directory}/headwater.log`, this.#daemon.log.join("\n"));
    await saveBucket(bucket, `${directory}/bucket`).catch((error: unknown) => {
      this.#failures.push(`the bucket could not be copied: ${String(error)}`);
    });
  }
}

function requestKind(method: string, target: string): string {
  const query = target.split("?")[1] ?? "";
  if (method === "GET") return query.includes("list-type") ? "list" : "get";
  if (method === "PUT") return query.includes("partNumber") ? "put part" : "put";
  if (method === "POST") return query.startsWith("delete") ? "delete" : "multipart";
  return method.toLowerCase();
}
