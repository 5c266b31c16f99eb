// What is wrong in a configuration file. All of it is collected, so that one look at the messages mends the file.
import { HeadwaterError } from "../../../core/base/errors.ts";

/** From the root of the file to a value: `["dbs", 0, "replica"]`. */
export type KeyPath = readonly (string | number)[];

export interface Position {
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
}

/** A remark about one place of the file. */
export interface Remark extends Position {
  /** Begins with the file, the line and the column. */
  readonly message: string;
}

/** `dbs[0].replica`. */
export function formatKeyPath(path: KeyPath): string {
  return path
    .map((step, index) =>
      typeof step === "number" ? `[${step}]` : `${index === 0 ? "" : "."}${step}`,
    )
    .join("");
}

/** Collects mistakes and warnings, each at its place. */
export class Remarks {
  readonly #file: string;
  readonly #positionOf: (path: KeyPath) => Position;
  readonly #mistakes: Remark[] = [];
  readonly #warnings: Remark[] = [];

  constructor(file: string, positionOf: (path: KeyPath) => Position) {
    this.#file = file;
    this.#positionOf = positionOf;
  }

  /** In the order of the file. */
  get warnings(): readonly Remark[] {
    return this.#warnings.toSorted(byPlace);
  }

  /** In the order they were found. */
  get mistakes(): readonly Remark[] {
    return this.#mistakes;
  }

  /** `problem` follows the name of the key: `must be a duration`. */
  mistake(path: KeyPath, problem: string): void {
    this.#mistakes.push(this.#remark(path, problem));
  }

  warning(path: KeyPath, problem: string): void {
    const remark = this.#remark(path, problem);
    // The entry of a directory is read once for each of its databases.
    if (this.#warnings.some(({ message }) => message === remark.message)) return;
    this.#warnings.push(remark);
  }

  /** Throws `config/invalid` if there was a mistake. */
  throwMistakes(): void {
    if (this.#mistakes.length > 0) throw configError(this.#file, this.#mistakes);
  }

  #remark(path: KeyPath, problem: string): Remark {
    return remarkAt(this.#file, this.#positionOf(path), `${formatKeyPath(path)} ${problem}`.trim());
  }
}

/** `file:line:column: message`, as compilers write it, so that editors can jump there. */
export function remarkAt(file: string, position: Position, message: string): Remark {
  return { ...position, message: `${file}:${position.line}:${position.column}: ${message}` };
}

/** One error for all mistakes of a file, in their order in it. */
export function configError(
  file: string,
  mistakes: readonly Remark[],
  cause?: unknown,
): HeadwaterError {
  const sorted = mistakes.toSorted(byPlace);
  const [first] = sorted;
  return new HeadwaterError("config/invalid", sorted.map(({ message }) => message).join("\n"), {
    data: { path: file, line: first?.line, column: first?.column },
    cause,
  });
}

function byPlace(a: Position, b: Position): number {
  return a.line - b.line || a.column - b.column;
}
