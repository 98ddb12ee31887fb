package genaisim

import (
	"reflect"
	"time"
)

// dataSource is content of a knowledge base. Only its chunking ever changes.
type dataSource struct {
	uuid                 string
	createdAt, updatedAt time.Time
	content              content
	origin
	chunking
}

type dataSourceView struct {
	UUID string `json:"uuid"`
	origin
	chunking
	LastJob   *indexedView `json:"last_datasource_indexing_job,omitempty"`
	CreatedAt string       `json:"created_at"`
	UpdatedAt string       `json:"updated_at"`

	// Of buckets; deprecated in favour of the same within the origin.
	BucketName string `json:"bucket_name,omitempty"`
	ItemPath   string `json:"item_path,omitempty"`
	Region     string `json:"region,omitempty"`
}

type dataSourceAnswer struct {
	DataSource dataSourceView `json:"knowledge_base_data_source"`
}

// listDataSources carries out GET
// /v2/gen-ai/knowledge_bases/{knowledge_base_uuid}/data_sources.
func listDataSources(c *call) (any, *apiError) {
	kb, fail := c.knowledgeBase("knowledge_base_uuid")
	if fail != nil {
		return nil, fail
	}
	page, links := paginate(c, kb.sources)
	return struct {
		DataSources []dataSourceView `json:"knowledge_base_data_sources"`
		paging
	}{mapped(page, func(source *dataSource) dataSourceView { return c.dataSourceView(kb, source) }), links}, nil
}

// addDataSource carries out POST
// /v2/gen-ai/knowledge_bases/{knowledge_base_uuid}/data_sources. It takes three
// of the six kinds of data sources and indexes nothing.
func addDataSource(c *call) (any, *apiError) {
	kb, fail := c.knowledgeBase("knowledge_base_uuid")
	if fail != nil {
		return nil, fail
	}
	source, fail := c.st.newDataSource(kb, c.body, c.op.body, c.now)
	if fail != nil {
		return nil, fail
	}
	kb.sources = append(kb.sources, source)
	c.resource = source.uuid
	c.didf("added data source %s to knowledge base %s", source.uuid, kb.uuid)
	return dataSourceAnswer{c.dataSourceView(kb, source)}, nil
}

// updateDataSource carries out PUT
// /v2/gen-ai/knowledge_bases/{knowledge_base_uuid}/data_sources/{data_source_uuid}.
// It changes the chunking, of what is indexed from now on.
func updateDataSource(c *call) (any, *apiError) {
	kb, i, fail := c.dataSource()
	if fail != nil {
		return nil, fail
	}
	source := kb.sources[i]
	next, fail := source.chunking.merge(c.body, c.op.body, c.st.model(kb.embeddingModel))
	if fail != nil {
		return nil, fail
	}
	if !reflect.DeepEqual(next, source.chunking) {
		source.chunking, source.updatedAt = next, c.now
		c.didf("updated data source %s of knowledge base %s", source.uuid, kb.uuid)
	}
	return dataSourceAnswer{c.dataSourceView(kb, source)}, nil
}

// deleteDataSource carries out DELETE
// /v2/gen-ai/knowledge_bases/{knowledge_base_uuid}/data_sources/{data_source_uuid}.
// Jobs that have it keep it.
func deleteDataSource(c *call) (any, *apiError) {
	kb, i, fail := c.dataSource()
	if fail != nil {
		return nil, fail
	}
	id := kb.sources[i].uuid
	kb.sources = removeAt(kb.sources, i)
	c.didf("deleted data source %s of knowledge base %s", id, kb.uuid)
	return struct {
		DataSourceUUID    string `json:"data_source_uuid"`
		KnowledgeBaseUUID string `json:"knowledge_base_uuid"`
	}{id, kb.uuid}, nil
}

// newDataSource is what the fields of an object, of schema sc, describe.
func (st *state) newDataSource(kb *knowledgeBase, given fields, sc *schema, now time.Time) (*dataSource, *apiError) {
	from, fail := st.origin(given, sc)
	if fail != nil {
		return nil, fail
	}
	m := st.model(kb.embeddingModel)
	cut, fail := defaultChunking(chunkingBySection, m).merge(given, sc, m)
	if fail != nil {
		return nil, fail
	}
	id := st.random.uuid()
	return &dataSource{uuid: id, createdAt: now, updatedAt: now, content: from.content(id), origin: from, chunking: cut}, nil
}

// dataSource finds the knowledge base the path names, and the place of the data
// source among its data sources.
func (c *call) dataSource() (*knowledgeBase, int, *apiError) {
	kb, fail := c.knowledgeBase("knowledge_base_uuid")
	if fail != nil {
		return nil, 0, fail
	}
	id := c.params["data_source_uuid"]
	i := indexOf(kb.sources, id, (*dataSource).id)
	if i < 0 {
		return nil, 0, notFound("The data source", id)
	}
	c.resource = id
	return kb, i, nil
}

func (source *dataSource) id() string { return source.uuid }

func (c *call) dataSourceView(kb *knowledgeBase, source *dataSource) dataSourceView {
	view := dataSourceView{
		UUID: source.uuid, origin: source.origin, chunking: source.chunking,
		CreatedAt: stamp(source.createdAt), UpdatedAt: stamp(source.updatedAt),
	}
	if bucket := source.bucket(); bucket != nil {
		view.BucketName, view.ItemPath, view.Region = bucket.BucketName, bucket.ItemPath, bucket.Region
	}
	for _, job := range reversed(c.st.jobs(kb, c.now)) {
		if i := indexOf(job.sources, source.uuid, (*dataSource).id); i >= 0 {
			view.LastJob = new(job.indexed(i, c.now))
			break
		}
	}
	return view
}
