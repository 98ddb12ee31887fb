package operation

import (
	"fmt"
	"time"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/fault"
)

// matches says with an error that a resource is not at the version that is wanted: its
// hash, or the time of its last change where it has none.
func matches(want, hash string, updated time.Time, on audit.Ref) error {
	if want == hash {
		return nil
	}
	now, field := hash, "version_hash"
	// Times are whole seconds at the vendor, so two changes may share one: they only do for
	// what has no versions.
	if hash == "" && !updated.IsZero() {
		now, field = updated.UTC().Format(time.RFC3339Nano), "updated_at"
		// The database keeps microseconds, and what the caller saw may come from the vendor.
		if at, err := time.Parse(time.RFC3339Nano, want); err == nil && at.Truncate(time.Microsecond).Equal(updated.Truncate(time.Microsecond)) {
			return nil
		}
	}
	said := fmt.Sprintf("is at version %s by now", now)
	if now == "" {
		said = "has no version that is known"
	}
	return &fault.Error{
		Reason:   pb.ErrorReason_ERROR_REASON_VERSION_MISMATCH,
		Public:   fmt.Sprintf("%s %s %s, not at %s: read it again and decide anew", on.Kind, on.UUID, said, want),
		Resource: &pb.ResourceRef{Kind: on.Kind, Uuid: on.UUID.String()},
		Metadata: map[string]string{field: now},
	}
}
