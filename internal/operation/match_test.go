package operation_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/operation"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// site is a web site to be indexed.
func site(host string) *pb.WebCrawlerDataSource {
	return &pb.WebCrawlerDataSource{BaseUrl: new("https://" + host + ".invalid")}
}

// TestAnothersJobIsNotTaken loses the request to index one data source, of a knowledge base
// that has just been made with another one: the job that came with it is not what was asked
// for, nor is the source that came with it the one that is added.
func TestAnothersJobIsNotTaken(t *testing.T) {
	t.Parallel()
	for name, all := range map[string]bool{"one of its sources": false, "all of its sources": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupWith(t, genaisim.Config{IndexTime: time.Millisecond, DatabaseTime: time.Millisecond},
				func(c *operation.Config) { c.Quiet = 50 * time.Millisecond })
			b.start(b.engine)
			s := &scene{bench: b, name: name, known: map[string]known{}}
			base := made(s, &pb.CreateKnowledgeBaseRequest{
				Name: new("base"), EmbeddingModelUuid: new(genaisim.ModelEmbedding),
				Datasources: []*pb.DataSourceInput{{WebCrawlerDataSource: site("docs")}},
			}, &pb.CreateKnowledgeBaseResponse{}).GetKnowledgeBase()
			first := base.GetLastIndexingJob()

			b.fault(genaisim.Fault{Method: "POST", Path: "/v2/gen-ai/knowledge_bases/*/data_sources", Drop: "before", Count: 1})
			added := made(s, &pb.AddDataSourceRequest{KnowledgeBaseUuid: base.GetUuid(), WebCrawlerDataSource: site("docs")}, &pb.AddDataSourceResponse{})
			source := added.GetKnowledgeBaseDataSource().GetUuid()
			if slices.Contains(first.GetDataSourceUuids(), source) {
				t.Error("the source that came with the knowledge base was taken for the one that was added")
			}
			wanted := []string{source}
			if all {
				wanted = first.GetDataSourceUuids() // only what was known before tells the jobs apart
			}
			b.fault(genaisim.Fault{Method: "POST", Path: "/v2/gen-ai/indexing_jobs", Drop: "before", Count: 1})
			job := made(s, &pb.StartIndexingJobRequest{KnowledgeBaseUuid: new(base.GetUuid()), DataSourceUuids: wanted}, &pb.StartIndexingJobResponse{}).GetJob()
			if job.GetUuid() == first.GetUuid() || !slices.Equal(job.GetDataSourceUuids(), wanted) {
				t.Errorf("the job is %v, and the first one %v", job, first)
			}
			b.requireConsistent()
		})
	}
}

// TestAnothersScheduleIsNotTaken has somebody schedule the indexing with the vendor directly
// while our request is lost: only a schedule as it was asked for may be taken for ours.
func TestAnothersScheduleIsNotTaken(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		days []int32
		at   string
		want bool
	}{
		"the same":     {days: []int32{5, 1}, at: "22:00", want: true},
		"another time": {days: []int32{5, 1}, at: "22:30"},
		"another day":  {days: []int32{5, 2}, at: "22:00"},
		"one day less": {days: []int32{1}, at: "22:00"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(c *operation.Config) { c.Quiet = 50 * time.Millisecond })
			b.start(b.engine)
			s := &scene{bench: b, name: name, known: map[string]known{}}
			base := s.knowledgeBase()
			b.fault(genaisim.Fault{Method: "POST", Path: "/v2/gen-ai/scheduled-indexing", Drop: "before", DelayMS: 1000, Count: 1})
			theirs := &pb.CreateIndexingScheduleRequest{KnowledgeBaseUuid: &base, Days: []int32{1, 5}, Time: new("22:00")}
			elsewhere := make(chan error, 1)
			go func() {
				b.await("our request is with the vendor, to be lost", func() bool {
					faults := httptest.NewRecorder()
					b.sim.ServeHTTP(faults, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/_sim/faults", http.NoBody))
					return strings.Contains(faults.Body.String(), `"applied":1`)
				})
				m := methods.API().ByRequest(theirs)
				_, err := b.cfg.Vendor.Do(t.Context(), m, proto.Clone(theirs), m.Output.New().Interface())
				elsewhere <- err
			}()
			err := b.engine.Change(t.Context(), b.caller,
				&pb.CreateIndexingScheduleRequest{KnowledgeBaseUuid: &base, Days: tc.days, Time: &tc.at}, &pb.CreateIndexingScheduleResponse{})
			if err := <-elsewhere; err != nil {
				t.Fatal(err)
			}
			if tc.want && err != nil {
				t.Error(err)
			} else if !tc.want {
				requireReason(t, err, pb.ErrorReason_ERROR_REASON_VENDOR_REFUSED)
			}
			b.requireConsistent()
		})
	}
}
