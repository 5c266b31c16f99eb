// Logs are an event name and fields. Where they go is the caller's business.

export type LogLevel = "debug" | "info" | "warn" | "error";
export type LogFields = Readonly<Record<string, unknown>>;

/** Takes one event such as `"ltx.uploaded"` with its fields. Never throws. */
export interface Logger {
  log(level: LogLevel, event: string, fields?: LogFields): void;
}

/** A logger that drops everything. */
export const silentLogger: Logger = { log: () => undefined };
