// Captures that are still open when the process ends: its connections would be closed in any order, and the WAL deleted.

interface Closable {
  closeNow(): void;
}

const open = new Set<Closable>();
let hasExitHook = false;

/** Closes `capture` at the end of the process, unless it was forgotten before. */
export function closeAtExit(capture: Closable): void {
  open.add(capture);
  if (hasExitHook) return;
  hasExitHook = true;
  process.once("exit", () => {
    for (const one of open) one.closeNow();
  });
}

export function forgetAtExit(capture: Closable): void {
  open.delete(capture);
}
