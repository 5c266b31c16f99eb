// Starts the server that tests in a browser read replicas from. It is another origin than the page.
import type { TestProject } from "vitest/node";
import { startSceneServer } from "../support/scene-server.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Its origin. */
    readonly replicaServer: string;
  }
}

export default async function startWeb(project: TestProject): Promise<() => Promise<void>> {
  const server = await startSceneServer();
  project.provide("replicaServer", server.origin);
  return () => server[Symbol.asyncDispose]();
}
