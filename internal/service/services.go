package service

import (
	"net/http"
	"slices"
	"strings"

	"connectrpc.com/connect"

	connectapi "github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// Service is one service of the API with what carries it out.
type Service struct {
	name  string
	mount func(options ...connect.HandlerOption) (path string, handler http.Handler)
}

// Serve gives a service, by its full name and its generated constructor, an implementation.
func Serve[S any](name string, constructor func(S, ...connect.HandlerOption) (string, http.Handler), implementation S) Service {
	return Service{name: name, mount: func(options ...connect.HandlerOption) (string, http.Handler) {
		return constructor(implementation, options...)
	}}
}

// Vendor is the services of the vendor's operations.
func Vendor(b Backend) []Service {
	return []Service{
		Serve[connectapi.AgentServiceHandler](connectapi.AgentServiceName, connectapi.NewAgentServiceHandler, (*Agents)(&b)),
		Serve[connectapi.AgentRouteServiceHandler](connectapi.AgentRouteServiceName, connectapi.NewAgentRouteServiceHandler, (*AgentRoutes)(&b)),
		Serve[connectapi.AgentKeyServiceHandler](connectapi.AgentKeyServiceName, connectapi.NewAgentKeyServiceHandler, (*AgentKeys)(&b)),
		Serve[connectapi.KnowledgeBaseServiceHandler](connectapi.KnowledgeBaseServiceName, connectapi.NewKnowledgeBaseServiceHandler, (*KnowledgeBases)(&b)),
		Serve[connectapi.IndexingServiceHandler](connectapi.IndexingServiceName, connectapi.NewIndexingServiceHandler, (*Indexing)(&b)),
		Serve[connectapi.ModelServiceHandler](connectapi.ModelServiceName, connectapi.NewModelServiceHandler, (*Models)(&b)),
		Serve[connectapi.CustomModelServiceHandler](connectapi.CustomModelServiceName, connectapi.NewCustomModelServiceHandler, (*CustomModels)(&b)),
		Serve[connectapi.ModelRouterServiceHandler](connectapi.ModelRouterServiceName, connectapi.NewModelRouterServiceHandler, (*ModelRouters)(&b)),
		Serve[connectapi.ModelKeyServiceHandler](connectapi.ModelKeyServiceName, connectapi.NewModelKeyServiceHandler, (*ModelKeys)(&b)),
		Serve[connectapi.ProviderKeyServiceHandler](connectapi.ProviderKeyServiceName, connectapi.NewProviderKeyServiceHandler, (*ProviderKeys)(&b)),
		Serve[connectapi.EvaluationServiceHandler](connectapi.EvaluationServiceName, connectapi.NewEvaluationServiceHandler, (*Evaluations)(&b)),
		Serve[connectapi.ModelEvaluationServiceHandler](
			connectapi.ModelEvaluationServiceName, connectapi.NewModelEvaluationServiceHandler, (*ModelEvaluations)(&b),
		),
		Serve[connectapi.WorkspaceServiceHandler](connectapi.WorkspaceServiceName, connectapi.NewWorkspaceServiceHandler, (*Workspaces)(&b)),
		Serve[connectapi.PlatformServiceHandler](connectapi.PlatformServiceName, connectapi.NewPlatformServiceHandler, (*Platform)(&b)),
	}
}

// Ours is the services that the vendor knows nothing of.
func Ours(operations *Operations, audit *Audit, resources *Resources, teams *Teams) []Service {
	return []Service{
		Serve[connectapi.OperationServiceHandler](connectapi.OperationServiceName, connectapi.NewOperationServiceHandler, operations),
		Serve[connectapi.AuditServiceHandler](connectapi.AuditServiceName, connectapi.NewAuditServiceHandler, audit),
		Serve[connectapi.ResourceServiceHandler](connectapi.ResourceServiceName, connectapi.NewResourceServiceHandler, resources),
		Serve[connectapi.TeamServiceHandler](connectapi.TeamServiceName, connectapi.NewTeamServiceHandler, teams),
	}
}

// missing are the services of the API that are not among these.
func missing(services []Service) []string {
	var names []string
	for _, m := range methods.API().All() {
		name := string(m.Name[:strings.LastIndexByte(string(m.Name), '.')])
		there := slices.ContainsFunc(services, func(s Service) bool { return s.name == name })
		if !there && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
