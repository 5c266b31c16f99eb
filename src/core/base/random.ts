// Randomness as an argument, so that one seed replays a run.

/** A source of random numbers: `float` in [0, 1), `bytes` filled uniformly. */
export interface Random {
  float(): number;
  bytes(length: number): Uint8Array<ArrayBuffer>;
}
