package operation_test

import (
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// knowledgeBase makes a knowledge base without data sources.
func (s *scene) knowledgeBase() string {
	s.t.Helper()
	created := made(s, &pb.CreateKnowledgeBaseRequest{Name: new(s.name + " base"), EmbeddingModelUuid: new(genaisim.ModelEmbedding)},
		&pb.CreateKnowledgeBaseResponse{})
	return s.note("knowledge_base", created.GetKnowledgeBase().GetUuid())
}

// dataSource makes a data source in a knowledge base of its own. There is nothing in it,
// where others have what chance has it.
func (s *scene) dataSource() (base, source string) {
	s.t.Helper()
	base = s.knowledgeBase()
	added := made(s, &pb.AddDataSourceRequest{
		KnowledgeBaseUuid: base, WebCrawlerDataSource: &pb.WebCrawlerDataSource{BaseUrl: new("https://docs.invalid")},
	}, &pb.AddDataSourceResponse{})
	return base, s.note("data_source", added.GetKnowledgeBaseDataSource().GetUuid())
}

// schedule has a knowledge base of its own indexed each Monday.
func (s *scene) schedule() string {
	s.t.Helper()
	created := made(s, &pb.CreateIndexingScheduleRequest{KnowledgeBaseUuid: new(s.knowledgeBase()), Days: []int32{1}, Time: new("03:00")},
		&pb.CreateIndexingScheduleResponse{})
	return s.note("indexing_schedule", created.GetIndexingInfo().GetUuid())
}

// job indexes a knowledge base of its own.
func (s *scene) job() string {
	s.t.Helper()
	base, source := s.dataSource()
	started := made(s, &pb.StartIndexingJobRequest{KnowledgeBaseUuid: &base, DataSourceUuids: []string{source}}, &pb.StartIndexingJobResponse{})
	return s.note("indexing_job", started.GetJob().GetUuid())
}

// bucket is one with secrets.
func bucket() *pb.AwsDataSourceInput {
	return &pb.AwsDataSourceInput{
		BucketName: new("manuals"), ItemPath: new("en/"), Region: new("eu-west-1"),
		KeyId: new("key-of-the-bucket"), SecretKey: new("secret-of-the-bucket"),
	}
}

func knowledgeCases() map[string]changeCase {
	part := map[string]held{"knowledge_base": current}
	return map[string]changeCase{
		"KnowledgeBaseService.CreateKnowledgeBase": {
			about: "knowledge_base", shows: "after", rows: map[string]held{"knowledge_base": current}, thorough: true,
			prepare: func(s *scene) proto.Message {
				return &pb.CreateKnowledgeBaseRequest{
					Name: &s.name, EmbeddingModelUuid: new(genaisim.ModelEmbedding), Tags: []string{"mine"},
					Datasources: []*pb.DataSourceInput{
						{AwsDataSource: bucket()},
						{DropboxDataSource: &pb.DropboxDataSourceInput{Folder: new("/manuals"), RefreshToken: new("token-of-the-drop-box")}},
					},
				}
			},
		},
		"KnowledgeBaseService.UpdateKnowledgeBase": {
			about: "knowledge_base", shows: "before after", rows: map[string]held{"knowledge_base": current},
			prepare: func(s *scene) proto.Message {
				return &pb.UpdateKnowledgeBaseRequest{
					Uuid: s.knowledgeBase(), Name: &s.name, RerankingConfig: &pb.RerankingConfig{Enabled: new(true)},
				}
			},
		},
		"KnowledgeBaseService.DeleteKnowledgeBase": {
			about: "knowledge_base", shows: "before",
			rows: map[string]held{"knowledge_base": gone, "indexing_schedule": gone, "agent": behind},
			prepare: func(s *scene) proto.Message {
				s.schedule()
				s.agentAs("agent", &pb.CreateAgentRequest{KnowledgeBaseUuid: []string{s.known["knowledge_base"].uuid}})
				return &pb.DeleteKnowledgeBaseRequest{Uuid: s.known["knowledge_base"].uuid}
			},
		},
		"KnowledgeBaseService.AddDataSource": {
			about: "data_source of knowledge_base", shows: "after", rows: part,
			prepare: func(s *scene) proto.Message {
				return &pb.AddDataSourceRequest{KnowledgeBaseUuid: s.knowledgeBase(), AwsDataSource: bucket()}
			},
		},
		"KnowledgeBaseService.UpdateDataSource": {
			about: "data_source of knowledge_base", shows: "after", rows: part,
			prepare: func(s *scene) proto.Message {
				base, source := s.dataSource()
				return &pb.UpdateDataSourceRequest{
					KnowledgeBaseUuid: base, DataSourceUuid: source, ChunkingOptions: &pb.ChunkingOptions{MaxChunkSize: new(int32(500))},
				}
			},
		},
		"KnowledgeBaseService.DeleteDataSource": {
			about: "data_source of knowledge_base", rows: part,
			prepare: func(s *scene) proto.Message {
				base, source := s.dataSource()
				return &pb.DeleteDataSourceRequest{KnowledgeBaseUuid: base, DataSourceUuid: source}
			},
		},
	}
}

func indexingCases() map[string]changeCase {
	return map[string]changeCase{
		"IndexingService.StartIndexingJob": {
			about: "indexing_job of knowledge_base", shows: "after", slow: true,
			rows: map[string]held{"indexing_job": current, "knowledge_base": current},
			prepare: func(s *scene) proto.Message {
				base, source := s.dataSource()
				return &pb.StartIndexingJobRequest{KnowledgeBaseUuid: &base, DataSourceUuids: []string{source}}
			},
		},
		"IndexingService.CancelIndexingJob": {
			about: "indexing_job", shows: "before after", rows: map[string]held{"indexing_job": current}, slow: true, thorough: true,
			prepare: func(s *scene) proto.Message { return &pb.CancelIndexingJobRequest{Uuid: s.job()} },
		},
		"IndexingService.CreateIndexingSchedule": {
			about: "indexing_schedule of knowledge_base", shows: "after",
			rows: map[string]held{"indexing_schedule": current, "knowledge_base": current},
			prepare: func(s *scene) proto.Message {
				return &pb.CreateIndexingScheduleRequest{KnowledgeBaseUuid: new(s.knowledgeBase()), Days: []int32{1, 5}, Time: new("04:30")}
			},
		},
		"IndexingService.DeleteIndexingSchedule": {
			about: "indexing_schedule", shows: "before", rows: map[string]held{"indexing_schedule": gone, "knowledge_base": current},
			prepare: func(s *scene) proto.Message { return &pb.DeleteIndexingScheduleRequest{Uuid: s.schedule()} },
		},
	}
}
