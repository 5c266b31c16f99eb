// An HTTP server that answers as a test says: for the dialects of S3 that no server at hand speaks.
import { createServer } from "node:http";
import type { IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";

export interface StubRequest {
  readonly method: string;
  /** Decoded, with bucket. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface StubAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

export interface S3Stub extends AsyncDisposable {
  readonly endpoint: string;
  /** All that came, oldest first. */
  readonly requests: readonly StubRequest[];
}

/** Signatures are not looked at. */
export async function startS3Stub(answer: (request: StubRequest) => StubAnswer): Promise<S3Stub> {
  const requests: StubRequest[] = [];
  const server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.once("end", () => {
      const url = new URL(incoming.url ?? "/", "http://stub");
      const request = {
        method: incoming.method ?? "",
        path: decodeURIComponent(url.pathname),
        query: url.searchParams,
        headers: incoming.headers,
        body: Buffer.concat(chunks),
      };
      requests.push(request);
      const { status, headers = {}, body = "" } = answer(request);
      outgoing.writeHead(status, { "x-amz-request-id": "stub", ...headers }).end(body);
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  // A server on a TCP port has an address of this shape.
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    requests,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}

/** S3's way of saying no. */
export function errorAnswer(status: number, code: string): StubAnswer {
  return {
    status,
    headers: { "content-type": "application/xml" },
    body: `<?xml version="1.0"?><Error><Code>${code}</Code><Message>as the test says</Message></Error>`,
  };
}

/**
 * A server that stores whole objects and checks `If-None-Match` and `If-Match` on puts, unless `override` answers
 * first.
 */
export function startTinyS3(
  override: (request: StubRequest, objects: Map<string, Buffer>) => StubAnswer | undefined,
): Promise<S3Stub> {
  const objects = new Map<string, Buffer>();
  return startS3Stub((request) => {
    const special = override(request, objects);
    if (special !== undefined) return special;
    const { method, path, headers, body } = request;
    const stored = objects.get(path);
    switch (method) {
      case "PUT": {
        const wanted = headers["if-match"];
        const isRefused =
          (headers["if-none-match"] === "*" && stored !== undefined) ||
          (wanted !== undefined && (stored === undefined || wanted !== etagOf(stored)));
        if (isRefused) return errorAnswer(412, "PreconditionFailed");
        objects.set(path, body);
        return { status: 200, headers: { etag: etagOf(body) } };
      }
      case "GET":
      case "HEAD": {
        if (stored === undefined) return errorAnswer(404, "NoSuchKey");
        const answered = { etag: etagOf(stored), "content-length": String(stored.length) };
        return { status: 200, headers: answered, body: method === "HEAD" ? "" : stored };
      }
      case "DELETE":
        objects.delete(path);
        return { status: 204 };
      default:
        return errorAnswer(501, "NotImplemented");
    }
  });
}

function etagOf(bytes: Buffer): string {
  return `"${Buffer.from(bytes.toString("hex").slice(0, 24)).toString("hex")}-${bytes.length}"`;
}
