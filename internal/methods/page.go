package methods

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// SetPage asks for a page of a list, counted from 1, in the vendor's fields. It says
// whether the request has them; if not, it is left as it is.
func SetPage(req proto.Message, page, size int32) bool {
	m := req.ProtoReflect()
	number, many := int32Field(m, "page"), int32Field(m, "per_page")
	if many == nil {
		many = int32Field(m, "limit") // the catalog's name for it
	}
	if number == nil || many == nil {
		return false
	}
	m.Set(number, protoreflect.ValueOfInt32(page))
	m.Set(many, protoreflect.ValueOfInt32(size))
	return true
}

func int32Field(m protoreflect.Message, name protoreflect.Name) protoreflect.FieldDescriptor {
	fd := m.Descriptor().Fields().ByName(name)
	if fd == nil || fd.Kind() != protoreflect.Int32Kind || fd.IsList() {
		return nil
	}
	return fd
}

// LastPage says that an answer of the vendor's promises no page after this one. It may
// promise one by a link to it or by counting its pages, and contradict itself: then
// there is one, since a page too many costs a call, and one too few hides what is
// on it. A vendor that promises for ever is for the caller to bound.
func LastPage(answer proto.Message, page int32) bool {
	if String(answer, "links.pages.next") != "" {
		return false
	}
	for _, pages := range Values(answer.ProtoReflect(), "meta.pages") {
		return int64(page) >= pages.Int()
	}
	return true
}
