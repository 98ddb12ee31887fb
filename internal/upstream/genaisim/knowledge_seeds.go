package genaisim

import "time"

// The knowledge bases that exist in every simulator from the start.
const (
	KnowledgeBaseA = "6a1f2c30-51d0-4e6b-8f00-000000000301" // indexed; its database, DatabaseA, is ONLINE
	KnowledgeBaseB = "6a1f2c30-51d0-4e6b-8f00-000000000302" // indexed; its database, DatabaseB, is ONLINE
	// KnowledgeBaseCreating has a database that never gets past CREATING, so
	// it cannot be attached. It has no data sources.
	KnowledgeBaseCreating = "6a1f2c30-51d0-4e6b-8f00-000000000303"

	DatabaseA        = "6a1f2c30-51d0-4e6b-8f00-000000000501"
	DatabaseB        = "6a1f2c30-51d0-4e6b-8f00-000000000502"
	DatabaseCreating = "6a1f2c30-51d0-4e6b-8f00-000000000503"

	DataSourceA = "6a1f2c30-51d0-4e6b-8f00-000000000601" // a bucket, of KnowledgeBaseA
	DataSourceB = "6a1f2c30-51d0-4e6b-8f00-000000000602" // a web site, of KnowledgeBaseB

	IndexingJobA = "6a1f2c30-51d0-4e6b-8f00-000000000701" // of KnowledgeBaseA, completed
	IndexingJobB = "6a1f2c30-51d0-4e6b-8f00-000000000702" // of KnowledgeBaseB, completed
)

// knowledge is the part of the state that knowledge bases need beside
// themselves.
type knowledge struct {
	databaseTime, indexTime time.Duration

	databases map[string]time.Time // when each is online, by id
	uploads   map[string]bool      // the object keys handed out for files
	started   int                  // number of indexing jobs ever started
}

func newKnowledge(cfg Config) knowledge {
	return knowledge{
		databaseTime: cfg.DatabaseTime, indexTime: cfg.IndexTime,
		databases: map[string]time.Time{
			DatabaseA: {}, DatabaseB: {}, // online whatever the clock says
			DatabaseCreating: time.Date(9999, time.December, 31, 0, 0, 0, 0, time.UTC),
		},
		uploads: make(map[string]bool),
	}
}

func knowledgeBases() []*knowledgeBase {
	now := seedEpoch()
	base := func(id, name, database, model string, tags ...string) *knowledgeBase {
		return &knowledgeBase{
			uuid: id, region: DefaultRegion, embeddingModel: model, createdAt: now, updatedAt: now,
			baseSettings: baseSettings{name: name, project: DefaultProject, database: database, tags: tags},
		}
	}
	indexed := func(kb *knowledgeBase, source *dataSource, job string) *knowledgeBase {
		source.createdAt, source.updatedAt = now, now
		source.content = source.origin.content(source.uuid)
		kb.sources = []*dataSource{source}
		kb.jobs = []*indexingJob{{uuid: job, base: kb.uuid, sources: kb.sources, createdAt: now, startsAt: now, endsAt: now}}
		return kb
	}
	return []*knowledgeBase{
		indexed(base(KnowledgeBaseA, "product-manuals", DatabaseA, ModelEmbedding, "manuals"), &dataSource{
			uuid:     DataSourceA,
			origin:   origin{Spaces: &bucketView{BucketName: "product-manuals", ItemPath: "manuals/", Region: DefaultRegion}},
			chunking: chunking{Algorithm: chunkingBySection, Options: chunkingOptions{Max: 750}},
		}, IndexingJobA),
		indexed(base(KnowledgeBaseB, "support-tickets", DatabaseB, ModelEmbeddingSmall), &dataSource{
			uuid:     DataSourceB,
			origin:   origin{Crawler: &crawlerView{BaseURL: "https://tickets.example.com", CrawlingOption: "DOMAIN", ExcludeTags: []string{}}},
			chunking: chunking{Algorithm: chunkingBySection, Options: chunkingOptions{Max: 256}},
		}, IndexingJobB),
		base(KnowledgeBaseCreating, "new-handbook", DatabaseCreating, ModelEmbedding),
	}
}
