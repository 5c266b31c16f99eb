// Ctrl-C and SIGTERM as an abort: what is being made is removed, what was there stays.

/** Aborts `signal` at the first SIGINT or SIGTERM, until disposed. A second one ends the process at once. */
export function abortOnSignals(): { readonly signal: AbortSignal } & Disposable {
  const controller = new AbortController();
  const names = ["SIGINT", "SIGTERM"] as const;
  const onSignal = (name: NodeJS.Signals): void => {
    controller.abort(new InterruptedError(name));
    stop();
  };
  const stop = (): void => {
    for (const name of names) process.off(name, onSignal);
  };
  for (const name of names) process.on(name, onSignal);
  return { signal: controller.signal, [Symbol.dispose]: stop };
}

/** The reason of an abort by a signal of the system. */
class InterruptedError extends Error {
  override readonly name = "InterruptedError";

  constructor(signal: NodeJS.Signals) {
    super(`interrupted by ${signal} before everything was done`);
  }
}

/** SIGINT and SIGTERM for work that ends in order at the first one and gives up at the second. */
export class StopSignals implements Disposable {
  readonly #first = new AbortController();
  readonly #second = new AbortController();
  #name: NodeJS.Signals | undefined;

  constructor() {
    for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, this.#onSignal);
  }

  get first(): AbortSignal {
    return this.#first.signal;
  }

  get second(): AbortSignal {
    return this.#second.signal;
  }

  /** The first signal that came. */
  get name(): NodeJS.Signals | undefined {
    return this.#name;
  }

  /** Resolves at the first signal. */
  received(): Promise<void> {
    if (this.first.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      this.first.addEventListener("abort", () => resolve(), { once: true });
    });
  }

  [Symbol.dispose](): void {
    for (const name of ["SIGINT", "SIGTERM"] as const) process.off(name, this.#onSignal);
  }

  readonly #onSignal = (name: NodeJS.Signals): void => {
    if (this.#name !== undefined) this.#second.abort(new InterruptedError(name));
    this.#name ??= name;
    this.#first.abort(new InterruptedError(name));
  };
}

/** Calls `reload` at each SIGHUP, until disposed. */
export function onHangUp(reload: () => void): Disposable {
  process.on("SIGHUP", reload);
  return { [Symbol.dispose]: () => void process.off("SIGHUP", reload) };
}
