package genaisim

import (
	"hash/fnv"
	"net/url"
	"strings"
)

// origin is where a data source has its content from. Exactly one of the
// fields is set, and what it points to never changes. Credentials are not in
// it: no answer has them, and nobody goes to the places they are for.
type origin struct {
	Spaces  *bucketView  `json:"spaces_data_source,omitempty"`
	AWS     *bucketView  `json:"aws_data_source,omitempty"`
	Crawler *crawlerView `json:"web_crawler_data_source,omitempty"`
	Upload  *fileView    `json:"file_upload_data_source,omitempty"`
	Dropbox *dropboxView `json:"dropbox_data_source,omitempty"`
	Drive   *driveView   `json:"google_drive_data_source,omitempty"`
}

type bucketView struct {
	BucketName string `json:"bucket_name"`
	ItemPath   string `json:"item_path,omitempty"`
	Region     string `json:"region,omitempty"`
}

type crawlerView struct {
	BaseURL        string   `json:"base_url"`
	CrawlingOption string   `json:"crawling_option"`
	EmbedMedia     bool     `json:"embed_media"`
	ExcludeTags    []string `json:"exclude_tags"`
}

type fileView struct {
	OriginalFileName string `json:"original_file_name,omitempty"`
	SizeInBytes      int64  `json:"size_in_bytes,string"`
	StoredObjectKey  string `json:"stored_object_key"`
}

type dropboxView struct {
	Folder string `json:"folder,omitempty"`
}

type driveView struct {
	FolderID string `json:"folder_id,omitempty"`
}

// inner returns an object inside an object of schema sc, without what is
// unknown in it; nil if it is not given.
func (f fields) inner(name string, sc *schema) fields {
	object, ok := f[name].(map[string]any)
	if !ok {
		return nil
	}
	return sc.fields[name].known(object)
}

// origin reads the origin that an object of schema sc describes.
func (st *state) origin(given fields, sc *schema) (origin, *apiError) {
	var o origin
	kinds := 0
	for _, kind := range []struct {
		field string
		read  func(*origin, fields) *apiError
	}{
		{"spaces_data_source", (*origin).readSpaces},
		{"aws_data_source", (*origin).readAWS},
		{"web_crawler_data_source", (*origin).readCrawler},
		{"file_upload_data_source", (*origin).readUpload},
		{"dropbox_data_source", (*origin).readDropbox},
		{"google_drive_data_source", (*origin).readDrive},
	} {
		object := given.inner(kind.field, sc)
		if object == nil {
			continue
		}
		if fail := kind.read(&o, object); fail != nil {
			return o, fail
		}
		kinds++
	}
	if bucket, ok := given.text("bucket_name"); ok && kinds == 0 { // the deprecated way to name a Spaces bucket
		o.Spaces = &bucketView{BucketName: bucket}
		set(&o.Spaces.Region)(given.text("bucket_region"))
		set(&o.Spaces.ItemPath)(given.text("item_path"))
		kinds++
	}
	if kinds != 1 {
		return o, badRequest("a data source must be of exactly one kind, not %d", kinds)
	}
	if o.Upload != nil && !st.knowledge.uploads[o.Upload.StoredObjectKey] {
		return o, badRequest("no file is stored as %q", o.Upload.StoredObjectKey)
	}
	return o, nil
}

func (o *origin) readSpaces(given fields) (fail *apiError) {
	o.Spaces, fail = readBucket(given)
	return fail
}

func (o *origin) readAWS(given fields) (fail *apiError) {
	_, hasID := given.text("key_id")
	_, hasKey := given.text("secret_key")
	if !hasID || !hasKey {
		return badRequest("aws_data_source needs key_id and secret_key")
	}
	o.AWS, fail = readBucket(given)
	return fail
}

func readBucket(given fields) (*bucketView, *apiError) {
	var bucket bucketView
	set(&bucket.BucketName)(given.text("bucket_name"))
	set(&bucket.ItemPath)(given.text("item_path"))
	set(&bucket.Region)(given.text("region"))
	if bucket.BucketName == "" {
		return nil, badRequest("bucket_name is required")
	}
	return &bucket, nil
}

func (o *origin) readCrawler(given fields) *apiError {
	const unset = "UNKNOWN"
	o.Crawler = &crawlerView{CrawlingOption: "SCOPED"}
	set(&o.Crawler.BaseURL)(given.text("base_url"))
	set(&o.Crawler.EmbedMedia)(given.boolean("embed_media"))
	set(&o.Crawler.ExcludeTags)(given.texts("exclude_tags"))
	o.Crawler.ExcludeTags = notNil(o.Crawler.ExcludeTags)
	if option, ok := given.text("crawling_option"); ok && option != unset {
		o.Crawler.CrawlingOption = option
	}
	target, err := url.Parse(o.Crawler.BaseURL)
	if err != nil || target.Host == "" || target.Scheme != "http" && target.Scheme != "https" {
		return badRequest("base_url %q is not the address of a web site", o.Crawler.BaseURL)
	}
	return nil
}

func (o *origin) readUpload(given fields) *apiError {
	o.Upload = &fileView{}
	set(&o.Upload.OriginalFileName)(given.text("original_file_name"))
	set(&o.Upload.StoredObjectKey)(given.text("stored_object_key"))
	set(&o.Upload.SizeInBytes)(given.integer("size_in_bytes"))
	if o.Upload.StoredObjectKey == "" || o.Upload.SizeInBytes < 0 {
		return badRequest("file_upload_data_source needs a stored_object_key, and a size_in_bytes that is not negative")
	}
	return nil
}

func (o *origin) readDropbox(given fields) *apiError {
	o.Dropbox = &dropboxView{}
	set(&o.Dropbox.Folder)(given.text("folder"))
	return needsToken("dropbox_data_source", given)
}

func (o *origin) readDrive(given fields) *apiError {
	o.Drive = &driveView{}
	set(&o.Drive.FolderID)(given.text("folder_id"))
	return needsToken("google_drive_data_source", given)
}

func needsToken(kind string, given fields) *apiError {
	if _, ok := given.text("refresh_token"); !ok {
		return badRequest("%s needs a refresh_token", kind)
	}
	return nil
}

// bucket is the bucket of an origin, nil if it is of another kind.
func (o *origin) bucket() *bucketView {
	if o.Spaces != nil {
		return o.Spaces
	}
	return o.AWS
}

// content is what there is to index in a data source.
type content struct {
	files, bytes int64
	unreachable  bool
}

// content makes up what is at an origin, from the data source's id: nobody
// reads it. A web site below .invalid, a domain that never exists, cannot be
// reached.
func (o *origin) content(id string) content {
	if o.Upload != nil {
		return content{files: 1, bytes: o.Upload.SizeInBytes}
	}
	if o.Crawler != nil {
		if target, err := url.Parse(o.Crawler.BaseURL); err == nil && strings.HasSuffix("."+target.Hostname(), ".invalid") {
			return content{files: 1, unreachable: true}
		}
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(id)) // never fails
	files := int64(hash.Sum32()%40) + 10
	return content{files: files, bytes: files * (4096 + int64(hash.Sum32()%60_000))}
}
