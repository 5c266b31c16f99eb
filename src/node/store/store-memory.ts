// What stores have found out about servers and file systems, for those that are opened later in the same process: a
// database that wakes up opens its store anew each time, and would otherwise find it out each time.
import type { S3Abilities } from "./s3-probe.ts";

export class StoreMemory {
  /** Whether a file system has hard links, by its device. */
  readonly links = new Memo<boolean>();
  /** What a server does with conditions, by endpoint and bucket. */
  readonly abilities = new Memo<S3Abilities>();
  /** Where a bucket is, by its name. */
  readonly regions = new Memo<string | undefined>();
  readonly directories = new KnownDirectories();
}

/** Answers to one kind of question. What fails is asked again the next time. */
export class Memo<T> {
  readonly #answerByKey = new Map<string, Promise<T>>();

  /** The answer of the first who asked. */
  of(key: string, find: () => Promise<T>): Promise<T> {
    const known = this.#answerByKey.get(key);
    if (known !== undefined) return known;
    const answer = find();
    this.#answerByKey.set(key, answer);
    answer.catch(() => this.#answerByKey.delete(key));
    return answer;
  }
}

/** Beyond so many all are forgotten, which costs a few syncs of the disk. */
const mostDirectories = 200_000;

/** Directories of file stores that this process has seen to. One that vanishes afterwards makes a put fail. */
export class KnownDirectories {
  /** There, and there after a power cut. */
  readonly #durable = new Set<string>();
  /** Also free of what dead writers have left. */
  readonly #ready = new Set<string>();

  isDurable(directory: string): boolean {
    return this.#durable.has(directory);
  }

  isReady(directory: string): boolean {
    return this.#ready.has(directory);
  }

  noteDurable(directory: string): void {
    if (this.#durable.size >= mostDirectories) this.#durable.clear();
    this.#durable.add(directory);
  }

  noteReady(directory: string): void {
    if (this.#ready.size >= mostDirectories) this.#ready.clear();
    this.#ready.add(directory);
  }

  /** Somebody may have removed something. */
  forget(): void {
    this.#durable.clear();
    this.#ready.clear();
  }
}
