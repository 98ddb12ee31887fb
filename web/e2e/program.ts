// What the test runs against: agentsvc dev, with its simulated vendor, and web servers that
// hand out the page, each of which is an origin of its own.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** startTimeout is for a slow machine; it includes making a Postgres. */
const startTimeout = 120_000;
const stopTimeout = 30_000;

/** Program is agentsvc dev, running. */
export interface Program {
  service: string;
  /** changes are the vendor's log of what changed it. */
  changes(): Promise<VendorRequest[]>;
  /** slow has the vendor take its time over the next change of an agent. */
  slow(milliseconds: number): Promise<void>;
  /** ask calls the service as no browser does: with no origin. */
  ask<T>(token: string, method: string, request: object): Promise<T>;
  stop(): Promise<void>;
}

/** VendorRequest is one line of the simulator's log. */
export interface VendorRequest {
  method: string;
  path: string;
  effect: string;
}

/** startProgram starts it with the origins that may call, and returns once it is ready. */
export async function startProgram(origins: string[]): Promise<Program> {
  const data = await mkdtemp(join(tmpdir(), "agentsvc-web-"));
  const env: NodeJS.ProcessEnv = { AGENTSVC_CORS_ORIGINS: origins.join(",") };
  for (const name of ["PATH", "HOME", "TMPDIR"]) {
    env[name] = process.env[name];
  }
  if (process.env.TEST_DATABASE_URL) {
    env.DATABASE_URL = process.env.TEST_DATABASE_URL;
  }
  const loopback = "127.0.0.1:0"; // the system chooses the ports
  const args = ["dev", "--listen", loopback, "--sim-listen", loopback, "--data-dir", data];
  const child = spawn("../.bin/agentsvc", args, { env, stdio: ["ignore", "pipe", "pipe"] });
  const stop = async () => {
    await end(child);
    await rm(data, { recursive: true, force: true });
  };
  try {
    const text = await ready(child);
    const at = /service +(http:\S+)[\s\S]*simulator +(http:\S+)/.exec(text);
    const [service, simulator] = [at?.[1], at?.[2]];
    if (service === undefined || simulator === undefined) {
      throw new Error(`agentsvc dev does not say where it is:\n${text}`);
    }
    return { ...callers(service, simulator), service, stop };
  } catch (cause) {
    await stop();
    throw cause;
  }
}

function callers(service: string, simulator: string): Omit<Program, "service" | "stop"> {
  const json = (method: string, body: unknown) => ({
    method,
    body: JSON.stringify(body),
    headers: { "Content-Type": "application/json" },
  });
  return {
    async changes() {
      const lines = (await good(await fetch(`${simulator}/_sim/requests`))).trim().split("\n");
      return lines.map((line) => JSON.parse(line) as VendorRequest).filter((r) => r.effect !== "none");
    },
    async slow(milliseconds) {
      const fault = { method: "PUT", path: "/v2/gen-ai/agents/{uuid}", delay_ms: milliseconds, count: 1 };
      await good(await fetch(`${simulator}/_sim/faults`, json("PUT", [fault])));
    },
    async ask<T>(token: string, method: string, request: object) {
      const post = json("POST", request);
      const headers = { ...post.headers, Authorization: `Bearer ${token}` };
      return JSON.parse(await good(await fetch(`${service}/agentsvc.v1.${method}`, { ...post, headers }))) as T;
    },
  };
}

async function good(answer: Response): Promise<string> {
  const text = await answer.text();
  if (!answer.ok) {
    throw new Error(`${answer.url} answers ${answer.status}: ${text}`);
  }
  return text;
}

// ready answers what the program wrote until it was ready.
function ready(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    const timer = setTimeout(() => reject(new Error(`agentsvc dev is not ready in time:\n${text}`)), startTimeout);
    const read = (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes("\nready\n")) {
        clearTimeout(timer);
        resolve(text);
      }
    };
    child.stdout?.on("data", read);
    child.stderr?.on("data", read);
    child.once("error", reject);
    child.once("exit", () => reject(new Error(`agentsvc dev has ended:\n${text}`)));
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) {
    return;
  }
  const ended = once(child, "exit");
  child.kill("SIGINT"); // as Ctrl-C does, so that it takes its Postgres with it
  const timer = setTimeout(() => child.kill("SIGKILL"), stopTimeout);
  await ended;
  clearTimeout(timer);
}

/** Site hands out the page from an origin of its own. */
export interface Site {
  origin: string;
  stop(): Promise<void>;
}

/** startSite serves the page from the bundle that the build made. */
export async function startSite(): Promise<Site> {
  const script = await readFile("build/page.js");
  const server = createServer((request, answer) => {
    const isScript = request.url === "/page.js";
    answer.setHeader("Content-Type", isScript ? "text/javascript" : "text/html; charset=utf-8");
    answer.end(
      isScript ? script : '<!doctype html><title>agentsvc</title><script type="module" src="page.js"></script>',
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const stop = async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  };
  return { origin: `http://127.0.0.1:${port}`, stop };
}
