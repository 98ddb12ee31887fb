package genaisim

import (
	"reflect"
	"slices"
	"time"
)

const (
	databaseOnline   = "ONLINE"
	databaseCreating = "CREATING"
)

// knowledgeBase is data sources, indexed into a database. It can be attached to
// agents once the database is online.
type knowledgeBase struct {
	uuid, region, embeddingModel string
	baseSettings
	createdAt, updatedAt time.Time

	sources  []*dataSource  // by creation
	jobs     []*indexingJob // by creation; see state.jobs
	schedule *schedule      // nil if there is none
}

// baseSettings are what an update of a knowledge base can change. Lists and
// what is pointed to are never changed in place.
type baseSettings struct {
	name, project, database string
	tags                    []string
	reranking               *rerankingView // nil if it was never given
}

type knowledgeBaseView struct {
	UUID               string         `json:"uuid"`
	Name               string         `json:"name"`
	DatabaseID         string         `json:"database_id"`
	EmbeddingModelUUID string         `json:"embedding_model_uuid"`
	ProjectID          string         `json:"project_id"`
	Region             string         `json:"region"`
	IsPublic           bool           `json:"is_public"`
	Tags               []string       `json:"tags"`
	RerankingConfig    *rerankingView `json:"reranking_config,omitempty"`
	LastIndexingJob    *jobView       `json:"last_indexing_job,omitempty"`
	UserID             string         `json:"user_id"`
	CreatedAt          string         `json:"created_at"`
	UpdatedAt          string         `json:"updated_at"`
	AddedToAgentAt     string         `json:"added_to_agent_at,omitempty"`
}

type rerankingView struct {
	Enabled bool   `json:"enabled"`
	Model   string `json:"model,omitempty"`
}

type knowledgeBaseAnswer struct {
	KnowledgeBase knowledgeBaseView `json:"knowledge_base"`
}

// listKnowledgeBases carries out GET /v2/gen-ai/knowledge_bases.
func listKnowledgeBases(c *call) (any, *apiError) {
	page, links := paginate(c, c.st.knowledgeBases)
	return struct {
		KnowledgeBases []knowledgeBaseView `json:"knowledge_bases"`
		paging
	}{mapped(page, func(kb *knowledgeBase) knowledgeBaseView { return c.st.knowledgeBaseView(kb, c.now) }), links}, nil
}

// createKnowledgeBase carries out POST /v2/gen-ai/knowledge_bases. Data sources
// given with it are indexed by a job that is there at once and waits for the
// database.
func createKnowledgeBase(c *call) (any, *apiError) {
	kb, fail := c.st.newKnowledgeBase(c.body, c.op.body)
	if fail != nil {
		return nil, fail
	}
	kb.createdAt, kb.updatedAt = c.now, c.now
	for _, object := range c.body.objects("datasources") {
		sc := c.op.body.fields["datasources"].of
		source, fail := c.st.newDataSource(kb, sc.known(object), sc, c.now)
		if fail != nil {
			return nil, fail
		}
		kb.sources = append(kb.sources, source)
	}
	if kb.database == "" {
		kb.database = c.st.random.uuid()
		c.st.knowledge.databases[kb.database] = c.now.Add(c.st.knowledge.databaseTime)
	}
	if len(kb.sources) > 0 {
		c.st.index(kb, kb.sources, c.now)
	}
	c.st.knowledgeBases = append(c.st.knowledgeBases, kb)
	c.resource = kb.uuid
	c.didf("created knowledge base %s", kb.uuid)
	return c.knowledgeBaseAnswer(kb), nil
}

// getKnowledgeBase carries out GET /v2/gen-ai/knowledge_bases/{uuid}.
func getKnowledgeBase(c *call) (any, *apiError) {
	kb, fail := c.knowledgeBase("uuid")
	if fail != nil {
		return nil, fail
	}
	return struct {
		knowledgeBaseAnswer
		DatabaseStatus string `json:"database_status"`
	}{c.knowledgeBaseAnswer(kb), c.st.databaseStatus(kb, c.now)}, nil
}

// updateKnowledgeBase carries out PUT /v2/gen-ai/knowledge_bases/{uuid}. What
// has been indexed stays so, whatever database comes.
func updateKnowledgeBase(c *call) (any, *apiError) {
	kb, fail := c.knowledgeBase("uuid")
	if fail != nil {
		return nil, fail
	}
	next, fail := c.st.mergeBase(kb.baseSettings, c.body, c.op.body)
	if fail != nil {
		return nil, fail
	}
	if !reflect.DeepEqual(next, kb.baseSettings) {
		kb.baseSettings, kb.updatedAt = next, c.now
		c.didf("updated knowledge base %s", kb.uuid)
	}
	return c.knowledgeBaseAnswer(kb), nil
}

// deleteKnowledgeBase carries out DELETE /v2/gen-ai/knowledge_bases/{uuid}.
func deleteKnowledgeBase(c *call) (any, *apiError) {
	kb, fail := c.knowledgeBase("uuid")
	if fail != nil {
		return nil, fail
	}
	c.st.removeKnowledgeBase(kb.uuid, c.now)
	c.didf("deleted knowledge base %s", kb.uuid)
	return struct {
		UUID string `json:"uuid"`
	}{kb.uuid}, nil
}

// newKnowledgeBase is what the fields of a creation describe, without data
// sources and, unless they name one, without a database.
func (st *state) newKnowledgeBase(given fields, sc *schema) (*knowledgeBase, *apiError) {
	kb := &knowledgeBase{uuid: st.random.uuid(), region: DefaultRegion}
	var fail *apiError
	if kb.baseSettings, fail = st.mergeBase(baseSettings{project: DefaultProject}, given, sc); fail != nil {
		return nil, fail
	}
	set(&kb.region)(given.text("region"))
	set(&kb.embeddingModel)(given.id("embedding_model_uuid"))
	switch m := st.model(kb.embeddingModel); {
	case kb.name == "":
		return nil, badRequest("name is required")
	case kb.embeddingModel == "":
		return nil, badRequest("embedding_model_uuid is required")
	case m == nil:
		return nil, badRequest("model %s does not exist", kb.embeddingModel)
	case !slices.Contains(m.usecases, usecaseKnowledgeBase):
		return nil, badRequest("model %s (%s) is not for knowledge bases", m.uuid, m.id)
	case !slices.ContainsFunc(st.regions, func(r region) bool { return r.Region == kb.region }):
		return nil, badRequest("region %q does not exist", kb.region)
	}
	return kb, nil
}

// mergeBase returns settings with the fields set that are given.
func (st *state) mergeBase(s baseSettings, given fields, sc *schema) (baseSettings, *apiError) {
	set(&s.name)(given.text("name"))
	set(&s.project)(given.id("project_id"))
	set(&s.tags)(given.texts("tags"))
	if id, ok := given.id("database_id"); ok {
		if _, exists := st.knowledge.databases[id]; !exists {
			return s, badRequest("database %s does not exist", id)
		}
		s.database = id
	}
	if object := given.inner("reranking_config", sc); len(object) > 0 {
		var next rerankingView
		if s.reranking != nil {
			next = *s.reranking
		}
		set(&next.Enabled)(object.boolean("enabled"))
		set(&next.Model)(object.text("model"))
		s.reranking = &next
	}
	return s, nil
}

// removeKnowledgeBase deletes a knowledge base with all that is in it, but for
// the database. It is gone from all agents, which get no version by that, and
// no version that had it can be restored. It returns false if there is none of
// that id.
func (st *state) removeKnowledgeBase(id string, now time.Time) bool {
	kb := st.knowledgeBase(id)
	if kb == nil {
		return false
	}
	st.knowledgeBases = without(st.knowledgeBases, kb)
	for _, a := range st.order {
		if i := indexOf(a.knowledgeBases, id, attachedKnowledgeBase.key); i >= 0 {
			a.knowledgeBases, a.updatedAt = removeAt(a.knowledgeBases, i), now
		}
	}
	return true
}

// databaseStatus tells how far the database of a knowledge base has come.
func (st *state) databaseStatus(kb *knowledgeBase, now time.Time) string {
	if now.Before(st.knowledge.databases[kb.database]) {
		return databaseCreating
	}
	return databaseOnline
}

// knowledgeBase finds the knowledge base a path parameter names and notes it as
// the resource of the call.
func (c *call) knowledgeBase(param string) (*knowledgeBase, *apiError) {
	id := c.params[param]
	kb := c.st.knowledgeBase(id)
	if kb == nil {
		return nil, notFound("The knowledge base", id)
	}
	c.resource = id
	c.st.catchUp(kb, c.now)
	return kb, nil
}

func (c *call) knowledgeBaseAnswer(kb *knowledgeBase) knowledgeBaseAnswer {
	return knowledgeBaseAnswer{c.st.knowledgeBaseView(kb, c.now)}
}

func (st *state) knowledgeBaseView(kb *knowledgeBase, now time.Time) knowledgeBaseView {
	view := knowledgeBaseView{
		UUID: kb.uuid, Name: kb.name, DatabaseID: kb.database, EmbeddingModelUUID: kb.embeddingModel, ProjectID: kb.project,
		Region: kb.region, Tags: notNil(kb.tags), RerankingConfig: kb.reranking, UserID: OwnerID,
		CreatedAt: stamp(kb.createdAt), UpdatedAt: stamp(kb.updatedAt),
	}
	if jobs := st.jobs(kb, now); len(jobs) > 0 {
		view.LastIndexingJob = new(jobs[len(jobs)-1].view(now))
	}
	return view
}

// countKnowledge counts what is in the knowledge bases.
func (st *state) countKnowledge(counts map[string]int, now time.Time) {
	for _, kb := range st.knowledgeBases {
		counts["data_sources"] += len(kb.sources)
		counts["indexing_jobs"] += len(st.jobs(kb, now))
		if kb.schedule != nil {
			counts["schedules"]++
		}
	}
}
