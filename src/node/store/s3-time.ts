// The time of an object, where Litestream keeps it on S3: user metadata `litestream-timestamp`, RFC 3339.

export const timestampName = "litestream-timestamp";

/** As Go's RFC3339Nano: no trailing zeros in the fraction. */
export function formatTimestamp(timestampMs: number): string {
  return new Date(timestampMs)
    .toISOString()
    .replace(/\.?0*Z$/, "Z")
    .replace(/:(\d)Z$/, ":$10Z");
}

/** Milliseconds, rounded down; `undefined` if it is no time. */
export function parseTimestamp(text: string | undefined): number | undefined {
  const timestampMs = text === undefined ? Number.NaN : Date.parse(text);
  return Number.isNaN(timestampMs) ? undefined : timestampMs;
}
