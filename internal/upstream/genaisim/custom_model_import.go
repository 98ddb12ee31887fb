package genaisim

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strings"
)

const (
	sourceUnset       = "SOURCE_TYPE_UNSPECIFIED"
	sourceHuggingFace = "SOURCE_TYPE_HUGGINGFACE"
	sourceSpaces      = "SOURCE_TYPE_SPACES_BUCKET"

	accessUnset  = "ACCESS_TYPE_UNSPECIFIED"
	accessPublic = "ACCESS_TYPE_PUBLIC"
)

// Repositories of these owners, and buckets of these names, are what their name
// says: there is nothing there, or what is there breaks off on the way.
const (
	ownerMissing = "missing"
	ownerBroken  = "broken"
)

// importFailure is why an import fails.
const importFailure = "The files could not be downloaded: the connection was closed."

type importJobView struct {
	UUID         string `json:"uuid"`
	Status       string `json:"status"`
	FilesDone    int64  `json:"files_done"`
	FilesTotal   int64  `json:"files_total"`
	BytesDone    int64  `json:"bytes_done,string"`
	BytesTotal   int64  `json:"bytes_total,string"`
	ErrorStep    string `json:"error_step,omitempty"`
	ErrorMessage string `json:"error_message,omitempty"`
	CreatedAt    string `json:"created_at"`
	StartedAt    string `json:"started_at"`
	CompletedAt  string `json:"completed_at,omitempty"`
}

type validationStep struct {
	Name   string `json:"name"`
	Passed bool   `json:"passed"`
	Error  string `json:"error,omitempty"`
}

// importAnswer has either an error, which the vendor tells inside a 200, or a
// model with its import.
type importAnswer struct {
	Error string           `json:"error,omitempty"`
	Steps []validationStep `json:"validation_steps"`
	Job   *importJobView   `json:"import_job,omitempty"`
	Model *customModelView `json:"model,omitempty"`
}

// importCustomModel carries out POST /v2/gen-ai/custom_models/import. What is
// wrong with the request is a 400, what is wrong with the source an error
// inside a 200. Names need not be unique.
func importCustomModel(c *call) (any, *apiError) {
	m, fail := c.newCustomModel()
	if fail != nil {
		return nil, fail
	}
	steps := c.validate(m)
	for _, step := range steps {
		if !step.Passed {
			return importAnswer{Error: step.Error, Steps: steps}, nil
		}
	}
	m.uuid, m.createdAt, m.updatedAt, m.importedAt = c.st.random.uuid(), c.now, c.now, c.now.Add(c.st.platform.importTime)
	if m.source.RepoID != "" && m.source.CommitSHA == "" {
		m.source.CommitSHA = c.st.random.hex(20)
	}
	c.st.platform.customModels = append(c.st.platform.customModels, m)
	c.resource = m.uuid
	c.didf("imported custom model %s", m.uuid)
	return importAnswer{Steps: steps, Job: new(c.importJob(m)), Model: new(c.customModelView(m))}, nil
}

// newCustomModel is what the body describes, before anybody has looked at the
// source.
func (c *call) newCustomModel() (*customModel, *apiError) {
	m := &customModel{region: DefaultRegion, source: sourceRef{AccessType: accessPublic}}
	m.name, _ = c.body.text("name")
	m.description, _ = c.body.text("description")
	m.tags, _ = c.body.inner("tags", c.op.body).texts("tags")
	m.sourceType, _ = c.body.text("source_type")
	set(&m.region)(c.body.text("preferred_gpu_region"))
	given := c.body.inner("source_ref", c.op.body)
	set(&m.source.RepoID)(given.text("repo_id"))
	set(&m.source.CommitSHA)(given.text("commit_sha"))
	set(&m.source.Bucket)(given.text("bucket"))
	set(&m.source.Prefix)(given.text("prefix"))
	set(&m.source.Region)(given.text("region"))
	if access, ok := given.text("access_type"); ok && access != accessUnset {
		m.source.AccessType = access
	}
	accepted, _ := c.body.boolean("accept_terms_and_conditions")
	owner, repository, _ := strings.Cut(m.source.RepoID, "/")
	switch {
	case !accepted:
		return nil, badRequest("accept_terms_and_conditions must be true")
	case m.name == "":
		return nil, badRequest("name is required")
	case m.sourceType == "" || m.sourceType == sourceUnset:
		return nil, badRequest("source_type is required")
	case given == nil:
		return nil, badRequest("source_ref is required")
	case m.sourceType == sourceHuggingFace && (owner == "" || repository == ""):
		return nil, badRequest("repo_id must be like owner/repository, not %q", m.source.RepoID)
	case m.sourceType == sourceSpaces && m.source.Bucket == "":
		return nil, badRequest("bucket is required")
	}
	m.found = m.source.files()
	m.broken = m.source.owner() == ownerBroken
	m.license, m.parameters = "apache-2.0", m.found.parameters
	m.inputModalities, m.outputModalities = []string{"text"}, []string{"text"}
	return m, nil
}

// validate looks at the source of a model, as far as the first thing that is
// wrong.
func (c *call) validate(m *customModel) []validationStep {
	_, token := c.body.inner("source_ref", c.op.body).text("hf_token")
	var steps []validationStep
	for _, check := range []struct {
		name   string
		passed bool
		wrong  string
	}{
		{
			"quota", len(c.st.platform.customModels) < maxCustomModels,
			fmt.Sprintf("There are %d custom models already, and there may not be more.", maxCustomModels),
		},
		{
			"source_exists", m.source.owner() != ownerMissing,
			fmt.Sprintf("%q does not exist.", m.source.RepoID+m.source.Bucket),
		},
		{
			"source_access", m.source.AccessType == accessPublic || token || m.sourceType != sourceHuggingFace,
			fmt.Sprintf("%q cannot be read without a token.", m.source.RepoID),
		},
	} {
		if !check.passed {
			return append(steps, validationStep{Name: check.name, Error: check.wrong})
		}
		steps = append(steps, validationStep{Name: check.name, Passed: true})
	}
	return steps
}

// owner is whose the source is: the owner of a repository, or a bucket.
func (s sourceRef) owner() string {
	if s.RepoID == "" {
		return s.Bucket
	}
	owner, _, _ := strings.Cut(s.RepoID, "/")
	return owner
}

// modelFiles are what is at the source of a model.
type modelFiles struct {
	count, bytes, parameters, contextLength int64
}

// files makes up what is at a source from its name. It is always the same.
func (s sourceRef) files() modelFiles {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(s.RepoID + s.Bucket + s.Prefix)) // never fails
	n := int64(hash.Sum32())
	billions := n%70 + 1
	return modelFiles{
		count: n%20 + 5, bytes: billions*2_000_000_000 + n%1_000_000, parameters: billions * 1_000_000_000,
		contextLength: 4096 << (n % 6),
	}
}

func (f modelFiles) view() *modelFilesView {
	const architecture = "LlamaForCausalLM"
	config := fmt.Sprintf(`{"architectures":[%q],"max_position_embeddings":%d,"torch_dtype":"bfloat16"}`, architecture, f.contextLength)
	return &modelFilesView{
		Architecture: architecture, ConfigJSON: json.RawMessage(config), ContextLength: f.contextLength,
		FileCount: f.count, TotalSize: f.bytes, CostEstimate: f.bytes/1_000_000_000*20 + 500,
	}
}

// importJob is the import of a model that has just begun. There is no
// operation to see it later: whoever wants to know looks at the model.
func (c *call) importJob(m *customModel) importJobView {
	job := importJobView{
		UUID: c.st.random.uuid(), Status: "in_progress", FilesTotal: m.found.count, BytesTotal: m.found.bytes,
		CreatedAt: stamp(m.createdAt), StartedAt: stamp(m.createdAt),
	}
	switch m.status(c.now) {
	case customReady:
		job.Status, job.FilesDone, job.BytesDone = "completed", job.FilesTotal, job.BytesTotal
		job.CompletedAt = stamp(m.importedAt)
	case customFailed:
		job.Status, job.ErrorStep, job.ErrorMessage = "failed", "download", importFailure
		job.CompletedAt = stamp(m.importedAt)
	}
	return job
}
