// A replica behind a static file server, for a test in a browser.
import { inject } from "vitest";
import type { FileRange } from "./replica-builder.ts";
import type { SceneCommands } from "./scene-server.ts";

export class WebScene {
  readonly id: string;
  /** TXID of the last step. */
  readonly txid: number;

  private constructor({ id, txid }: SceneCommands["make"]["answer"]) {
    this.id = id;
    this.txid = txid;
  }

  /** Without `steps` the database of `databaseStates`; no file of it is there yet. */
  static async make(asked: SceneCommands["make"]["asked"] = {}): Promise<WebScene> {
    return new WebScene(await ask("make", asked));
  }

  /** Of the replica. */
  get url(): string {
    return `${inject("replicaServer")}/${this.id}`;
  }

  /** The database file of a TXID. */
  async databaseAt(txid: number): Promise<Uint8Array> {
    const response = await fetch(`${inject("replicaServer")}/${this.id}-databases/${txid}.db`);
    return new Uint8Array(await response.arrayBuffer());
  }

  async put(...ranges: readonly FileRange[]): Promise<void> {
    await ask("put", { id: this.id, ranges });
  }

  /** Of the stream of its primary. */
  get primary(): string {
    return `${inject("replicaServer")}/-/primary/${this.id}`;
  }

  /** Sends files to those who follow the stream. */
  async push(...ranges: readonly FileRange[]): Promise<void> {
    await ask("push", { id: this.id, ranges });
  }

  /** Writes the manifest anew. */
  async describe(): Promise<void> {
    await ask("describe", { id: this.id });
  }

  async remove(...ranges: readonly FileRange[]): Promise<void> {
    await ask("remove", { id: this.id, ranges });
  }

  async damagePages(range: FileRange, pgnos: readonly number[]): Promise<void> {
    await ask("damagePages", { id: this.id, range, pgnos });
  }

  async damage(range: FileRange, offset: number): Promise<void> {
    await ask("damage", { id: this.id, range, offset });
  }
}

/** From now on. `{}` ends it. */
export async function behave(behaviour: SceneCommands["behave"]["asked"]): Promise<void> {
  await ask("behave", behaviour);
}

/** Requests since the last time this was asked. */
export async function takeRequests(): Promise<SceneCommands["requests"]["answer"]> {
  return ask("requests", {});
}

/** Resolves once nothing is asked for any more: read-ahead for queries that have their answer goes on for a while. */
export async function requestsEnd(): Promise<void> {
  do {
    await new Promise((resolve) => setTimeout(resolve, 200));
  } while ((await takeRequests()).length > 0);
}

async function ask<Name extends keyof SceneCommands>(
  name: Name,
  asked: SceneCommands[Name]["asked"],
): Promise<SceneCommands[Name]["answer"]> {
  const body = JSON.stringify(asked);
  const response = await fetch(`${inject("replicaServer")}/-/${name}`, { method: "POST", body });
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}
