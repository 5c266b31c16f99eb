// Restores moments of the soak's replicas with `headwater restore`, past the faults that Headwater meets, and proves each.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { parseTxid, formatTxid } from "../../src/core/ltx/txid.ts";
import type { Txid } from "../../src/core/ltx/txid.ts";
import type { Random } from "../../src/core/base/random.ts";
import type { S3Service } from "../support/ceph.ts";
import { headwater } from "../support/headwater.ts";
import { sha256OfFile } from "../support/live-image.ts";
import { Acknowledgements } from "./acknowledgements.ts";
import { provedState } from "./application.ts";

/** A restore point as `headwater timeline` lists it. */
interface Point {
  readonly txid: string;
  readonly timestamp: string;
}

interface Timeline {
  readonly points: readonly Point[];
  readonly gaps: readonly { readonly reason: string }[];
  readonly unreadable: readonly string[];
}

/** Which moment of a replica. */
type Moment = Txid | Date | "newest";

export interface ProverOptions {
  readonly service: S3Service;
  readonly bucket: string;
  /** For restored files. */
  readonly directory: string;
  readonly random: Random;
}

/** What was proved so far. */
export interface Proofs {
  txids: number;
  times: number;
  newest: number;
  /** Of all these: compared byte for byte. */
  exact: number;
  /** Whole replicas by `headwater verify`. */
  verified: number;
  /** Of these: retention had deleted some of the moments that were. */
  thinned: number;
  /** Moments that retention deleted before they could be restored. */
  gone: number;
}

export class Prover {
  readonly proofs: Proofs = {
    txids: 0,
    times: 0,
    newest: 0,
    exact: 0,
    verified: 0,
    thinned: 0,
    gone: 0,
  };
  readonly #options: ProverOptions;
  readonly #acknowledgements = new Map<string, Acknowledgements>();
  #files = 0;

  constructor(options: ProverOptions) {
    this.#options = options;
  }

  /** What was acknowledged about a replica. */
  acknowledged(name: string): Acknowledgements {
    const known = this.#acknowledgements.get(name) ?? new Acknowledgements();
    this.#acknowledgements.set(name, known);
    return known;
  }

  /** A random kind of restore of a random moment. */
  async proveSomething(name: string): Promise<void> {
    const before = await this.timeline(name);
    const { points } = before;
    const kind = this.#options.random.float();
    const [oldest, newest] = [points[0], points.at(-1)];
    if (oldest === undefined || newest === undefined || kind < 0.2) {
      await this.prove(name, "newest", { before });
    } else if (kind < 0.6) {
      const kept = this.#keptOf(name, points);
      // Half of the time one that was acknowledged.
      const pool = kept.length > 0 && kind < 0.4 ? kept : points.map(({ txid }) => toTxid(txid));
      await this.prove(name, this.#pick(pool), { before });
    } else {
      const from = Date.parse(oldest.timestamp) + 1;
      const spanMs = Date.parse(newest.timestamp) + 1_000 - from;
      const moment = new Date(from + Math.floor(this.#options.random.float() * spanMs));
      await this.prove(name, moment, { before });
    }
  }

  /** Restores one moment and proves it. `before` is the timeline before that, `sha256` what the file must be. */
  async prove(
    name: string,
    moment: Moment,
    { before, sha256 }: { readonly before: Timeline; readonly sha256?: string | undefined },
  ): Promise<void> {
    const output = join(this.#options.directory, `restored-${++this.#files}.db`);
    const flags = [...flagsOf(moment), "-o", output, "-json"];
    const { code, stdout, stderr } = await this.#run(["restore", this.url(name), ...flags]);
    const where = `${name} restored to ${describe(moment)}`;
    if (code !== 0) {
      if (!isGone(moment, await this.timeline(name))) throw new Error(`${where}: ${stderr}`);
      this.proofs.gone++;
      return;
    }
    const txid = toTxid(String(JSON.parse(stdout)["txid"]));
    try {
      if (moment instanceof Date) expectTxidAt(moment, txid, [before, await this.timeline(name)]);
      else if (moment !== "newest" && txid !== moment)
        throw new Error(`it is at TXID ${formatTxid(txid)}`);
      const restored = await sha256OfFile(output);
      if (sha256 !== undefined && restored !== sha256)
        throw new Error("it is not byte for byte the source");
      const acknowledged = this.acknowledged(name);
      acknowledged.check(txid, provedState(output), restored);
      if (sha256 !== undefined || acknowledged.isExact(txid)) this.proofs.exact++;
    } catch (error) {
      throw new Error(`${where}, in ${output}: ${String(error)}`, { cause: error });
    }
    rmSync(output);
    if (moment === "newest") this.proofs.newest++;
    else if (moment instanceof Date) this.proofs.times++;
    else this.proofs.txids++;
  }

  /**
   * All that can be proved of a replica that nobody is at work on: its newest state, every acknowledged TXID that is
   * still there, `headwater verify`, a timeline without holes.
   */
  async proveAll(name: string, sha256: string): Promise<void> {
    const timeline = await this.timeline(name);
    await this.prove(name, "newest", { before: timeline, sha256 });
    for (const txid of this.#keptOf(name, timeline.points))
      await this.prove(name, txid, { before: timeline });
    const { code, stdout, stderr } = await this.#run(["verify", this.url(name), "-json"]);
    if (code !== 0)
      throw new Error(`headwater verify of ${name} ended with ${code}: ${stdout}${stderr}`);
    const holes = timeline.gaps.filter(({ reason }) => reason !== "thinned");
    if (holes.length + timeline.unreadable.length > 0)
      throw new Error(`the timeline of ${name} has holes: ${JSON.stringify(timeline)}`);
    this.proofs.verified++;
    if (timeline.gaps.length > 0 || toTxid(timeline.points[0]?.txid ?? "") > 1n)
      this.proofs.thinned++;
  }

  /** What `headwater timeline` says. */
  async timeline(name: string): Promise<Timeline> {
    const { code, stdout, stderr } = await this.#run(["timeline", this.url(name), "-json"]);
    if (code !== 0) throw new Error(`headwater timeline of ${name}: ${stderr}`);
    return JSON.parse(stdout);
  }

  /** Of a replica, or of the whole bucket, without a proxy between. */
  url(name = ""): string {
    const { bucket, service } = this.#options;
    return `s3://${bucket}/${name}?endpoint=${service.endpoint}`;
  }

  async #run(
    args: readonly string[],
  ): Promise<{ code: number | null; stdout: string; stderr: string }> {
    const { accessKeyId, secretAccessKey } = this.#options.service;
    await using child = headwater(args, {
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
    });
    const { code } = await child.exited;
    return { code, stdout: child.lines.join("\n"), stderr: child.stderr };
  }

  #keptOf(name: string, points: readonly Point[]): readonly Txid[] {
    const kept = new Set(points.map(({ txid }) => txid));
    const txids = this.acknowledged(name).all.map(({ txid }) => txid);
    return [...new Set(txids)].filter((txid) => kept.has(formatTxid(txid)));
  }

  #pick<T>(from: readonly T[]): T {
    const picked = from[Math.floor(this.#options.random.float() * from.length)];
    if (picked === undefined) throw new Error("there is nothing to pick from");
    return picked;
  }
}

function toTxid(text: string): Txid {
  const txid = parseTxid(text);
  if (txid === undefined) throw new Error(`${JSON.stringify(text)} is no TXID`);
  return txid;
}

function flagsOf(moment: Moment): readonly string[] {
  if (moment === "newest") return [];
  return moment instanceof Date
    ? ["-timestamp", moment.toISOString()]
    : ["-txid", formatTxid(moment)];
}

function describe(moment: Moment): string {
  return typeof moment === "bigint" ? formatTxid(moment) : String(flagsOf(moment)[1] ?? moment);
}

/** The newest point strictly before `moment`. */
function pointAt(moment: Date, { points }: Timeline): string | undefined {
  return points.findLast(({ timestamp }) => Date.parse(timestamp) < moment.getTime())?.txid;
}

function isGone(moment: Moment, { points }: Timeline): boolean {
  if (moment === "newest") return points.length === 0;
  if (moment instanceof Date)
    return pointAt(moment, { points, gaps: [], unreadable: [] }) === undefined;
  return !points.some(({ txid }) => txid === formatTxid(moment));
}

/** Retention and new files may move the point while a restore is on its way, but only between those two. */
function expectTxidAt(moment: Date, txid: Txid, timelines: readonly Timeline[]): void {
  const [before, after] = timelines.map((timeline) => pointAt(moment, timeline));
  if (before === after && before !== formatTxid(txid))
    throw new Error(`it is at TXID ${formatTxid(txid)}, the timeline says ${before}`);
}
