// The token that clients from elsewhere have to send.
import { createHash, timingSafeEqual } from "node:crypto";

/** The answer for a request that does not carry the token; `key` is where it is configured. */
export function refuseWithoutToken(
  { headers }: Request,
  { token, key }: { readonly token: string; readonly key: string },
): Response | undefined {
  const given = /^bearer +(?<token>\S+)\s*$/iu.exec(headers.get("authorization") ?? "")?.groups;
  if (timingSafeEqual(digestOf(given?.["token"] ?? ""), digestOf(token))) return undefined;
  return Response.json(
    { error: `Send the token of ${key} as Authorization: Bearer TOKEN.` },
    { status: 401, headers: { "www-authenticate": "Bearer" } },
  );
}

/** All of one length, so that comparing takes the same time. */
function digestOf(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
