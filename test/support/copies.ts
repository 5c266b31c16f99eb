// Local copies in the process of the test, beside a replica that is published TXID by TXID.
import { openCodec } from "../../src/core/codec/codec.ts";
import { toTxid } from "../../src/core/ltx/txid.ts";
import { StateFile } from "../../src/node/follow/state-file.ts";
import { copyStateOf } from "../../src/node/hydrate/hydrator.ts";
import { LocalCopies } from "../../src/node/hydrate/local-copies.ts";
import { type Environment, systemEnvironment } from "../../src/node/restore/environment.ts";

export interface OpenedCopies extends AsyncDisposable {
  readonly copies: LocalCopies;
  readonly events: string[];
  /** Paths whose reader does not let go: a new file has to take their place. */
  readonly stuck: Set<string>;
  to(txid: number): Promise<void>;
}

/** Opens the copies at a path; whoever asks is told that nobody reads them. */
export async function openCopies(
  url: string,
  path: string,
  surroundings: Partial<Environment> = {},
): Promise<OpenedCopies> {
  const events: string[] = [];
  const environment: Environment = {
    ...systemEnvironment({ log: (_, event) => void events.push(event) }),
    ...surroundings,
  };
  const stuck = new Set<string>();
  await using stack = new AsyncDisposableStack();
  const state = stack.use(StateFile.open(copyStateOf(path)));
  const store = stack.use(await environment.openReplica(url, {}));
  const copies = new LocalCopies({
    environment,
    store,
    codec: openCodec(),
    path,
    state,
    whenFree: async (at) => !stuck.has(at),
    onNewest: () => events.push("newest"),
  });
  const opened = stack.move();
  return {
    copies,
    events,
    stuck,
    to: (txid) => copies.bringTo(toTxid(txid), {}),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
