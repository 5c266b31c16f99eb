// Rule (a) of adoption.
import type { ReplicaParts } from "./parts.ts";
import type { ReplicaHead } from "./replica-survey.ts";
import type { Waiting } from "./waiting.ts";

/** The head's level-0 object has the bytes of a file staged here. */
export async function isStagedHere(
  { staging, link }: ReplicaParts,
  head: ReplicaHead | undefined,
  waiting: Waiting,
): Promise<boolean> {
  const staged = head === undefined ? undefined : staging.find(head.txid);
  if (staged === undefined || head?.single === undefined) return false;
  return link.isIdentical(head.single.key, staging.body(staged), waiting);
}
