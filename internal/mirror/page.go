package mirror

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/methods"
)

const (
	// vendorPage is the largest page that the vendor's schema allows. It may answer
	// smaller ones: pages are counted, not items.
	vendorPage = 200
	// vendorPages ends a list whose pages never do: 100,000 items, if the pages are full.
	vendorPages = 500
)

// paged is a response of the vendor that is a page of a list.
type paged interface {
	GetLinks() *pb.Links
	GetMeta() *pb.Meta
}

// ownPages refuses the vendor's page fields in a caller's request.
func ownPages(req proto.Message) error {
	for field, instead := range map[string]string{"page": "page_token", "per_page": "page_size", "limit": "page_size"} {
		fd := req.ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(field))
		if fd != nil && req.ProtoReflect().Has(fd) {
			return fault.Invalid(field, "use %s", instead)
		}
	}
	return nil
}

// pages asks the vendor for all pages of a list, with the request's own fields, and
// hands each page's items and the answer that has them to take. Each page has its own
// begun; the list's is that of its first page. A list without pages has one.
//
// A list without end is broken off where it begins to repeat itself, or after
// vendorPages: what it did not show by then counts as left out.
func (m *Mirror) pages(
	ctx context.Context, granted grant, method *methods.Method, req proto.Message, items string,
	take func(begun time.Time, items []proto.Message, answer proto.Message) error,
) (asked, error) {
	var first asked
	firsts := map[string]bool{}
	for page := int32(1); page <= vendorPages; page++ {
		paged := methods.SetPage(req, page, vendorPage)
		resp := method.Output.New().Interface()
		told, err := m.ask(ctx, granted, method, req, resp)
		if err != nil {
			return first, fmt.Errorf("reading page %d: %w", page, err)
		}
		if page == 1 {
			first.begun = told.begun
		}
		first.misread = first.misread || told.misread
		var found []proto.Message
		for _, v := range methods.Values(resp.ProtoReflect(), items) {
			found = append(found, v.Message().Interface())
		}
		if err := take(told.begun, found, resp); err != nil {
			return first, err
		}
		if !paged || len(found) == 0 || methods.LastPage(resp, page) {
			return first, nil
		}
		name, err := nameOf(found[0])
		if err != nil {
			return first, err
		}
		if firsts[name] {
			m.log.WarnContext(ctx, "a list of the vendor's repeats itself", slog.String("method", string(method.Name)), slog.Int("page", int(page)))
			return first, nil
		}
		firsts[name] = true
	}
	m.log.WarnContext(ctx, "a list of the vendor's does not end", slog.String("method", string(method.Name)), slog.Int("pages", vendorPages))
	return first, nil
}

// nameOf tells an item of a list from others: by its uuid, or by all that it says.
func nameOf(item proto.Message) (string, error) {
	if id := methods.String(item, "uuid"); id != "" {
		return id, nil
	}
	text, err := encode(item)
	return string(text), err
}
