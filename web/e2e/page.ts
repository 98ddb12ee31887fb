// The script of the test's page. It makes calls as a console would, when the test says so.
import { type CallOptions, ConnectError, createClient } from "@connectrpc/connect";
import { type Problem, problemOf, type Target, transportTo } from "../src/client";
import { AgentService } from "../src/gen/agentsvc/v1/agent_service_pb";
import { Operation_State } from "../src/gen/agentsvc/v1/operation_pb";
import { OperationService } from "../src/gen/agentsvc/v1/operation_service_pb";
import { TeamService } from "../src/gen/agentsvc/v1/team_service_pb";

/** Outcome is what a page gets to see of a call. */
export interface Outcome<T> {
  value?: T;
  problem?: Problem;
  /** What the page can read of the answer's headers and trailers. */
  header: Record<string, string>;
  trailer: Record<string, string>;
}

/** patience is a deadline, so that the header which carries it is among those that must be allowed. */
const patience = 30_000;

async function outcome<T>(requestId: string, call: (options: CallOptions) => Promise<T>): Promise<Outcome<T>> {
  const seen: Outcome<T> = { header: {}, trailer: {} };
  const options: CallOptions = {
    timeoutMs: patience,
    headers: requestId === "" ? {} : { "X-Request-Id": requestId },
    onHeader: (h) => Object.assign(seen.header, Object.fromEntries(h)),
    onTrailer: (t) => Object.assign(seen.trailer, Object.fromEntries(t)),
  };
  try {
    seen.value = await call(options);
  } catch (cause) {
    seen.problem = problemOf(cause);
    Object.assign(seen.header, Object.fromEntries(ConnectError.from(cause).metadata)); // of both
  }
  return seen;
}

const calls = {
  /** whoAmI answers the caller's name. */
  whoAmI: (to: Target, requestId = "") =>
    outcome(requestId, async (o) => (await createClient(TeamService, transportTo(to)).whoAmI({}, o)).name),

  /** agents answers the names and ids of the agents that the caller sees. */
  agents: (to: Target) =>
    outcome("", async (o) => {
      const { agents } = await createClient(AgentService, transportTo(to)).listAgents({}, o);
      return Object.fromEntries(agents.map((a) => [a.name, a.uuid] as const));
    }),

  /** description reads that of an agent. */
  description: (to: Target, uuid: string) =>
    outcome(
      "",
      async (o) => (await createClient(AgentService, transportTo(to)).getAgent({ uuid }, o)).agent?.description,
    ),

  /** describe changes it, and answers the operation's id. */
  describe: (to: Target, uuid: string, description: string, async = false) =>
    outcome("", async (o) => {
      const client = createClient(AgentService, transportTo(to));
      const { operation } = await client.updateAgent({ uuid, description, mutation: { async } }, o);
      return operation?.id ?? "";
    }),

  /** watch follows an operation to its end, and answers the states it was seen in. */
  watch: (to: Target, id: string) =>
    outcome("", async (o) => {
      const states: string[] = [];
      for await (const { operation } of createClient(OperationService, transportTo(to)).watchOperation({ id }, o)) {
        states.push(Operation_State[operation?.state ?? Operation_State.UNSPECIFIED]);
      }
      return states;
    }),

  /** json is a call by hand. */
  json: async (url: string, token: string, body: string) => {
    const headers = { "Content-Type": "application/json", Authorization: `Bearer ${token}` };
    const answer = await fetch(url, { method: "POST", headers, body });
    return { status: answer.status, text: await answer.text() };
  },

  /** plain makes a request with nothing but what a browser sends without asking the service first. */
  plain: async (url: string, body: string) => {
    const answer = await fetch(url, {
      method: "POST",
      mode: "no-cors",
      headers: { "Content-Type": "text/plain" },
      body,
    });
    return { type: answer.type, status: answer.status, text: await answer.text() };
  },
};

declare global {
  interface Window {
    calls: typeof calls;
  }
}

window.calls = calls;
