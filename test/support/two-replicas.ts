// A scene whose database has two replicas.
import type { EngineChildOptions } from "./engine.ts";
import { checkHistory } from "./history-check.ts";
import type { RestorePoint } from "./history-check.ts";
import type { Scene } from "./scene.ts";

/** The replicas of a scene: its own and another. */
export function twoReplicas(scene: Scene): {
  readonly second: string;
  readonly secondPath: string;
  /** For an engine that has both. */
  readonly both: Partial<EngineChildOptions>;
} {
  const second = scene.directory.url("second");
  return {
    second,
    secondPath: scene.directory.file("second"),
    both: { replica: undefined, replicas: [{ url: scene.replica }, { url: second }] },
  };
}

/**
 * Proves every restore point of both; that the newest of each is the source; and that both hold the same bytes at every
 * TXID after `from` that both have. Returns the points of both.
 */
export async function proveBoth(
  scene: Scene,
  { from = "", mayGoBack = false } = {},
): Promise<readonly [readonly RestorePoint[], readonly RestorePoint[]]> {
  const { second } = twoReplicas(scene);
  const points = [
    await scene.prove({ mayGoBack }),
    await scene.prove({ replica: second, mayGoBack }),
  ] as const;
  const byTxid = new Map(points[0].map((point) => [point.txid, point]));
  let common = 0;
  for (const { txid, sha256 } of points[1]) {
    const other = byTxid.get(txid);
    if (other === undefined || txid <= from) continue;
    common++;
    if (other.sha256 !== sha256) throw new Error(`the replicas differ at TXID ${txid}`);
  }
  if (common === 0) throw new Error("the replicas have no TXID in common");
  return points;
}

/** The restore points of the second replica. */
export function secondHistory(scene: Scene): Promise<readonly RestorePoint[]> {
  return checkHistory(twoReplicas(scene).second, { mayGoBack: true });
}
