// What to do with the replica we find: architecture section 6, rules (a) to (c), as a function of facts.

/** What is known when the replica has been listed. */
export interface AdoptionFacts {
  /** The replica holds at least one file. */
  readonly hasHead: boolean;
  /** Something is staged here. */
  readonly hasStaged: boolean;
  /** The head's level-0 file has the bytes of a file staged here. */
  readonly isHeadStagedHere: boolean;
  /** The live database has exactly the pages that the head proves. */
  readonly isSourceAtHead: boolean;
  /** The head's node id is ours, or its Litestream has just been set aside. */
  readonly isWriterKnown: boolean;
  readonly takeOver: boolean;
}

export type Adoption =
  /** Empty, and we hold nothing: the first image. */
  | "first-image"
  /** Empty, and we hold a history: an image of it at its TXID. */
  | "image-of-held"
  /** (a) Our own files: go on uploading. */
  | "continue"
  /** (b) A restored database: continue after the head, nothing to upload. */
  | "continue-restored"
  /** (c) Anything else: our staged files go aside, a full image follows the head. */
  | "take-over"
  /** (c), but another writer may still be at work: first the head must stand still. */
  | "wait-then-take-over";

export function decideAdoption(facts: AdoptionFacts): Adoption {
  if (!facts.hasHead) return facts.hasStaged ? "image-of-held" : "first-image";
  if (facts.isHeadStagedHere) return "continue";
  if (facts.isSourceAtHead) return "continue-restored";
  return facts.isWriterKnown || facts.takeOver ? "take-over" : "wait-then-take-over";
}
