// Durations and sizes as people and configuration files write them.

const durationUnits: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1e3,
  m: 6e4,
  h: 3.6e6,
};

/** A duration as Go writes it, `1s`, `1m30s`, `250ms`, or `0`; in milliseconds. `undefined` for anything else. */
export function parseDuration(text: string): number | undefined {
  if (text === "0") return 0;
  const parts = [...text.matchAll(/(?<count>\d+(?:\.\d+)?)(?<unit>ns|us|µs|ms|s|m|h)/gu)];
  if (text === "" || parts.map(([part]) => part).join("") !== text) return undefined;
  return parts.reduce(
    (sum, { groups }) =>
      sum + Number(groups?.["count"]) * (durationUnits[groups?.["unit"] ?? ""] ?? 0),
    0,
  );
}

const byteUnits: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/** A size such as `1GiB` (2^30), `500MB` (10^6 based) or a bare number of bytes. `undefined` for anything else. */
export function parseBytes(text: string): number | undefined {
  const parts = /^(?<count>\d+(?:\.\d+)?) ?(?<unit>[a-z]*)$/iu.exec(text)?.groups;
  const unit = byteUnits[(parts?.["unit"] ?? "none").toLowerCase()];
  return unit === undefined ? undefined : Math.floor(Number(parts?.["count"]) * unit);
}

const shownUnits = ["B", "kB", "MB", "GB", "TB", "PB"] as const;

/** Three significant digits, decimal units: `131 MB`. */
export function formatBytes(sizeBytes: number): string {
  let value = sizeBytes;
  let unit = 0;
  while (value >= 999.5 && unit < shownUnits.length - 1) {
    value /= 1000;
    unit++;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${shownUnits[unit] ?? "B"}`;
}
