// Command thirdparty prints the .proto files that our API imports into a
// folder, from the descriptors inside the Go modules we link. So the API
// builds without a schema registry, and what is imported is by construction
// what is linked.
//
//	go run . ../../third_party
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	_ "buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"github.com/jhump/protoreflect/v2/protoprint"
	_ "google.golang.org/genproto/googleapis/api/annotations"
	_ "google.golang.org/genproto/googleapis/rpc/errdetails"
	_ "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// imported lists the files that files of ours import.
func imported() []string {
	return []string{
		"buf/validate/validate.proto",
		"google/api/annotations.proto",
		"google/api/http.proto",
		"google/rpc/error_details.proto",
		"google/rpc/status.proto",
	}
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "thirdparty:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: thirdparty FOLDER")
	}
	printer := protoprint.Printer{Compact: true}
	for _, path := range imported() {
		file, err := protoregistry.GlobalFiles.FindFileByPath(path)
		if err != nil {
			return fmt.Errorf("finding %s among the linked modules: %w", path, err)
		}
		text, err := printer.PrintProtoToString(file)
		if err != nil {
			return fmt.Errorf("printing %s: %w", path, err)
		}
		out := filepath.Join(args[0], filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(out, []byte(text), 0o644); err != nil { //nolint:gosec // sources are for everyone to read
			return err
		}
	}
	return nil
}
