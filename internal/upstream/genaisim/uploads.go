package genaisim

import (
	"net/url"
	"strconv"
	"time"
)

// uploadTime is how long a presigned URL can be used.
const uploadTime = 15 * time.Minute

type uploadView struct {
	PresignedURL     string `json:"presigned_url"`
	ObjectKey        string `json:"object_key"`
	OriginalFileName string `json:"original_file_name"`
	ExpiresAt        string `json:"expires_at"`
}

type uploadsAnswer struct {
	RequestID string       `json:"request_id"`
	Uploads   []uploadView `json:"uploads"`
}

// presignDataSourceFiles carries out POST
// /v2/gen-ai/knowledge_bases/data_sources/file_upload_presigned_urls. The files
// need not be uploaded before data sources name them: nothing takes them.
func presignDataSourceFiles(c *call) (any, *apiError) {
	answer, fail := c.presign("knowledge-bases")
	if fail != nil {
		return nil, fail
	}
	for _, upload := range answer.Uploads {
		c.st.knowledge.uploads[upload.ObjectKey] = true
	}
	c.didf("presigned %d uploads, request %s", len(answer.Uploads), answer.RequestID)
	return answer, nil
}

// presign makes up an upload below a folder for each of the files in the body.
func (c *call) presign(folder string) (uploadsAnswer, *apiError) {
	files := c.body.objects("files")
	if len(files) == 0 {
		return uploadsAnswer{}, badRequest("files is required")
	}
	answer := uploadsAnswer{RequestID: c.st.random.uuid()}
	for i, file := range files {
		name, given := file.text("file_name")
		if size, _ := file.integer("file_size"); !given || size < 0 {
			return uploadsAnswer{}, badRequest("files[%d] needs a file_name, and a file_size that is not negative", i)
		}
		key := folder + "/" + answer.RequestID + "/" + strconv.Itoa(i) + "-" + name
		answer.Uploads = append(answer.Uploads, uploadView{
			PresignedURL:     signedURL("uploads.example.com", key, c.st.random),
			ObjectKey:        key,
			OriginalFileName: name,
			ExpiresAt:        stamp(c.now.Add(uploadTime)),
		})
	}
	return answer, nil
}

// signedURL is the address of an object, with a signature made up. It leads
// nowhere.
func signedURL(host, key string, random source) string {
	query := url.Values{"X-Amz-Expires": {strconv.Itoa(int(uploadTime.Seconds()))}, "X-Amz-Signature": {random.hex(32)}}
	target := url.URL{Scheme: "https", Host: host, Path: "/" + key, RawQuery: query.Encode()}
	return target.String()
}
