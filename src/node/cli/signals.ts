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
    super(`interrupted by ${signal}; nothing was changed`);
  }
}
