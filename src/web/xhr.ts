// Requests that block, which browsers allow in workers.
import type { HttpFetchNow } from "../core/store/http-reads.ts";

/** Of a request that is not answered; nothing else can end it. */
const timeoutMs = 30_000;

/** Throws if there is no answer. */
export const fetchNow: HttpFetchNow = (url, { headers }) => {
  const request = new XMLHttpRequest();
  request.open("GET", url, false);
  request.responseType = "arraybuffer";
  request.timeout = timeoutMs;
  for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
  request.send();
  const body: unknown = request.response;
  return {
    status: request.status,
    headers: parseHeaders(request.getAllResponseHeaders()),
    bytes: body instanceof ArrayBuffer ? new Uint8Array(body) : new Uint8Array(0),
  };
};

/** To ask for a single header that CORS hides makes the browser complain in its console. */
function parseHeaders(text: string): { get(name: string): string | null } {
  const valueByName = new Map(
    text.split("\r\n").map((line) => {
      const [name = "", ...value] = line.split(": ");
      return [name.toLowerCase(), value.join(": ")];
    }),
  );
  return { get: (name) => valueByName.get(name.toLowerCase()) ?? null };
}

/** Whether a blob's address leads anywhere. */
export function isThere(address: string): boolean {
  const request = new XMLHttpRequest();
  try {
    request.open("GET", address, false);
    request.send();
    return request.status === 200;
  } catch {
    return false;
  }
}
