package genaisim

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

const basesPath = "/v2/gen-ai/knowledge_bases"

// base makes a knowledge base of the given name, with more fields if any, and
// returns it.
func (s *sim) base(name, more string) map[string]any {
	s.t.Helper()
	body := `{"name":"` + name + `","embedding_model_uuid":"` + ModelEmbedding + `"` + more + `}`
	return object(s.do(200, "POST", basesPath, body).body, "knowledge_base")
}

// left are the fields of a shape that an object does not have.
func (s *sim) left(shape string, object map[string]any) string {
	var left []string
	for name := range maps.Keys(s.contract.shapes[shape].fields) {
		if _, ok := object[name]; !ok {
			left = append(left, name)
		}
	}
	slices.Sort(left)
	return strings.Join(left, " ")
}

// webSites is the field "datasources" of a creation, with web sites.
func webSites(hosts ...string) string {
	list := make([]string, 0, len(hosts))
	for _, host := range hosts {
		list = append(list, `{"web_crawler_data_source":{"base_url":"https://`+host+`"}}`)
	}
	return `,"datasources":[` + strings.Join(list, ",") + `]`
}

func TestCreateKnowledgeBaseKeepsWhatWasGiven(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{Strict: true, Now: now.Now, DatabaseTime: time.Minute, IndexTime: time.Minute})
	const project = "6a1f2c30-51d0-4e6b-8f00-00000000abcd"

	kb := s.base("manuals", `,"project_id":"`+project+`","region":"nyc2","tags":["a","b"],"size":"OPEN_SEARCH_PLAN_SIZE_SMALL",
		"vpc_uuid":"6a1f2c30-51d0-4e6b-8f00-00000000beef","reranking_config":{"enabled":true,"model":"bge-reranker-v2-m3"},
		"datasources":[
			{"spaces_data_source":{"bucket_name":"pages","region":"tor1","item_path":"x/"}},
			{"aws_data_source":{"bucket_name":"mail","key_id":"AKIAHIDDEN","secret_key":"hidden-too","region":"us-east-1"}},
			{"dropbox_data_source":{"folder":"/f","refresh_token":"hidden-three"}},
			{"google_drive_data_source":{"folder_id":"1a2B","refresh_token":"hidden-four"}},
			{"web_crawler_data_source":{"base_url":"https://example.com","crawling_option":"SITEMAP","embed_media":true,"exclude_tags":["nav"]}},
			{"bucket_name":"old","bucket_region":"ams3","item_path":"y/"}]`)

	id := text(kb, "uuid")
	s.wantEffect("created knowledge base " + id)
	equal(t, "resource", s.last().ResourceUUID, id)
	equal(t, "fields it has not", s.left("KnowledgeBase", kb), "added_to_agent_at")
	for field, want := range map[string]string{
		"name": "manuals", "project_id": project, "region": "nyc2", "embedding_model_uuid": ModelEmbedding, "user_id": OwnerID,
		"is_public": "false", "created_at": "2026-06-01T12:00:00Z", "updated_at": "2026-06-01T12:00:00Z",
	} {
		equal(t, field, text(kb, field), want)
	}
	equal(t, "reranker", text(kb, "reranking_config", "enabled")+" "+text(kb, "reranking_config", "model"), "true bge-reranker-v2-m3")
	equal(t, "first job", text(kb, "last_indexing_job", "status"), jobPending)
	equal(t, "its data sources", text(kb, "last_indexing_job", "total_datasources"), "6")

	sources := s.do(200, "GET", basesPath+"/"+id+"/data_sources", "")
	list := objects(sources.body, "knowledge_base_data_sources")
	equal(t, "data sources", len(list), 6)
	equal(t, "Spaces", text(list[0], "spaces_data_source", "bucket_name")+" "+text(list[0], "item_path")+" "+text(list[0], "region"), "pages x/ tor1")
	equal(t, "AWS", text(list[1], "aws_data_source", "bucket_name")+" "+text(list[1], "aws_data_source", "region"), "mail us-east-1")
	equal(t, "Dropbox", text(list[2], "dropbox_data_source", "folder"), "/f")
	equal(t, "Google Drive", text(list[3], "google_drive_data_source", "folder_id"), "1a2B")
	equal(t, "crawler", text(list[4], "web_crawler_data_source", "crawling_option")+" "+text(list[4], "web_crawler_data_source", "embed_media"), "SITEMAP true")
	equal(t, "deprecated", text(list[5], "spaces_data_source", "bucket_name")+" "+text(list[5], "spaces_data_source", "region"), "old ams3")
	for _, path := range []string{"", "/" + id, "/" + id + "/data_sources"} {
		if got := s.do(200, "GET", basesPath+path, ""); strings.Contains(strings.ToLower(got.raw), "hidden") {
			t.Errorf("GET %s shows a secret: %s", path, got.raw)
		}
	}

	again := s.base("manuals", ``)
	equal(t, "names may repeat", text(again, "name"), "manuals")
	equal(t, "defaults", text(again, "region")+" "+text(again, "project_id"), DefaultRegion+" "+DefaultProject)
	equal(t, "fields it has not", s.left("KnowledgeBase", again), "added_to_agent_at last_indexing_job reranking_config")
	equal(t, "database it shares", text(s.base("shared", `,"database_id":"`+text(kb, "database_id")+`"`), "database_id"), text(kb, "database_id"))
}

func TestCreateKnowledgeBaseRefusals(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	model := `"embedding_model_uuid":"` + ModelEmbedding + `"`
	for name, body := range map[string]string{
		"no body":                        ``,
		"no name":                        `{` + model + `}`,
		"no model":                       `{"name":"a"}`,
		"an unknown model":               `{"name":"a","embedding_model_uuid":"` + unknownID + `"}`,
		"a model for agents":             `{"name":"a","embedding_model_uuid":"` + ModelLlama + `"}`,
		"an unknown region":              `{"name":"a","region":"mars1",` + model + `}`,
		"an unknown database":            `{"name":"a","database_id":"` + unknownID + `",` + model + `}`,
		"a data source of no kind":       `{"name":"a",` + model + `,"datasources":[{}]}`,
		"a data source of unknown kind":  `{"name":"a",` + model + `,"datasources":[{"ftp_data_source":{}}]}`,
		"a good data source and a wrong": `{"name":"a",` + model + `,"datasources":[{"bucket_name":"b"},{"spaces_data_source":{}}]}`,
		"a data source of two kinds": `{"name":"a",` + model + `,"datasources":[{
			"spaces_data_source":{"bucket_name":"b"},"web_crawler_data_source":{"base_url":"https://example.com"}}]}`,
		"AWS without a secret": `{"name":"a",` + model + `,"datasources":[{"aws_data_source":{"bucket_name":"b","key_id":"k"}}]}`,
		"AWS without a bucket": `{"name":"a",` + model + `,"datasources":[{"aws_data_source":{"secret_key":"s","key_id":"k"}}]}`,
		"no web site":          `{"name":"a",` + model + `,"datasources":[{"web_crawler_data_source":{"base_url":"ftp://example.com"}}]}`,
		"Dropbox, no token":    `{"name":"a",` + model + `,"datasources":[{"dropbox_data_source":{"folder":"f"}}]}`,
		"Drive, no token":      `{"name":"a",` + model + `,"datasources":[{"google_drive_data_source":{"folder_id":"f"}}]}`,
		"a file never presigned": `{"name":"a",` + model + `,
			"datasources":[{"file_upload_data_source":{"stored_object_key":"knowledge-bases/x"}}]}`,
		"a file of less than nothing": `{"name":"a",` + model + `,"datasources":[{"file_upload_data_source":{
			"stored_object_key":"k","size_in_bytes":-1}}]}`,
		"a file without a key": `{"name":"a",` + model + `,"datasources":[{"file_upload_data_source":{"size_in_bytes":"3"}}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := s.try("POST", basesPath, body)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "status", got.status, 400)
			counts := object(s.do(200, "GET", "/_sim/state", "").body, "counts")
			equal(t, "what there is", text(counts, "knowledge_bases")+" "+text(counts, "data_sources")+" "+text(counts, "indexing_jobs"), "3 2 2")
		})
	}
}

func TestDatabaseComesOnline(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{Strict: true, Now: now.Now, DatabaseTime: time.Minute})
	agent := s.create("a")
	id := text(s.base("new", ``), "uuid")
	status := func(id string) string {
		return text(s.do(200, "GET", basesPath+"/"+id, "").body, "database_status")
	}

	equal(t, "status at first", status(id), databaseCreating)
	s.do(400, "POST", agentsPath+"/"+agent+"/knowledge_bases/"+id, ``)
	now.advance(59 * time.Second)
	equal(t, "status before its time", status(id), databaseCreating)
	now.advance(time.Second)
	equal(t, "status after its time", status(id), databaseOnline)
	s.do(200, "POST", agentsPath+"/"+agent+"/knowledge_bases/"+id, ``)
	attached := objects(s.agent(agent), "knowledge_bases")[0]
	equal(t, "attached", text(attached, "uuid")+" "+text(attached, "added_to_agent_at"), id+" 2026-06-01T12:01:00Z")
	now.advance(1000 * time.Hour)
	equal(t, "status of the one that never is", status(KnowledgeBaseCreating), databaseCreating)
	equal(t, "status of a seed", status(KnowledgeBaseA), databaseOnline)
	equal(t, "status where it takes no time", text(start(t, Config{}).do(200, "GET", basesPath+"/"+KnowledgeBaseB, "").body, "database_status"), databaseOnline)
}

func TestUpdateKnowledgeBaseMerges(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		body string
		want map[string]string // by field; everything else stays
		raw  string            // what the answer must contain
		none bool              // no effect
	}{
		"another name":              {body: `{"name":"b"}`, want: map[string]string{"name": "b"}},
		"another project":           {body: `{"project_id":"` + unknownID + `"}`, want: map[string]string{"project_id": unknownID}},
		"another database":          {body: `{"database_id":"` + DatabaseB + `"}`, want: map[string]string{"database_id": DatabaseB}},
		"no tags":                   {body: `{"tags":[]}`, raw: `"tags":[]`},
		"no reranking any more":     {body: `{"reranking_config":{"enabled":false}}`, raw: `"reranking_config":{"enabled":false,"model":"m"}`},
		"another reranker":          {body: `{"reranking_config":{"model":"n"}}`, raw: `"reranking_config":{"enabled":true,"model":"n"}`},
		"an empty reranker":         {body: `{"reranking_config":{}}`, none: true},
		"nothing":                   {none: true},
		"nulls and empty texts":     {body: `{"name":"","tags":null,"database_id":"","reranking_config":null}`, none: true},
		"what it is already":        {body: `{"name":"a","tags":["x"],"reranking_config":{"enabled":true,"model":"m"}}`, none: true},
		"its id, as the docs do it": {body: `{"uuid":"` + unknownID + `"}`, none: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := newClock()
			s := start(t, Config{Strict: true, Now: now.Now})
			before := s.base("a", `,"tags":["x"],"reranking_config":{"enabled":true,"model":"m"}`)
			id := text(before, "uuid")
			now.advance(time.Hour)

			got := s.do(200, "PUT", basesPath+"/"+id, tc.body)

			after := object(got.body, "knowledge_base")
			for _, field := range []string{"name", "project_id", "database_id", "region"} {
				want, changed := tc.want[field]
				if !changed {
					want = text(before, field)
				}
				equal(t, field, text(after, field), want)
			}
			if !strings.Contains(got.raw, tc.raw) {
				t.Errorf("the answer has no %s: %s", tc.raw, got.raw)
			}
			equal(t, "no effect", s.last().Effect == NoEffect, tc.none)
			equal(t, "updated", text(after, "updated_at") != text(before, "updated_at"), !tc.none)
			equal(t, "shown later", text(s.do(200, "GET", basesPath+"/"+id, "").body, "knowledge_base", "name"), text(after, "name"))
		})
	}
	s := start(t, Config{})
	s.do(400, "PUT", basesPath+"/"+KnowledgeBaseA, `{"name":"x","database_id":"`+unknownID+`"}`)
	s.do(404, "PUT", basesPath+"/"+unknownID, `{"name":"x"}`)
	s.do(404, "GET", basesPath+"/"+unknownID, ``)
	equal(t, "name", text(s.do(200, "GET", basesPath+"/"+KnowledgeBaseA, "").body, "knowledge_base", "name"), "product-manuals")
}

func TestDeletedKnowledgeBaseIsGone(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]func(s *sim, id string){
		"by a client":        func(s *sim, id string) { s.do(200, "DELETE", basesPath+"/"+id, "") },
		"from the console":   func(s *sim, id string) { s.do(200, "DELETE", "/_sim/knowledge_bases/"+id, "") },
		"in capital letters": func(s *sim, id string) { s.do(200, "DELETE", basesPath+"/"+strings.ToUpper(id), "") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, Config{Strict: true, IndexTime: time.Hour})
			agent := s.create("a")
			kb := s.base("doomed", webSites("example.com"))
			id, job, database := text(kb, "uuid"), text(kb, "last_indexing_job", "uuid"), text(kb, "database_id")
			s.do(200, "POST", "/v2/gen-ai/scheduled-indexing", `{"knowledge_base_uuid":"`+id+`","days":[1],"time":"18:00"}`)
			schedule := s.last().ResourceUUID
			s.do(200, "POST", agentsPath+"/"+agent+"/knowledge_bases/"+id, ``)
			s.do(200, "POST", agentsPath+"/"+agent+"/knowledge_bases/"+KnowledgeBaseA, ``)
			versions := len(s.versions(agent))

			remove(s, id)

			equal(t, "attached", column(objects(s.agent(agent), "knowledge_bases"), "uuid"), KnowledgeBaseA)
			equal(t, "versions", len(s.versions(agent)), versions)
			equal(t, "versions to be restored", column(s.versions(agent), "can_rollback"), strings.Repeat("false ", 2)+"true")
			for _, request := range [][3]string{
				{"GET", basesPath + "/" + id},
				{"DELETE", basesPath + "/" + id},
				{"GET", basesPath + "/" + id + "/data_sources"},
				{"GET", basesPath + "/" + id + "/indexing_jobs"},
				{"GET", "/v2/gen-ai/indexing_jobs/" + job},
				{"PUT", "/v2/gen-ai/indexing_jobs/" + job + "/cancel"},
				{"POST", "/v2/gen-ai/indexing_jobs", `{"knowledge_base_uuid":"` + id + `"}`},
				{"GET", "/v2/gen-ai/scheduled-indexing/knowledge-base/" + id},
				{"DELETE", "/v2/gen-ai/scheduled-indexing/" + schedule},
				{"POST", agentsPath + "/" + agent + "/knowledge_bases/" + id},
			} {
				s.do(404, request[0], request[1], request[2])
			}
			equal(t, "left", column(objects(s.do(200, "GET", basesPath, "").body, "knowledge_bases"), "name"), "product-manuals support-tickets new-handbook")
			counts := object(s.do(200, "GET", "/_sim/state", "").body, "counts")
			equal(t, "data sources left", text(counts, "data_sources"), "2")
			equal(t, "schedules left", text(counts, "schedules"), "")
			s.base("on the database of the old", `,"database_id":"`+database+`"`)
		})
	}
}

func TestDeleteKnowledgeBaseAnswersItsID(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	got := s.do(200, "DELETE", basesPath+"/"+KnowledgeBaseA, "")
	equal(t, "id", text(got.body, "uuid"), KnowledgeBaseA)
	s.wantEffect("deleted knowledge base " + KnowledgeBaseA)
}

func TestKnowledgeBasesHavePages(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	for _, name := range []string{"d", "e"} {
		s.base(name, ``)
	}
	got := s.do(200, "GET", basesPath+"?page=2&per_page=3", "")
	equal(t, "page", column(objects(got.body, "knowledge_bases"), "name"), "d e")
	equal(t, "total", text(got.body, "meta", "total"), "5")
	if first := text(got.body, "links", "pages", "first"); !strings.HasSuffix(first, basesPath+"?page=1&per_page=3") {
		t.Errorf("first page is %q", first)
	}
}

// walkKnowledge asks for every operation about knowledge bases; do checks each
// answer.
func (s *sim) walkKnowledge() {
	s.t.Helper()
	id := text(s.base("walk", ``), "uuid")
	s.do(200, "POST", basesPath+"/"+id+"/data_sources", `{"spaces_data_source":{"bucket_name":"b"}}`)
	source := s.last().ResourceUUID
	s.do(200, "POST", "/v2/gen-ai/indexing_jobs", `{"knowledge_base_uuid":"`+id+`","data_source_uuids":["`+source+`"]}`)
	job := "/v2/gen-ai/indexing_jobs/" + s.last().ResourceUUID
	s.do(200, "POST", "/v2/gen-ai/scheduled-indexing", `{"knowledge_base_uuid":"`+id+`","days":[1,2,3],"time":"18:00"}`)
	schedule := s.last().ResourceUUID
	for _, request := range [][3]string{
		{"GET", basesPath},
		{"GET", basesPath + "/" + id},
		{"PUT", basesPath + "/" + id, `{"tags":["t"]}`},
		{"POST", basesPath + "/data_sources/file_upload_presigned_urls", `{"files":[{"file_name":"a.pdf","file_size":2048}]}`},
		{"GET", basesPath + "/" + id + "/data_sources"},
		{"PUT", basesPath + "/" + id + "/data_sources/" + source, `{"chunking_options":{"max_chunk_size":500}}`},
		{"GET", basesPath + "/" + id + "/indexing_jobs"},
		{"GET", "/v2/gen-ai/indexing_jobs"},
		{"GET", job}, {"GET", job + "/data_sources"}, {"GET", job + "/details_signed_url"},
		{"GET", "/v2/gen-ai/scheduled-indexing/knowledge-base/" + id},
		{"DELETE", "/v2/gen-ai/scheduled-indexing/" + schedule},
		{"DELETE", basesPath + "/" + id + "/data_sources/" + source},
		{"DELETE", basesPath + "/" + id},
	} {
		s.do(200, request[0], request[1], request[2])
	}
	// A job that can be cancelled is one that waits for a database.
	waiting := s.base("waits", `,"database_id":"`+DatabaseCreating+`"`+webSites("example.com"))
	s.do(200, "PUT", "/v2/gen-ai/indexing_jobs/"+text(waiting, "last_indexing_job", "uuid")+"/cancel", ``)
}
