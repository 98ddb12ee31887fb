package accesstest

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Put sets the text at a path of field names, or the one element of a list of texts. A list of
// messages on the way gets one, if it has none.
func Put(m protoreflect.Message, path, value string) error {
	name, rest, nested := strings.Cut(path, ".")
	fd := m.Descriptor().Fields().ByName(protoreflect.Name(name))
	text := protoreflect.ValueOfString(value)
	switch {
	case fd == nil:
		return fmt.Errorf("%s has no field %q", m.Descriptor().Name(), name)
	case nested && fd.IsList():
		list := m.Mutable(fd).List()
		if list.Len() == 0 {
			list.AppendMutable()
		}
		return Put(list.Get(0).Message(), rest, value)
	case nested:
		return Put(m.Mutable(fd).Message(), rest, value)
	case fd.Kind() != protoreflect.StringKind:
		return fmt.Errorf("%s.%s is no text", m.Descriptor().Name(), name)
	case fd.IsList():
		m.Clear(fd)
		m.Mutable(fd).List().Append(text)
	default:
		m.Set(fd, text)
	}
	return nil
}
