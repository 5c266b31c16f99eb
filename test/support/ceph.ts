// A real S3 server for tests and benchmarks: Ceph's RADOS Gateway with one monitor and one storage daemon in memory.
// Nothing outside one temporary directory is touched.
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import * as fs from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** What a test needs to open a store. */
export interface S3Service {
  /** `http://127.0.0.1:port` */
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface RunningCeph extends AsyncDisposable {
  readonly service: S3Service;
}

const executables = [
  "ceph-mon",
  "ceph-osd",
  "radosgw",
  "ceph",
  "monmaptool",
  "radosgw-admin",
  "setpriv",
];
const startTimeoutMs = 60_000;
const stopTimeoutMs = 10_000;

/** Why Ceph cannot be started here, in one line that names the packages; `undefined` if it can. */
export function missingForCeph(): string | undefined {
  const directories = (process.env["PATH"] ?? "").split(delimiter);
  const missing = executables.filter(
    (name) => !directories.some((directory) => existsSync(join(directory, name))),
  );
  if (missing.length === 0) return undefined;
  return `${missing.join(", ")} not found: apt-get install --no-install-recommends ceph-mon ceph-osd radosgw ceph-common util-linux`;
}

/** Whether tests can have one. Says so if not; with HEADWATER_REQUIRE_ALL=1 that is an error. */
export function hasCeph(): boolean {
  const missing = missingForCeph();
  if (missing === undefined) return true;
  const text = `Tests that need S3 are left out. ${missing}`;
  if (process.env["HEADWATER_REQUIRE_ALL"] === "1") throw new Error(text);
  console.warn(text);
  return false;
}

/** Starts a server of its own; two seconds, and a few more the first time. Dispose it to stop it. */
export async function startCeph(): Promise<RunningCeph> {
  // Short: the path of a socket below it must stay under 107 bytes.
  const directory = await fs.mkdtemp(join(tmpdir(), "hw-ceph-"));
  const daemons: ChildProcess[] = [];
  const stop = async (): Promise<void> => {
    for (const daemon of daemons.toReversed()) await stopDaemon(daemon);
    await fs.rm(directory, { recursive: true, force: true, maxRetries: 3 });
  };
  try {
    const service = await start(directory, daemons);
    return { service, [Symbol.asyncDispose]: stop };
  } catch (error) {
    const logs = await tailsOfLogs(directory);
    await stop();
    throw new Error(`Ceph did not start: ${String(error)}\n${logs}`, { cause: error });
  }
}

async function start(directory: string, daemons: ChildProcess[]): Promise<S3Service> {
  const [monitorPort, s3Port] = await freePorts();
  const [fsid, osdId] = [randomUUID(), randomUUID()];
  for (const name of ["mon", "osd", "rgw", "run"]) await fs.mkdir(join(directory, name));
  await fs.writeFile(join(directory, "keyring"), "");
  await fs.writeFile(
    join(directory, "ceph.conf"),
    configuration(directory, { fsid, monitorPort, s3Port }),
  );
  const env = { ...process.env, CEPH_CONF: join(directory, "ceph.conf") };
  const deadline = AbortSignal.timeout(startTimeoutMs);

  const run = (command: string, ...args: readonly string[]): Promise<string> =>
    runCommand(command, args, { env, signal: deadline });
  const startDaemon = async (name: string, ...args: readonly string[]): Promise<void> => {
    const output = await fs.open(join(directory, `${name}.out`), "w");
    // Dies with us, also when we are killed.
    daemons.push(
      spawn("setpriv", ["--pdeathsig", "KILL", name, ...args], {
        env,
        stdio: ["ignore", output.fd, output.fd],
      }),
    );
    await output.close();
  };

  const address = `v2:127.0.0.1:${monitorPort}`;
  const map = join(directory, "monmap");
  await run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", `[${address}]`, map);
  await run("ceph-mon", "-i", "a", "--mkfs", "--monmap", map);
  await startDaemon("ceph-mon", "-i", "a", "--public-addr", address, "-f");
  const osd = (await run("ceph", "--connect-timeout", "20", "osd", "new", osdId)).trim();
  await run("ceph-osd", "-i", osd, "--mkfs", "--osd-uuid", osdId);
  await startDaemon("ceph-osd", "-i", osd, "-f");
  await until(async () => (await run("ceph", "osd", "stat")).includes("1 up"), deadline);
  await startDaemon("radosgw", "-n", "client.rgw", "-f");
  const endpoint = `http://127.0.0.1:${s3Port}`;
  await until(async () => (await fetch(endpoint, { signal: deadline })).ok, deadline);
  const [accessKeyId, secretAccessKey] = ["test-access-key", "test-secret-key-4f8a"];
  const user = ["--uid=test", "--display-name=test"];
  const keys = [`--access-key=${accessKeyId}`, `--secret=${secretAccessKey}`];
  await run("radosgw-admin", "user", "create", ...user, ...keys);
  return { endpoint, accessKeyId, secretAccessKey };
}

function configuration(
  directory: string,
  { fsid, monitorPort, s3Port }: { fsid: string; monitorPort: number; s3Port: number },
): string {
  return `[global]
fsid = ${fsid}
mon_initial_members = a
mon_host = v2:127.0.0.1:${monitorPort}
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
ms_mon_client_mode = crc
ms_client_mode = crc
paxos_propose_interval = 0.05
paxos_min_wait = 0.02
run_dir = ${directory}/run
admin_socket = ${directory}/run/$name.asok
pid_file = ${directory}/run/$name.pid
log_file = ${directory}/$name.log
crash_dir = ${directory}/run
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
mon_data_avail_crit = 1
mon_osd_full_ratio = .999
[mon]
mon_data = ${directory}/mon
mon_cluster_log_file = ${directory}/cluster.log
[osd]
osd_data = ${directory}/osd
osd_objectstore = memstore
memstore_device_bytes = 4294967296
osd_class_load_list = *
osd_class_default_list = *
[client]
keyring = ${directory}/keyring
ms_mon_client_mode = crc
rgw_data = ${directory}/rgw
rgw_frontends = beast endpoint=127.0.0.1:${s3Port} tcp_nodelay=1
rgw_rados_pool_pg_num_min = 1
rgw_dns_name = localhost
`;
}

async function runCommand(
  command: string,
  args: readonly string[],
  options: { readonly env: NodeJS.ProcessEnv; readonly signal: AbortSignal },
): Promise<string> {
  const child = spawn(command, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  const [output, errors, status] = await Promise.all([
    child.stdout.setEncoding("utf8").toArray(),
    child.stderr.setEncoding("utf8").toArray(),
    new Promise<number | null>((resolve, reject) => {
      child.once("error", reject).once("close", resolve);
    }),
  ]);
  if (status !== 0) throw new Error(`${command} ended with ${status}: ${errors.join("")}`);
  return output.join("");
}

async function until(isTrue: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
  while (!(await isTrue().catch(() => false))) await sleep(50, undefined, { signal });
}

/** Two ports that were free a moment ago. */
export async function freePorts(): Promise<[number, number]> {
  const servers = await Promise.all(
    Array.from({ length: 2 }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => {
        server.listen(0, "127.0.0.1", resolve);
      });
      return server;
    }),
  );
  const [first = 0, second = 0] = servers.map((server) => {
    const address = server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  });
  for (const server of servers) server.close();
  return [first, second];
}

/** Asks, waits, insists. Its timer keeps no process alive. */
async function stopDaemon(daemon: ChildProcess): Promise<void> {
  if (daemon.exitCode !== null || daemon.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => {
    daemon.once("close", () => resolve());
  });
  // Nothing of theirs is to be kept: the memory store takes seconds to end in good order.
  daemon.kill("SIGKILL");
  await Promise.race([ended, sleep(stopTimeoutMs, undefined, { ref: false })]);
}

async function tailsOfLogs(directory: string): Promise<string> {
  const names = await fs.readdir(directory).catch(() => []);
  const tails = names
    .filter((name) => name.endsWith(".out"))
    .map(async (name) => {
      const text = await fs.readFile(join(directory, name), "utf8");
      return `--- ${name}\n${text.slice(-2000)}`;
    });
  return (await Promise.all(tails)).join("\n");
}
