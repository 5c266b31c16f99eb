// Comparing two ways to do the same on a machine that is not quiet: both run in turn, several times, and the ratio is
// taken within each round.

export interface Contender {
  /** Does the work once. */
  readonly run: () => Promise<void> | void;
}

export interface Comparison {
  /** Median over the rounds of (time of theirs / time of ours): above 1 we are faster. */
  readonly ratio: number;
  readonly oursMs: number;
  readonly theirsMs: number;
}

/** Runs both once to warm up, then `rounds` times in alternating order. */
export async function compare(
  ours: Contender,
  theirs: Contender,
  { rounds = 5 }: { readonly rounds?: number } = {},
): Promise<Comparison> {
  await ours.run();
  await theirs.run();
  const oursMs: number[] = [];
  const theirsMs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const isOursFirst = round % 2 === 0;
    if (isOursFirst) oursMs.push(await timed(ours));
    theirsMs.push(await timed(theirs));
    if (!isOursFirst) oursMs.push(await timed(ours));
  }
  return {
    ratio: median(oursMs.map((ms, i) => (theirsMs[i] ?? 0) / ms)),
    oursMs: median(oursMs),
    theirsMs: median(theirsMs),
  };
}

async function timed({ run }: Contender): Promise<number> {
  const start = performance.now();
  await run();
  return performance.now() - start;
}

/** The middle value. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
