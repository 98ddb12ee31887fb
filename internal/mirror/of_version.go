package mirror

import (
	"slices"

	"github.com/google/uuid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

// partial is what a version of the vendor's tells of an agent.
func partial(id uuid.UUID, version dbsql.ListedVersionsRow, body *pb.AgentVersion) (dbsql.InsertPartialStateParams, error) {
	params := dbsql.InsertPartialStateParams{AgentUUID: id, VersionHash: version.VersionHash}
	agent := OfVersion(body)
	agent.Uuid = new(id.String())
	var err error
	if params.Routes, params.Children, err = listedRoutes(agent); err != nil {
		return params, err
	}
	if email := body.GetCreatedByEmail(); email != "" {
		params.Actor = &email
	}
	params.Body, err = encode(settings(agent))
	return params, err
}

// OfVersion is the agent that a version of the vendor's tells of, with its routes. What the
// version leaves out, [VersionFields] does not name.
func OfVersion(v *pb.AgentVersion) *pb.Agent {
	agent := &pb.Agent{
		Uuid: v.AgentUuid, Name: v.Name, Description: v.Description, Instruction: v.Instruction, K: v.K, MaxTokens: v.MaxTokens,
		Temperature: v.Temperature, TopP: v.TopP, ProvideCitations: v.ProvideCitations, RetrievalMethod: v.RetrievalMethod,
		Tags: slices.Clone(v.GetTags()), VersionHash: v.VersionHash,
	}
	if v.ModelName != nil {
		agent.Model = &pb.Model{Name: v.ModelName}
	}
	for _, c := range v.GetAttachedChildAgents() {
		agent.ChildAgents = append(agent.ChildAgents, &pb.Agent{Uuid: c.ChildAgentUuid, IfCase: c.IfCase, RouteName: c.RouteName})
	}
	for _, f := range v.GetAttachedFunctions() {
		agent.Functions = append(agent.Functions, &pb.AgentFunction{
			Name: f.Name, Description: f.Description, FaasName: f.FaasName, FaasNamespace: f.FaasNamespace,
		})
	}
	for _, g := range v.GetAttachedGuardrails() {
		agent.Guardrails = append(agent.Guardrails, &pb.AgentGuardrail{GuardrailUuid: g.Uuid, Name: g.Name, Priority: g.Priority})
	}
	for _, kb := range v.GetAttachedKnowledgebases() {
		agent.KnowledgeBases = append(agent.KnowledgeBases, &pb.KnowledgeBase{Uuid: kb.Uuid})
	}
	return agent
}

// VersionFields are the fields of an agent that the vendor's versions tell of.
func VersionFields() []string {
	return append(routeLists(),
		"uuid", "name", "description", "instruction", "k", "max_tokens", "temperature", "top_p", "provide_citations", "retrieval_method",
		"tags", "model", "version_hash",
	)
}
