package genaisim

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestDataSources(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{Strict: true, Now: now.Now, IndexTime: time.Minute})
	id := text(s.base("a", ``), "uuid")
	path := basesPath + "/" + id + "/data_sources"
	crawler := `"web_crawler_data_source":{"base_url":"https://example.com","crawling_option":"UNKNOWN"}`

	added := object(s.do(200, "POST", path, `{"knowledge_base_uuid":"`+id+`",`+crawler+`}`).body, "knowledge_base_data_source")
	source := text(added, "uuid")
	s.wantEffect("added data source " + source + " to knowledge base " + id)
	equal(t, "resource", s.last().ResourceUUID, source)
	equal(t, "crawling option", text(added, "web_crawler_data_source", "crawling_option"), "SCOPED")
	equal(t, "chunking", text(added, "chunking_algorithm")+" "+text(added, "chunking_options", "max_chunk_size"), chunkingBySection+" 750")
	equal(t, "jobs", text(s.do(200, "GET", basesPath+"/"+id+"/indexing_jobs", "").body, "meta", "total"), "0")

	bucket := object(s.do(200, "POST", path, `{"aws_data_source":{"bucket_name":"b","item_path":"x/","region":"us-east-1",
		"key_id":"AKIAHIDDEN","secret_key":"hidden"}}`).body, "knowledge_base_data_source")
	equal(t, "bucket", text(bucket, "aws_data_source", "bucket_name"), "b")
	s.do(200, "POST", "/v2/gen-ai/indexing_jobs", `{"knowledge_base_uuid":"`+id+`"}`)
	now.advance(time.Minute)
	list := objects(s.do(200, "GET", path, "").body, "knowledge_base_data_sources")
	equal(t, "data sources", column(list, "uuid"), source+" "+text(bucket, "uuid"))
	equal(t, "fields it has not", s.left("DataSource", list[1]),
		"dropbox_data_source file_upload_data_source google_drive_data_source spaces_data_source web_crawler_data_source")
	equal(t, "last job", text(list[0], "last_datasource_indexing_job", "status"), indexedUpdated)
	s.do(200, "POST", "/v2/gen-ai/indexing_jobs", `{"knowledge_base_uuid":"`+id+`","data_source_uuids":["`+source+`"]}`)
	now.advance(30 * time.Second)
	list = objects(s.do(200, "GET", path, "").body, "knowledge_base_data_sources")
	equal(t, "last jobs", text(list[0], "last_datasource_indexing_job", "status")+" "+text(list[1], "last_datasource_indexing_job", "status"),
		indexedInProgress+" "+indexedUpdated)
	page := s.do(200, "GET", path+"?page=2&per_page=1", "")
	equal(t, "page", column(objects(page.body, "knowledge_base_data_sources"), "uuid"), text(bucket, "uuid"))
	equal(t, "pages", text(page.body, "meta", "pages"), "2")

	got := s.do(200, "DELETE", path+"/"+source, "")
	equal(t, "deleted", text(got.body, "data_source_uuid")+" "+text(got.body, "knowledge_base_uuid"), source+" "+id)
	s.wantEffect("deleted data source " + source + " of knowledge base " + id)
	s.do(404, "DELETE", path+"/"+source, "")
	s.do(404, "PUT", path+"/"+source, `{}`)
	s.do(404, "DELETE", basesPath+"/"+unknownID+"/data_sources/"+source, "")
	s.do(404, "PUT", basesPath+"/"+KnowledgeBaseA+"/data_sources/"+text(bucket, "uuid"), `{}`)
	s.do(404, "POST", basesPath+"/"+unknownID+"/data_sources", `{`+crawler+`}`)
	last := object(s.do(200, "GET", basesPath+"/"+id, "").body, "knowledge_base", "last_indexing_job")
	equal(t, "data sources of the job", column(objects(last, "data_source_jobs"), "data_source_uuid"), source)
	equal(t, "data sources left", column(objects(s.do(200, "GET", path, "").body, "knowledge_base_data_sources"), "uuid"), text(bucket, "uuid"))
}

func TestAddDataSourceRefusals(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	path := basesPath + "/" + KnowledgeBaseA + "/data_sources"
	for name, body := range map[string]string{
		"nothing":          ``,
		"only chunking":    `{"chunking_algorithm":"CHUNKING_ALGORITHM_SEMANTIC"}`,
		"two kinds":        `{"spaces_data_source":{"bucket_name":"b"},"aws_data_source":{"bucket_name":"b","key_id":"k","secret_key":"s"}}`,
		"only at creation": `{"dropbox_data_source":{"folder":"f","refresh_token":"t"}}`,
		"no bucket":        `{"spaces_data_source":{"region":"tor1"}}`,
		"no host":          `{"web_crawler_data_source":{"base_url":"https://"}}`,
		"no address":       `{"web_crawler_data_source":{"base_url":"http://[::1"}}`,
		"wrong chunking":   `{"spaces_data_source":{"bucket_name":"b"},"chunking_options":{"max_chunk_size":9000}}`,
	} {
		t.Run(name, func(t *testing.T) {
			s.do(400, "POST", path, body)
			equal(t, "data sources", column(objects(s.do(200, "GET", path, "").body, "knowledge_base_data_sources"), "uuid"), DataSourceA)
		})
	}
	// What is not known in the depths counts as not given, as elsewhere.
	got := s.do(200, "POST", path, `{"web_crawler_data_source":{"base_url":"https://example.com","crawling_option":"WILD","depth":3}}`)
	equal(t, "crawling option", text(got.body, "knowledge_base_data_source", "web_crawler_data_source", "crawling_option"), "SCOPED")
}

func TestChunking(t *testing.T) {
	t.Parallel()
	const all = `"max_chunk_size":200,"parent_chunk_size":600,"child_chunk_size":100,"semantic_threshold":0.25`
	for name, tc := range map[string]struct {
		first, second string // what is given when it is added, and then by an update
		want          string // of the answer; empty: the update is 400
		none          bool   // the update has no effect
	}{
		"by section": {
			second: `{"chunking_options":{` + all + `}}`,
			want:   `"chunking_algorithm":"CHUNKING_ALGORITHM_SECTION_BASED","chunking_options":{"max_chunk_size":200}`,
		},
		"hierarchical": {
			second: `{"chunking_algorithm":"CHUNKING_ALGORITHM_HIERARCHICAL","chunking_options":{` + all + `}}`,
			want:   `"chunking_algorithm":"CHUNKING_ALGORITHM_HIERARCHICAL","chunking_options":{"parent_chunk_size":600,"child_chunk_size":100}`,
		},
		"semantic": {
			second: `{"chunking_algorithm":"CHUNKING_ALGORITHM_SEMANTIC","chunking_options":{` + all + `}}`,
			want:   `"chunking_algorithm":"CHUNKING_ALGORITHM_SEMANTIC","chunking_options":{"max_chunk_size":200,"semantic_threshold":0.25}`,
		},
		"of fixed length": {
			second: `{"chunking_algorithm":"CHUNKING_ALGORITHM_FIXED_LENGTH","chunking_options":{` + all + `}}`,
			want:   `"chunking_algorithm":"CHUNKING_ALGORITHM_FIXED_LENGTH","chunking_options":{"max_chunk_size":200}`,
		},
		"defaults of another algorithm": {
			first: `"chunking_options":{"max_chunk_size":7}`, second: `{"chunking_algorithm":"CHUNKING_ALGORITHM_HIERARCHICAL"}`,
			want: `"chunking_options":{"parent_chunk_size":1000,"child_chunk_size":256}`, // the model takes 256 at most
		},
		"another option": {
			first:  `"chunking_algorithm":"CHUNKING_ALGORITHM_SEMANTIC","chunking_options":{"max_chunk_size":7}`,
			second: `{"chunking_options":{"semantic_threshold":0}}`, want: `"chunking_options":{"max_chunk_size":7,"semantic_threshold":0}`,
		},
		"nothing": {second: ``, want: `"chunking_options":{"max_chunk_size":256}`, none: true},
		"what it is": {
			first: `"chunking_options":{"max_chunk_size":7}`, second: `{"chunking_algorithm":"CHUNKING_ALGORITHM_SECTION_BASED"}`,
			want: `"chunking_options":{"max_chunk_size":7}`, none: true,
		},
		"no algorithm":     {second: `{"chunking_algorithm":"CHUNKING_ALGORITHM_UNKNOWN"}`, want: `"max_chunk_size":256`, none: true},
		"too long":         {second: `{"chunking_options":{"max_chunk_size":257}}`},
		"too short":        {second: `{"chunking_options":{"max_chunk_size":0}}`},
		"a long child":     {second: `{"chunking_algorithm":"CHUNKING_ALGORITHM_HIERARCHICAL","chunking_options":{"child_chunk_size":257}}`},
		"a small parent":   {second: `{"chunking_algorithm":"CHUNKING_ALGORITHM_HIERARCHICAL","chunking_options":{"parent_chunk_size":256}}`},
		"too high a share": {second: `{"chunking_algorithm":"CHUNKING_ALGORITHM_SEMANTIC","chunking_options":{"semantic_threshold":1.5}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, Config{Strict: true})
			path := basesPath + "/" + KnowledgeBaseB + "/data_sources"
			first := tc.first
			if first != "" {
				first = "," + first
			}
			source := text(s.do(200, "POST", path, `{"spaces_data_source":{"bucket_name":"b"}`+first+`}`).body, "knowledge_base_data_source", "uuid")
			if tc.want == "" {
				before := s.do(200, "GET", path, "").raw
				s.do(400, "PUT", path+"/"+source, tc.second)
				equal(t, "data sources", s.do(200, "GET", path, "").raw, before)
				return
			}

			got := s.do(200, "PUT", path+"/"+source, tc.second)

			for _, reply := range []string{got.raw, s.do(200, "GET", path, "").raw} {
				if !strings.Contains(reply, tc.want) {
					t.Errorf("no %s in %s", tc.want, reply)
				}
			}
			log := s.Requests()
			equal(t, "no effect", log[len(log)-2].Effect == NoEffect, tc.none)
		})
	}
}

func TestPresignedUploadsBecomeDataSources(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{Strict: true, Now: now.Now})
	path := basesPath + "/data_sources/file_upload_presigned_urls"

	got := s.do(200, "POST", path, `{"files":[{"file_name":"a b.pdf","file_size":2048},{"file_name":"a b.pdf","file_size":"17"}]}`)

	uploads := objects(got.body, "uploads")
	s.wantEffect("presigned 2 uploads, request " + text(got.body, "request_id"))
	equal(t, "files", column(uploads, "original_file_name"), "a b.pdf a b.pdf")
	equal(t, "expiry", text(uploads[0], "expires_at"), "2026-06-01T12:15:00Z")
	equal(t, "fields it has not", s.left("PresignedUrlUpload", uploads[0]), "")
	keys := [2]string{text(uploads[0], "object_key"), text(uploads[1], "object_key")}
	if keys[0] == keys[1] {
		t.Errorf("two files have the key %q", keys[0])
	}
	target, err := url.Parse(text(uploads[0], "presigned_url"))
	if err != nil || target.Path != "/"+keys[0] || target.Query().Get("X-Amz-Signature") == "" {
		t.Errorf("presigned URL is %v, %v", target, err)
	}
	for _, body := range []string{``, `{"files":[]}`, `{"files":[{"file_size":"1"}]}`, `{"files":[{"file_name":"a"},{"file_name":"","file_size":1}]}`} {
		s.do(400, "POST", path, body)
	}

	kb := s.base("files", `,"datasources":[{"file_upload_data_source":{
		"original_file_name":"a b.pdf","size_in_bytes":"2048","stored_object_key":"`+keys[0]+`"}}]`)
	source := objects(s.do(200, "GET", basesPath+"/"+text(kb, "uuid")+"/data_sources", "").body, "knowledge_base_data_sources")[0]
	file := object(source, "file_upload_data_source")
	equal(t, "file", text(file, "original_file_name")+" "+text(file, "size_in_bytes"), "a b.pdf 2048")
	equal(t, "bytes indexed", text(source, "last_datasource_indexing_job", "total_bytes_indexed"), "2048")
}
