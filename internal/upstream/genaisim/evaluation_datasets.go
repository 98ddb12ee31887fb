package genaisim

import (
	"strings"
	"time"
)

const (
	datasetUnset = "EVALUATION_DATASET_TYPE_UNKNOWN"
	datasetAgent = "EVALUATION_DATASET_TYPE_NON_ADK"
)

// A dataset has a row for so many bytes, within these bounds.
const (
	bytesPerRow = 100
	leastRows   = 5
	mostRows    = 200
)

// dataset is prompts to evaluate agents and models with. It never changes. As
// there is no file, what is in it is made up.
type dataset struct {
	uuid, name, typ, file string
	size                  int64
	rows                  int
	groundTruth           bool
	broken                bool // evaluations with it fail
	createdAt             time.Time
}

type datasetView struct {
	UUID           string `json:"dataset_uuid"`
	Name           string `json:"dataset_name"`
	Type           string `json:"dataset_type"`
	RowCount       int    `json:"row_count"`
	FileSize       int64  `json:"file_size,string"`
	HasGroundTruth bool   `json:"has_ground_truth"`
	CreatedAt      string `json:"created_at"`
}

type downloadAnswer struct {
	URL       string `json:"download_url"`
	ExpiresAt string `json:"expires_at"`
}

// presignDatasetFiles carries out POST
// /v2/gen-ai/evaluation_datasets/file_upload_presigned_urls.
func presignDatasetFiles(c *call) (any, *apiError) { return c.presignDataset("evaluation-datasets") }

// presignModelDatasetFiles carries out POST
// /v2/gen-ai/model_evaluation/datasets/file_upload_presigned_urls.
func presignModelDatasetFiles(c *call) (any, *apiError) {
	return c.presignDataset("model-evaluation-datasets")
}

func (c *call) presignDataset(folder string) (any, *apiError) {
	answer, fail := c.presign(folder)
	if fail != nil {
		return nil, fail
	}
	c.didf("presigned %d uploads, request %s", len(answer.Uploads), answer.RequestID)
	return answer, nil
}

// listDatasets carries out GET /v2/gen-ai/evaluation_datasets.
func listDatasets(c *call) (any, *apiError) {
	typ := c.query.Get("dataset_type")
	found := []datasetView{}
	for _, d := range c.st.evaluation.datasets {
		if typ == "" || typ == datasetUnset || typ == d.typ {
			found = append(found, d.view())
		}
	}
	return struct {
		Datasets []datasetView `json:"evaluation_datasets"`
	}{found}, nil
}

// createDataset carries out POST /v2/gen-ai/evaluation_datasets. The object key
// may be any.
func createDataset(c *call) (any, *apiError) {
	d := &dataset{typ: datasetAgent, createdAt: c.now}
	set(&d.name)(c.body.text("name"))
	if typ, given := c.body.text("dataset_type"); given && typ != datasetUnset {
		d.typ = typ
	}
	file := c.body.inner("file_upload_dataset", c.op.body)
	set(&d.file)(file.text("original_file_name"))
	set(&d.size)(file.integer("size_in_bytes"))
	if _, stored := file.text("stored_object_key"); d.name == "" || !stored || d.size < 0 {
		return nil, badRequest("a dataset needs a name and file_upload_dataset," +
			" with a stored_object_key and a size_in_bytes that is not negative")
	}
	d.rows = min(max(int(d.size/bytesPerRow), leastRows), mostRows)
	d.groundTruth, d.broken = strings.HasSuffix(d.file, ".csv"), strings.HasSuffix(d.file, ".invalid")
	d.uuid = c.st.random.uuid()
	c.st.evaluation.datasets = append(c.st.evaluation.datasets, d)
	c.resource = d.uuid
	c.didf("created evaluation dataset %s", d.uuid)
	return struct {
		UUID string `json:"evaluation_dataset_uuid"`
	}{d.uuid}, nil
}

// deleteDataset carries out DELETE
// /v2/gen-ai/evaluation_datasets/{dataset_uuid}. Runs that have ended and old
// versions of test cases still show the dataset.
func deleteDataset(c *call) (any, *apiError) {
	d, fail := c.dataset()
	if fail != nil {
		return nil, fail
	}
	if user := c.st.userOfDataset(d, c.now); user != "" {
		return nil, conflict("evaluation dataset %s is in use by %s", d.uuid, user)
	}
	c.st.evaluation.datasets = without(c.st.evaluation.datasets, d)
	c.didf("deleted evaluation dataset %s", d.uuid)
	return struct{}{}, nil
}

// getDatasetURL carries out GET
// /v2/gen-ai/evaluation_datasets/{dataset_uuid}/download_url.
func getDatasetURL(c *call) (any, *apiError) {
	d, fail := c.dataset()
	if fail != nil {
		return nil, fail
	}
	return c.download("evaluation-datasets/" + d.uuid), nil
}

// download is an answer with an address of an object that leads nowhere.
func (c *call) download(key string) downloadAnswer {
	return downloadAnswer{signedURL("downloads.example.com", key, c.st.random), stamp(c.now.Add(uploadTime))}
}

// dataset finds the dataset the path names and notes it as the resource of the
// call.
func (c *call) dataset() (*dataset, *apiError) {
	id := c.params["dataset_uuid"]
	d := c.st.dataset(id)
	if d == nil {
		return nil, notFound("The evaluation dataset", id)
	}
	c.resource = id
	return d, nil
}

func (st *state) dataset(id string) *dataset {
	return find(st.evaluation.datasets, id, func(d *dataset) string { return d.uuid })
}

// userOfDataset names something that still needs a dataset: what new runs would
// take it from, or a run that has not ended. It is empty if there is nothing.
func (st *state) userOfDataset(d *dataset, now time.Time) string {
	for _, tc := range st.evaluation.testCases {
		if tc.latest().dataset == d {
			return "test case " + tc.uuid
		}
	}
	for _, preset := range st.evaluation.presets {
		if preset.dataset == d {
			return "preset " + preset.uuid
		}
	}
	for _, run := range st.evaluation.runs {
		if run.version.dataset == d && !run.finished(now) {
			return "run " + run.uuid
		}
	}
	for _, run := range st.evaluation.modelRuns {
		if run.dataset == d && !run.finished(now) {
			return "run " + run.uuid
		}
	}
	return ""
}

func (d *dataset) view() datasetView {
	return datasetView{
		UUID: d.uuid, Name: d.name, Type: d.typ, RowCount: d.rows, FileSize: d.size, HasGroundTruth: d.groundTruth,
		CreatedAt: stamp(d.createdAt),
	}
}
