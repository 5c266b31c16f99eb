/** What ends the wait of whoever asked: a call that waits for the disk, the store or a lock rejects once it is aborted. */
export interface Waiting {
  readonly signal: AbortSignal;
}
