// A store that keeps a record of what is read from it.
import { layoutForUrl } from "../../src/core/replica/layout.ts";
import type { ObjectStore } from "../../src/core/store/object-store.ts";
import { systemEnvironment } from "../../src/node/restore/environment.ts";
import type { Environment } from "../../src/node/restore/environment.ts";
import { partOf } from "./follow.ts";

export interface CountedGet {
  readonly key: string;
  readonly offset: number;
  /** `undefined`: to the end. */
  readonly length: number | undefined;
  /** That came. */
  bytes: number;
}

export class CountedReplica {
  readonly gets: CountedGet[] = [];
  /** Before each read. */
  onGet: (get: CountedGet) => Promise<void> | void = () => undefined;

  /** For a follower: opens the replica and counts. */
  readonly openReplica: Environment["openReplica"] = async (url, options) =>
    this.#counting(await systemEnvironment().openReplica(url, options));

  /** Bytes of LTX files that were read since the last time this was asked. */
  takeBytes(): number {
    return this.take().reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Reads of LTX files since the last time this was asked. */
  take(): readonly CountedGet[] {
    const layout = layoutForUrl("file:///");
    return this.gets.splice(0).filter(({ key }) => layout.parse(key) !== undefined);
  }

  #counting(store: ObjectStore): ObjectStore {
    return {
      ...partOf(store, () => true),
      get: async (key, options) => {
        const { offset = 0, length } = options;
        const get: CountedGet = { key, offset, length, bytes: 0 };
        this.gets.push(get);
        await this.onGet(get);
        const content = await store.get(key, options);
        return content && { info: content.info, body: counted(content.body, get) };
      },
    };
  }
}

async function* counted(
  body: AsyncIterable<Uint8Array>,
  get: CountedGet,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    get.bytes += chunk.length;
    yield chunk;
  }
}
