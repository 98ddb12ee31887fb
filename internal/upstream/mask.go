package upstream

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// maskField is the request field that names what a change changes.
const maskField = "update_mask"

// CheckMask refuses, as a [*fault.Error], an update_mask that names what cannot
// be changed or that leaves out a field which the request gives: the caller
// meant one or the other, and nothing is lost silently. A request without a
// mask, or with an empty one, passes.
func CheckMask(req proto.Message) error {
	m := methods.API().ByRequest(req)
	if m == nil {
		return nil // no method takes it, so nothing is sent
	}
	_, err := checkMask(m, req.ProtoReflect())
	return err
}

// checkMask is the mask's names; none means that what is present is sent.
func checkMask(m *methods.Method, msg protoreflect.Message) ([]string, error) {
	fields := msg.Descriptor().Fields()
	holder := fields.ByName(maskField)
	if holder == nil || !methods.Local(holder) || !msg.Has(holder) {
		return nil, nil
	}
	mask, ok := msg.Get(holder).Message().Interface().(*fieldmaskpb.FieldMask)
	if !ok || len(mask.GetPaths()) == 0 {
		return nil, nil
	}
	inPath := pathFields(m.Path)
	for _, name := range mask.GetPaths() {
		if err := checkNamed(msg, name, inPath); err != nil {
			return nil, err
		}
	}
	for i := range fields.Len() {
		fd := fields.Get(i)
		name := string(fd.Name())
		if !msg.Has(fd) || methods.Local(fd) || slices.Contains(inPath, name) || slices.Contains(mask.GetPaths(), name) {
			continue
		}
		return nil, fault.Invalid(maskField, "does not name %s, which the request gives; name it or leave it out", name)
	}
	return mask.GetPaths(), nil
}

// checkNamed looks at one name of the mask.
func checkNamed(msg protoreflect.Message, name string, inPath []string) error {
	fields := msg.Descriptor().Fields()
	fd := fields.ByName(protoreflect.Name(name))
	switch {
	case strings.Contains(name, "."):
		return fault.Invalid(maskField, "%q is nested; name top-level fields only", clip(name, maxName))
	case fd == nil:
		return fault.Invalid(maskField, "%q is no field of the request", clip(name, maxName))
	case slices.Contains(inPath, name):
		return fault.Invalid(maskField, "%s says what is changed and cannot be changed itself", name)
	case methods.Local(fd):
		return fault.Invalid(maskField, "%s is not a setting of the resource", name)
	case msg.Has(fd):
		return nil
	case fd.Message() != nil && !fd.IsList():
		// The vendor has no form for "no longer there".
		return fault.Invalid(maskField, "%s cannot be cleared; give the value to set", name)
	}
	flag := fields.ByName(protoreflect.Name(methods.ClearWith(fd)))
	if flag != nil && msg.Has(flag) && !msg.Get(flag).Bool() {
		return fault.Invalid(maskField, "clears %s, which %s: false contradicts", name, flag.Name())
	}
	return nil
}
