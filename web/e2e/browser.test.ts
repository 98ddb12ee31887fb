// A page in a real browser calls the real program from another origin.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { type Browser, chromium, type Page, type Request } from "playwright-core";
import type { Target } from "../src/client";
import type {} from "./page"; // what window.calls is
import { type Program, type Site, startProgram, startSite } from "./program";

const owner = "dev-payments-owner";
const admin = "dev-admin";

let allowed: Site;
let refused: Site;
let program: Program;
let browser: Browser;
/** agent is one of the owner's, and so is other, which nothing here changes. */
let agent: string;
let other: string;

before(async () => {
  [allowed, refused] = await Promise.all([startSite(), startSite()]);
  program = await startProgram([allowed.origin]);
  const executablePath = process.env.CHROMIUM;
  assert.ok(executablePath, "CHROMIUM is to name a browser; `make e2e` finds one");
  // Its sandbox does not work as root. The pages are ours.
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  type Agents = { agents: { name: string; uuid: string }[] };
  const { agents } = await program.ask<Agents>(owner, "AgentService/ListAgents", {});
  const named = (name: string) => agents.find((a) => a.name === name)?.uuid ?? assert.fail(`there is no ${name}`);
  [agent, other] = [named("payments-front"), named("payments-refunds")];
});

after(async () => {
  await browser?.close();
  await program?.stop();
  await allowed?.stop();
  await refused?.stop();
});

/** protocols are those that a browser can speak. */
const protocols = { Connect: "connect", "gRPC-Web": "grpc-web" } as const;

const to = (protocol: Target["protocol"], token = owner): Target => ({ protocol, token, baseUrl: program.service });

/** visit opens the page of a site in a browser that knows nothing, and notes what the browser does. */
async function visit(site: Site): Promise<{ page: Page; requests: Request[]; console: string[] }> {
  const page = await (await browser.newContext()).newPage();
  const requests: Request[] = [];
  const console: string[] = [];
  page.on("request", (r) => r.url().startsWith(program.service) && requests.push(r));
  page.on("console", (m) => console.push(m.text()));
  await page.goto(site.origin);
  await page.waitForFunction(() => window.calls !== undefined);
  return { page, requests, console };
}

/** traces are all that a change of the agent leaves: at the vendor, in the queue, in the history. */
async function traces(): Promise<{ vendor: string[]; operations: string[]; events: string[] }> {
  const request = { filter: `resource_uuid = "${agent}"` };
  type Ids = { id: string }[];
  const { operations = [] } = await program.ask<{ operations?: Ids }>(
    admin,
    "OperationService/ListOperations",
    request,
  );
  const { events = [] } = await program.ask<{ events?: Ids }>(admin, "AuditService/ListAuditEvents", request);
  return {
    vendor: (await program.changes()).map((r) => r.effect),
    operations: operations.map((o) => o.id),
    events: events.map((e) => e.id),
  };
}

for (const [name, protocol] of Object.entries(protocols)) {
  describe(`over ${name}, from an origin that may call`, () => {
    test("a unary call answers, and its headers can be read", async () => {
      const { page } = await visit(allowed);
      const id = randomUUID();
      const got = await page.evaluate(([t, i]) => window.calls.whoAmI(t, i), [to(protocol), id] as const);
      assert.equal(got.problem, undefined);
      assert.equal(got.value, "paula@payments.example");
      assert.equal(got.header["x-request-id"], id);
    });

    test("a change is made once, and its stream tells how it went", async () => {
      const { page } = await visit(allowed);
      const text = `described ${randomUUID()}`;
      const before = await traces();
      await program.slow(1000); // so that there is something to see before the end
      const made = await page.evaluate(([t, a, d]) => window.calls.describe(t, a, d, true), [
        to(protocol),
        agent,
        text,
      ] as const);
      assert.equal(made.problem, undefined);
      const seen = await page.evaluate(([t, o]) => window.calls.watch(t, o), [to(protocol), made.value ?? ""] as const);
      assert.equal(seen.problem, undefined);
      assert.equal(seen.trailer["grpc-status"], protocol === "grpc-web" ? "0" : undefined);
      assert.ok((seen.value?.length ?? 0) > 1, `one message is no stream: ${seen.value}`);
      assert.equal(seen.value?.at(-1), "SUCCEEDED");
      assert.ok(!seen.value?.slice(0, -1).includes("SUCCEEDED"), `went on after the end: ${seen.value}`);
      const now = await traces();
      assert.deepEqual(now.vendor.slice(before.vendor.length), [`updated agent ${agent}`]);
      assert.deepEqual(
        now.operations.filter((o) => !before.operations.includes(o)),
        [made.value],
      );
      const read = await page.evaluate(([t, a]) => window.calls.description(t, a), [to(protocol), agent] as const);
      assert.equal(read.value, text);
    });

    test("errors can be read, with their reasons", async () => {
      const { page } = await visit(allowed);
      const missing = await page.evaluate(([t, a]) => window.calls.description(t, a), [
        to(protocol),
        randomUUID(),
      ] as const);
      assert.equal(missing.problem?.code, "NotFound");
      assert.equal(missing.problem.reason, "ERROR_REASON_NOT_FOUND");
      assert.notEqual(missing.problem.requestId, "");
      const [id] = missing.header["x-request-id"]?.split(", ") ?? []; // gRPC-Web has it in the trailer, too
      assert.equal(id, missing.problem.requestId);

      const invalid = await page.evaluate(([t]) => window.calls.description(t, "no uuid"), [to(protocol)] as const);
      assert.equal(invalid.problem?.reason, "ERROR_REASON_INVALID_REQUEST");
      assert.deepEqual(Object.keys(invalid.problem.fields), ["uuid"]);

      const viewer = to(protocol, "dev-payments-viewer");
      const denied = await page.evaluate(([t, a]) => window.calls.describe(t, a, "mine"), [viewer, other] as const);
      assert.equal(denied.problem?.reason, "ERROR_REASON_PERMISSION_DENIED");
    });

    test("nobody is told that a token is missing", async () => {
      const { page } = await visit(allowed);
      const unary = await page.evaluate(([t]) => window.calls.whoAmI(t), [to(protocol, "")] as const);
      assert.equal(unary.problem?.code, "Unauthenticated");
      assert.match(unary.problem.reason, /^ERROR_REASON_/);
      const stream = await page.evaluate(([t, i]) => window.calls.watch(t, i), [
        to(protocol, ""),
        randomUUID(),
      ] as const);
      assert.equal(stream.problem?.code, "Unauthenticated");
      assert.match(stream.problem.reason, /^ERROR_REASON_/);
    });
  });

  describe(`over ${name}, from an origin that may not call`, () => {
    test("the browser refuses, and nothing is changed", async () => {
      const { page, console } = await visit(refused);
      const before = await traces();
      const t = to(protocol);
      const outcomes = {
        unary: await page.evaluate(([t]) => window.calls.whoAmI(t), [t] as const),
        change: await page.evaluate(([t, a]) => window.calls.describe(t, a, "from elsewhere"), [t, agent] as const),
        stream: await page.evaluate(([t, i]) => window.calls.watch(t, i), [t, randomUUID()] as const),
        nobody: await page.evaluate(([t]) => window.calls.whoAmI(t), [{ ...t, token: "" }] as const),
      };
      for (const [call, got] of Object.entries(outcomes)) {
        assert.equal(got.value, undefined, call);
        assert.equal(got.problem?.reason, "", `${call}: the page could read an answer`);
        assert.equal(got.problem.requestId, "", call);
        assert.deepEqual(got.header, {}, call);
      }
      const blocked = console.filter((line) => line.includes("blocked by CORS policy"));
      assert.equal(blocked.length, Object.keys(outcomes).length, console.join("\n"));
      assert.deepEqual(await traces(), before);
    });
  });
}

test("reads over Connect are GETs, with the token in a header alone", async () => {
  const { page, requests } = await visit(allowed);
  const got = await page.evaluate(([t]) => window.calls.agents(t), [to("connect")] as const);
  assert.equal(got.problem, undefined);
  assert.equal(got.value?.["payments-front"], agent);
  const [request, ...more] = requests.filter((r) => r.method() !== "OPTIONS"); // those are the browser's own
  assert.equal(more.length, 0);
  assert.equal(request?.method(), "GET");
  assert.ok(!request?.url().includes(owner), request?.url());
  assert.equal(await request?.headerValue("authorization"), `Bearer ${owner}`);
});

test("a page without our client sends JSON and reads JSON", async () => {
  const { page } = await visit(allowed);
  const url = `${program.service}/agentsvc.v1.AgentService/UpdateAgent`;
  const send = (body: object) =>
    page.evaluate(([u, t, b]) => window.calls.json(u, t, b), [url, owner, JSON.stringify(body)] as const);
  const before = await traces();
  const made = await send({ uuid: agent, description: "by hand" });
  assert.equal(made.status, 200);
  assert.match(made.text, /"state":"STATE_SUCCEEDED"/);
  assert.equal((await traces()).vendor.length, before.vendor.length + 1);
  const wrong = await send({ uuid: agent, descritpion: "misspelt" });
  assert.equal(wrong.status, 400);
  assert.match(wrong.text, /"ERROR_REASON_INVALID_REQUEST"/);
});

test("a token in a URL is none", async () => {
  const query = new URLSearchParams({ encoding: "json", message: "{}", access_token: owner, token: owner });
  query.set("authorization", `Bearer ${owner}`);
  const answer = await fetch(`${program.service}/agentsvc.v1.TeamService/WhoAmI?${query}`);
  assert.equal(answer.status, 401);
});

test("what a browser sends without asking first changes nothing", async () => {
  for (const site of [allowed, refused]) {
    const { page } = await visit(site);
    const before = await traces();
    const body = JSON.stringify({ uuid: agent, description: "unasked" });
    const url = `${program.service}/agentsvc.v1.AgentService/UpdateAgent`;
    const got = await page.evaluate(([u, b]) => window.calls.plain(u, b), [url, body] as const);
    assert.deepEqual(got, { type: "opaque", status: 0, text: "" });
    assert.deepEqual(await traces(), before);
  }
});
