package genaisim

import (
	"encoding/json"
	"reflect"
	"time"
)

const (
	customUnset     = "STATUS_UNSPECIFIED"
	customImporting = "STATUS_IMPORTING"
	customReady     = "STATUS_READY"
	customFailed    = "STATUS_FAILED"

	customDeleted   = "DELETE_CUSTOM_MODEL_STATUS_SUCCESS"
	customUndeleted = "DELETE_CUSTOM_MODEL_STATUS_FAIL"
)

// maxCustomModels is how many custom models there may be.
const maxCustomModels = 100

// teamID is the vendor's name for the account.
const teamID = "7300001"

// customModel is a model that was brought in from elsewhere. How far its import
// has come is computed from the time that has passed.
type customModel struct {
	uuid, sourceType, region string
	source                   sourceRef
	createdAt, updatedAt     time.Time
	importedAt               time.Time // when the import ends, one way or the other
	broken                   bool      // the import fails
	found                    modelFiles
	modelMetadata
}

// modelMetadata are what an update of a custom model can change. Lists are
// never changed in place.
type modelMetadata struct {
	name, description, license        string
	tags                              []string
	inputModalities, outputModalities []string
	parameters                        int64
}

// sourceRef is where a custom model comes from. The token for it is not kept.
type sourceRef struct {
	AccessType string `json:"access_type,omitempty"`
	RepoID     string `json:"repo_id,omitempty"`
	CommitSHA  string `json:"commit_sha,omitempty"`
	Bucket     string `json:"bucket,omitempty"`
	Prefix     string `json:"prefix,omitempty"`
	Region     string `json:"region,omitempty"`
}

type customModelView struct {
	UUID              string     `json:"uuid"`
	Name              string     `json:"name"`
	Description       string     `json:"description"`
	Status            string     `json:"status"`
	ErrorMessage      string     `json:"error_message,omitempty"`
	SourceType        string     `json:"source_type"`
	SourceRef         sourceRef  `json:"source_ref"`
	Tags              tagsView   `json:"tags"`
	License           string     `json:"license"`
	Parameters        int64      `json:"parameters,string"`
	InputModalities   []string   `json:"input_modalities"`
	OutputModalities  []string   `json:"output_modalities"`
	StorageRegion     string     `json:"storage_region"`
	TeamID            string     `json:"team_id"`
	ActiveDeployments []struct{} `json:"active_deployments"` // there is no operation to deploy one
	CreatedAt         string     `json:"created_at"`
	UpdatedAt         string     `json:"updated_at"`

	*modelFilesView // nil unless the model has been imported
}

type tagsView struct {
	Tags []string `json:"tags"`
}

// modelFilesView is what an import finds.
type modelFilesView struct {
	Architecture  string          `json:"architecture"`
	ConfigJSON    json.RawMessage `json:"config_json"`
	ContextLength int64           `json:"context_length"`
	FileCount     int64           `json:"file_count"`
	TotalSize     int64           `json:"total_size_bytes,string"`
	CostEstimate  int64           `json:"cost_estimate_per_month"`
}

type customModelAnswer struct {
	Model customModelView `json:"model"`
}

// listCustomModels carries out GET /v2/gen-ai/custom_models.
func listCustomModels(c *call) (any, *apiError) {
	wanted := c.query.Get("status")
	var models []*customModel
	for _, m := range c.st.platform.customModels {
		if wanted == "" || wanted == customUnset || wanted == m.status(c.now) {
			models = append(models, m)
		}
	}
	page, links := paginate(c, models)
	return struct {
		Models       []customModelView `json:"models"`
		MaxThreshold int               `json:"max_threshold"`
		paging
	}{mapped(page, c.customModelView), maxCustomModels, links}, nil
}

// getCustomModel carries out GET /v2/gen-ai/custom_models/{uuid}.
func getCustomModel(c *call) (any, *apiError) {
	m, fail := c.customModel()
	if fail != nil {
		return nil, fail
	}
	return customModelAnswer{c.customModelView(m)}, nil
}

// deleteCustomModel carries out DELETE /v2/gen-ai/custom_models/{uuid}. A model
// that is being imported cannot be deleted, which the vendor tells inside a 200.
func deleteCustomModel(c *call) (any, *apiError) {
	type answer struct {
		Status string `json:"status"`
		Error  string `json:"error"`
	}
	m, fail := c.customModel()
	if fail != nil {
		return nil, fail
	}
	if m.status(c.now) == customImporting {
		return answer{customUndeleted, "The model is being imported and cannot be deleted before that has ended."}, nil
	}
	c.st.platform.customModels = without(c.st.platform.customModels, m)
	c.didf("deleted custom model %s", m.uuid)
	return answer{Status: customDeleted}, nil
}

// updateCustomModel carries out PATCH
// /v2/gen-ai/custom_models/{uuid}/metadata.
func updateCustomModel(c *call) (any, *apiError) {
	m, fail := c.customModel()
	if fail != nil {
		return nil, fail
	}
	next := m.modelMetadata
	set(&next.name)(c.body.text("name"))
	set(&next.description)(c.body.textOrEmpty("description"))
	set(&next.license)(c.body.textOrEmpty("license"))
	set(&next.tags)(c.body.inner("tags", c.op.body).texts("tags"))
	set(&next.inputModalities)(c.body.texts("input_modalities"))
	set(&next.outputModalities)(c.body.texts("output_modalities"))
	set(&next.parameters)(c.body.integer("parameters"))
	if next.parameters < 0 {
		return nil, badRequest("parameters must not be negative")
	}
	if !reflect.DeepEqual(next, m.modelMetadata) {
		m.modelMetadata, m.updatedAt = next, c.now
		c.didf("updated custom model %s", m.uuid)
	}
	return customModelAnswer{c.customModelView(m)}, nil
}

// customModel finds the model the path names and notes it as the resource of
// the call.
func (c *call) customModel() (*customModel, *apiError) {
	id := c.params["uuid"]
	m := find(c.st.platform.customModels, id, func(m *customModel) string { return m.uuid })
	if m == nil {
		return nil, notFound("The custom model", id)
	}
	c.resource = id
	return m, nil
}

// status tells how far the import of a model has come.
func (m *customModel) status(now time.Time) string {
	switch {
	case now.Before(m.importedAt):
		return customImporting
	case m.broken:
		return customFailed
	default:
		return customReady
	}
}

func (c *call) customModelView(m *customModel) customModelView {
	view := customModelView{
		UUID: m.uuid, Name: m.name, Description: m.description, Status: m.status(c.now),
		SourceType: m.sourceType, SourceRef: m.source, Tags: tagsView{notNil(m.tags)}, License: m.license, Parameters: m.parameters,
		InputModalities: notNil(m.inputModalities), OutputModalities: notNil(m.outputModalities),
		StorageRegion: m.region, TeamID: teamID, ActiveDeployments: []struct{}{},
		CreatedAt: stamp(m.createdAt), UpdatedAt: stamp(m.updatedAt),
	}
	switch view.Status {
	case customReady:
		view.modelFilesView = m.found.view()
		view.UpdatedAt = stamp(later(m.importedAt, m.updatedAt))
	case customFailed:
		view.ErrorMessage = importFailure
		view.UpdatedAt = stamp(later(m.importedAt, m.updatedAt))
	}
	return view
}
