package mirror

import (
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
)

// kinds are all that is mirrored. What the vendor lists with less than it shows of one
// has a summary of its own; the others are listed whole.
func kinds() []*kind {
	all := []*kind{agents(), knowledgeBases(), indexingJobs(), indexingSchedules(), modelRouters(), customModels(), workspaces()}
	all = append(all, keys()...)
	all = append(all, evaluations()...)
	all = append(all, modelEvaluations()...)
	all = append(all, catalogues()...)
	hot := []string{agentKind, knowledgeBaseKind, "indexing_job", "model_evaluation_run"}
	for _, k := range all {
		if k.slow == 0 && !slices.Contains(hot, k.name) {
			k.slow = usuallyEvery
		}
		for _, r := range references() {
			if slices.Contains(r.kinds, k.name) {
				k.referring = append(k.referring, r.attribute)
			}
		}
		k.schema = db.KindSchema(slices.Sorted(maps.Keys(k.attributes))...)
	}
	return all
}

// Most kinds change less often than those whose state somebody waits for, and catalogues
// hardly ever: listing all of them in each round would use up what others may need.
const (
	usuallyEvery   = 5
	catalogueEvery = 60
)

// usual are the columns of most kinds.
func usual() columns {
	return columns{uuid: "uuid", name: "name", created: "created_at", updated: "updated_at"}
}

const knowledgeBaseKind = "knowledge_base"

func knowledgeBases() *kind {
	columns := usual()
	columns.status, columns.region, columns.tags = "database_status", "region", "tags"
	return &kind{
		name: knowledgeBaseKind, summary: (*pb.KnowledgeBase)(nil), full: (*pb.KnowledgeBase)(nil),
		list: "KnowledgeBaseService.ListKnowledgeBases", items: "knowledge_bases",
		get: "KnowledgeBaseService.GetKnowledgeBase", id: "uuid", item: "knowledge_base",
		beside: map[string]string{"database_status": "database_status"}, besideOf: "database_id",
		columns:    columns,
		attributes: map[string]string{"project_id": "project_id", "embedding_model_uuid": "embedding_model_uuid"},
		volatile:   []string{"last_indexing_job", "added_to_agent_at", "user_id", "database_status", "vendor_extra"},
		stamps:     []string{"updated_at"},
		// The lists do not show the state of the database, so whose state is not known is looked at, too.
		passing: []string{
			"", "CREATING", "REBUILDING", "REBALANCING", "FORKING", "MIGRATING", "RESIZING", "RESTORING", "POWERING_ON", "UNHEALTHY", "UPGRADING",
		},
		ends:  map[string]outcome{"ONLINE": succeeded, "POWEROFF": failed, "DECOMMISSIONED": failed},
		route: toKnowledgeBase,
	}
}

func indexingJobs() *kind {
	return &kind{
		name: "indexing_job", summary: (*pb.IndexingJob)(nil), full: (*pb.IndexingJob)(nil),
		list: "IndexingService.ListIndexingJobs", items: "jobs", others: []string{"IndexingService.ListKnowledgeBaseIndexingJobs"},
		get: "IndexingService.GetIndexingJob", id: "uuid", item: "job",
		columns:    columns{uuid: "uuid", status: "status", created: "created_at", updated: "updated_at"},
		attributes: map[string]string{"phase": "phase", "knowledge_base_uuid": "knowledge_base_uuid"},
		part:       &partOf{kind: knowledgeBaseKind, path: "knowledge_base_uuid"},
		untold:     true, // schedules start them, new data sources come with one, and nobody can delete one
		ends: map[string]outcome{
			"INDEX_JOB_STATUS_COMPLETED": succeeded, "INDEX_JOB_STATUS_PARTIAL": succeeded, "INDEX_JOB_STATUS_NO_CHANGES": succeeded,
			"INDEX_JOB_STATUS_FAILED": failed, "INDEX_JOB_STATUS_CANCELLED": failed,
		},
	}
}

// indexingSchedules are neither listed nor read by their own ids: they are known as far
// as they were made here or read with their knowledge base.
func indexingSchedules() *kind {
	return &kind{
		name: "indexing_schedule", summary: (*pb.ScheduledIndexing)(nil), full: (*pb.ScheduledIndexing)(nil),
		columns:    columns{uuid: "uuid", created: "created_at", updated: "updated_at", deleted: "deleted_at"},
		attributes: map[string]string{"knowledge_base_uuid": "knowledge_base_uuid"},
		part:       &partOf{kind: knowledgeBaseKind, path: "knowledge_base_uuid"},
		volatile:   []string{"last_ran_at", "next_run_at", "vendor_extra"},
		stamps:     []string{"updated_at"},
	}
}

func modelRouters() *kind {
	return &kind{
		name: routerKind, summary: (*pb.ModelRouter)(nil), full: (*pb.ModelRouter)(nil),
		list: "ModelRouterService.ListModelRouters", items: "model_routers",
		get: "ModelRouterService.GetModelRouter", id: "uuid", item: "model_router",
		columns: usual(), volatile: []string{"vendor_extra"}, stamps: []string{"updated_at"},
	}
}

func customModels() *kind {
	columns := usual()
	columns.status, columns.region, columns.tags = "status", "storage_region", "tags.tags"
	return &kind{
		name: "custom_model", summary: (*pb.CustomModel)(nil), full: (*pb.CustomModel)(nil),
		list: "CustomModelService.ListCustomModels", items: "models",
		get: "CustomModelService.GetCustomModel", id: "uuid", item: "model",
		columns: columns, attributes: map[string]string{"source_type": "source_type"}, over: "STATUS_DELETED",
		volatile: []string{ // what the import finds out, and who uses the model
			"status", "error_message", "file_count", "total_size_bytes", "parameters", "architecture", "config_json", "context_length",
			"cost_estimate_per_month", "storage_region", "active_deployments", "team_id", "source_ref", "vendor_extra",
		},
		stamps: []string{"updated_at"},
	}
}

func workspaces() *kind {
	columns := usual()
	columns.deleted = "deleted_at"
	return &kind{
		name: workspaceKind, summary: (*pb.Workspace)(nil), full: (*pb.Workspace)(nil),
		list: "WorkspaceService.ListWorkspaces", items: "workspaces",
		get: "WorkspaceService.GetWorkspace", id: "workspace_uuid", item: "workspace",
		columns:    columns,
		related:    map[string][]string{"agents": {"uuid", "name"}, "evaluation_test_cases": {"test_case_uuid", "name"}},
		neighbours: []neighbour{{path: "agents", kinds: []string{agentKind}}, {path: "evaluation_test_cases", kinds: []string{testCaseKind}}},
		// Which workspace an agent is in is told of the agent.
		volatile: []string{"agents", "evaluation_test_cases", "created_by", "created_by_email", "vendor_extra"},
		stamps:   []string{"updated_at"},
	}
}

// keys are those with which models are called, and with which the vendor calls others'.
func keys() []*kind {
	columns := usual()
	columns.deleted = "deleted_at"
	modelKey := columns
	modelKey.updated = ""
	provider := func(name, service string, full proto.Message, volatile ...string) *kind {
		return &kind{
			name: name, summary: full, full: full,
			list: "ProviderKeyService.List" + service + "ApiKeys", items: "api_key_infos",
			get: "ProviderKeyService.Get" + service + "ApiKey", id: "api_key_uuid", item: "api_key_info",
			columns: columns, volatile: append(volatile, "created_by", "vendor_extra"), stamps: []string{"updated_at"},
		}
	}
	return []*kind{
		provider(anthropicKind, "Anthropic", (*pb.AnthropicApiKeyInfo)(nil)),
		provider(openAIKind, "OpenAi", (*pb.OpenAiApiKeyInfo)(nil), "models"),
		{
			name: "model_api_key", summary: (*pb.ApiKeyInfo)(nil), full: (*pb.ApiKeyInfo)(nil),
			list: "ModelKeyService.ListModelApiKeys", items: "api_key_infos",
			columns: modelKey, volatile: []string{"created_by", "vendor_extra"},
		},
	}
}
