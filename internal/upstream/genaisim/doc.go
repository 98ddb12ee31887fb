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
//   - A knowledge base created without a database gets a new one. An indexing
//     job that names no data sources has them all; the list of a knowledge
//     base's jobs has the latest 15, on one page. Schedules are in UTC, their
//     days as in cron, their times HH:MM in and HH:MM:SS out.
//   - Model API keys cannot be created any more: 410. The catalogue pages with a
//     limit and has no links. Workspaces have no pages. Imports and deletions of
//     custom models tell inside a 200 why they are refused.
//   - A model evaluation run is deleted only once it has ended, which is told
//     inside a 200; an answer has fifty of its results. Its preset wins over
//     saving one. Cancelling it takes a moment.
//   - Integers in strings, times in RFC 3339, twenty items a page.
//
// # What is assumed
//
//   - A null, also for a list, and an empty string mean "not given", save for
//     the description of an agent, a model router, a workspace or a custom model
//     and the license of the latter, which an empty string clears. Empty lists,
//     zeros and false are given. An unset enum (..._UNKNOWN, ..._UNSPECIFIED) is
//     not.
//   - What the vendor's own clients send beyond the reference is taken and means
//     nothing: the ids of the path, also as body_uuid and the like, the region in
//     an update of an agent, the embedding model in one of a knowledge base.
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
//   - Lists are in the order of creation, versions and indexing jobs the other
//     way round. Links always have the first and the last page, but for the
//     jobs of a knowledge base, which have no pages. At most 200 items a page.
//   - An unknown model, or one not for agents, is 400; a second route to the
//     same agent or a second function of the same name 409; a route to oneself
//     400; attaching again changes nothing. Key names may repeat.
//   - Keys show secret_key only when created and regenerated. They do not
//     belong to the settings, so they make no version.
//   - Requests with a bad token do not count against the limits; requests
//     refused by a limit do so only with Config.Count429.
//   - A knowledge base may have the database of another, or one left over from
//     another; any other database_id is 400. Size, VPC and credentials are taken
//     as they come and shown nowhere.
//   - Data sources that come with a new knowledge base are indexed by a job that
//     is there at once and waits for the database; those added later are indexed
//     by no job until one is started.
//   - A data source is of exactly one kind. A bucket of AWS needs both keys, a
//     drive its refresh token; a file needs an object key that was handed out,
//     but nobody looks whether it was uploaded. Chunks are as long as the
//     embedding model takes them; options of other algorithms are ignored.
//   - An indexing job is pending for a third of its time, then its data sources
//     take turns. It reads them anew each time; what they contain is made up.
//     Web sites below .invalid cannot be reached: the job is partial or fails.
//   - A knowledge base has one unfinished job at a time, a second is 409; without
//     data sources it has none, 400. To cancel a job that has ended is 400, and
//     so is its report before that. A data source that is deleted stays in its
//     jobs. With a knowledge base all goes but the database.
//   - A knowledge base has one schedule at most, a second is 409. Days are 0 to
//     7, both of which are Sunday. A run finds nothing to do if there are no data
//     sources or if a job is not finished. Its jobs are in no log of requests.
//   - An agent may refer to provider keys, a model router and a workspace that
//     the simulator does not have; they are shown by id. What was deleted, and a
//     key of another provider, is 400. An agent loses what is deleted without a
//     version by that; a rollback to one that had it leaves it out.
//   - Which workspace an agent is in is not among its settings: moving it makes
//     no version, and a rollback does not move it back.
//   - Agents of a provider key are also those that have it as
//     model_provider_key_uuid. Whether a key is good is not found out; one that
//     is given in an update is always a change.
//   - A router needs a model. Names of models and tasks are taken as they come,
//     as the vendor has more; regions must exist. A policy is for exactly one
//     task. The presets name the models that there are.
//   - An import without a name, a source or consent to the terms is 400. Sources
//     of the owner (or in the bucket) "missing" are refused inside the 200, as
//     are private ones without a token and the model after the hundredth; those
//     of "broken" fail on the way. What a model is like is made up from its
//     source. A model that is being imported cannot be deleted.
//   - The catalogue has the public models, under their uuids. A model_id in the
//     query stands in for the id in the path.
//   - A code for Dropbox tokens works once. OAuth addresses lead nowhere.
//   - A dataset has a row for every 100 bytes, 5 to 200 of them, and ground truth
//     if its file is called .csv. A file called .invalid cannot be read: what is
//     evaluated with it fails. Object keys are taken as they come, and any type
//     of dataset serves any evaluation. Without a type it is NON_ADK.
//   - Custom metrics are percentages, for agents and models alike. The built-in
//     ones cannot be changed, 400. A metric that needs ground truth is skipped
//     where there is none.
//   - A metric or dataset that a preset or the current version of a test case
//     has, or a dataset that a run is reading, cannot be deleted, 409. What has
//     ended shows what is deleted as before. Names may repeat.
//   - An evaluation refers to what there is: an unknown dataset, metric, preset,
//     test case or agent is 404, a candidate or judge that answers no questions
//     400. Only serverless candidates are looked up; others are taken as they
//     come, unless they were deleted.
//   - A test case needs a name, a dataset and metrics; a workspace it may have,
//     known by its id or not, but by its name only if known. A star metric must
//     be one of the metrics and stays until another is given; without a
//     threshold it takes 80 percent of the best. A change makes a version.
//   - The name of an agent's deployment is the agent's. An evaluation is queued,
//     answered and judged for a third of its time each, and has results only at
//     the end, all made up from its id. It keeps the agent, the test case and
//     the metrics as they were when it began.
//   - A preset has the parts of a run it was asked to save, all of them by the
//     deprecated flag; what a new run is given wins over them. A run names the
//     preset that was saved from it.
//   - A model evaluation run is CANCELLING for a tenth of its time, a second at
//     most; cancelling again changes nothing then and is 400 later. The search
//     looks in the names of runs, candidates and datasets. Runs can be sorted by
//     created_at or status, in these or the vendor's own words; else it is 400.
//   - Progress, and what the reference leaves open within a summary, are as the
//     vendor's Go client has them. Routers alone are summed up by model.
//   - Usage is made up from the agent's id and age.
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
// Where several accounts are simulated, each is told by its token, here too.
//
// Beware that Go's http.Client sends a GET again by itself when a kept-alive
// connection is dropped before an answer: a fault that drops such a request
// once may go unnoticed by the caller, and the log then has two entries.
package genaisim
