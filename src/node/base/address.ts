// Addresses to listen on, as Go programs write them: `localhost:9090`, `[::1]:9090`, `:9090`.

export interface Address {
  /** `undefined` if the text begins with the colon. */
  readonly host: string | undefined;
  /** 0 = any free port. */
  readonly port: number;
}

/** `undefined` if the text is no host and port. */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[(?<bracketed>[0-9a-f:.]+)\]|(?<plain>[^\s:/[\]]*)):(?<port>\d{1,5})$/iu.exec(
    text,
  )?.groups;
  const port = Number(match?.["port"]);
  if (match === undefined || port > 65_535) return undefined;
  return { host: match["bracketed"] ?? (match["plain"] || undefined), port };
}

/** True if only this machine can reach it. */
export function isLoopback(host: string): boolean {
  return /^(?:localhost|127(?:\.\d{1,3}){3}|::1)$/iu.test(host);
}
