// Package genaisim simulates the GenAI REST API in memory: agents with their
// keys, functions, guardrails, knowledge bases, routes and versions, a sliding
// rate limit, deployments that take their time, and faults on demand. It serves
// tests, load tests and a first look at the service without an account at the
// vendor's. It depends on nothing else of the project, so that what it does is
// not what the project believes about the vendor.
//
// # How it works
//
// contract.json holds all 119 operations of the API: method, path template,
// query parameters, body and answer with their types. A request passes, in
// this order, the token, the rate limits, the faults, the contract (path, query
// and body are checked field by field) and a handler. The handlers are the
// functions in the table of operations.go, one for each operation that is
// simulated; the others answer 501. To add one, write the handler and enter it
// there: routing and checking are done already.
//
// A mutex guards all state, and the entry in the request log is written in the
// same critical section as the effect: the log has the order of the effects,
// and an effect is in the log exactly if it happened. Ids, hashes and secrets
// are random; those of the seeds come from Config.Seed.
//
// # What is documented
//
//   - Paths, methods, field names and types, enums; 200 for every success.
//   - The error body and the ids and messages of 401, 404, 429 and 500.
//   - The limits: a timer for every request, in a window of a minute and one of
//     an hour. The three ratelimit headers are on every answer, errors included,
//     and describe the hour; retry-after comes only with refusals by the minute.
//     Without an hourly limit there are no ratelimit headers.
//   - PUT of an agent merges. MCP servers go by clear_mcp_servers, not by an
//     empty list. An attached knowledge base needs a database that is ONLINE.
//   - A rollback fails if something the version needs is gone.
//   - Integers in strings, times in RFC 3339, twenty items a page.
//
// # What is assumed
//
//   - A null and an empty string mean "not given", save for the description of
//     an agent, which an empty string clears. Empty lists, zeros and false are
//     given. An unset enum (..._UNKNOWN) is not.
//   - Without Config.Strict unknown fields are ignored, values of wrong types
//     are converted if that is plain ("5" for 5) and ignored otherwise. With it
//     they are answered 422, which the vendor does not document. A body that is
//     not JSON is 400 either way.
//   - Every change of an agent's settings, and of its visibility, makes a
//     version with a hash of its own; a change to what is already so makes
//     none. A rollback restores settings, not the visibility, and makes a
//     version whose hash it answers. If the settings are already those of the
//     version it changes nothing and answers the hash applied.
//   - What was detached can be restored by a rollback; a deleted function
//     route, child agent, knowledge base or guardrail cannot. can_rollback says
//     whether all is there, also for the version applied.
//   - A deleted agent vanishes from the routes of its parents, without a
//     version of theirs.
//   - The first third of the deployment time is spent waiting. Changes do not
//     deploy again. Agents have a URL while they run.
//   - Lists are in the order of creation, versions the other way round. Links
//     always have the first and the last page. At most 200 items a page.
//   - An unknown model, or one not for agents, is 400; a second route to the
//     same agent or a second function of the same name 409; a route to oneself
//     400; attaching again changes nothing. Key names may repeat.
//   - Keys show secret_key only when created and regenerated. They do not
//     belong to the settings, so they make no version.
//   - Requests with a bad token do not count against the limits; requests
//     refused by a limit do so only with Config.Count429.
//   - Model routers, workspaces and provider keys are taken as they come and
//     shown by id. Usage is made up from the agent's id and age.
//   - Times have whole seconds, as in the vendor's examples.
//
// # Control API
//
// Below /_sim, on the same port, without token, limits, faults or log:
//
//	GET    /_sim/requests?since=SEQ      the request log, as JSON Lines
//	GET    /_sim/state                   counts and ids of what there is
//	GET    /_sim/faults                  the faults, with how often they matched and applied
//	PUT    /_sim/faults                  a JSON list of faults (see Fault) in place of those before
//	DELETE /_sim/faults                  no faults any more
//	POST   /_sim/reset                   back to the seeds
//	POST   /_sim/agents                  create an agent as from the vendor's console
//	POST   /_sim/agents/{uuid}           change one: the fields of an update, and visibility
//	DELETE /_sim/agents/{uuid}           delete one
//	DELETE /_sim/knowledge_bases/{uuid}  delete a knowledge base, wherever it is attached
//	DELETE /_sim/guardrails/{uuid}       delete a guardrail, wherever it is attached
//
// Beware that Go's http.Client sends a GET again by itself when a kept-alive
// connection is dropped before an answer: a fault that drops such a request
// once may go unnoticed by the caller, and the log then has two entries.
package genaisim
