// Lets a page do what else it has to do.

/** Resolves in a turn of its own: events that wait come first, and the screen may be drawn. */
export async function giveTurn(): Promise<void> {
  const { port1, port2 } = new MessageChannel();
  const { promise, resolve } = Promise.withResolvers<void>();
  port1.addEventListener("message", () => resolve(), { once: true });
  port1.start();
  port2.postMessage(undefined);
  await promise;
  port1.close();
}
