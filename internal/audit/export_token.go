package audit

import (
	"encoding"
	"errors"
	"strconv"
	"time"

	"github.com/google/uuid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/listing"
)

// tokenMaker makes and reads tokens.
type tokenMaker interface {
	Encode(scope string, values ...string) string
	Decode(token, scope string) ([]string, error)
}

// exportScope is what a resume token is good for: one caller's export of the same events in the same format. What the
// caller may see is asked for anew.
func exportScope(who string, req *pb.ExportAuditEventsRequest) string {
	return listing.RequestScope("ExportAuditEvents", who, req.GetFilter(), strconv.Itoa(int(req.GetFormat())))
}

// token lets somebody go on after a line; nil: after the header.
func (e *export) token(last *db.AuditPlace) string {
	state, err := e.state()
	if err != nil {
		return "" // SHA-256 always can; without a token there is no resuming
	}
	values := []string{
		e.what.Moment.Time.UTC().Format(time.RFC3339Nano), e.what.Moment.Snapshot, strconv.FormatInt(e.rows, 10), state,
	}
	if last != nil {
		values = append(values, last.RecordedAt.UTC().Format(time.RFC3339Nano), last.ID.String())
	}
	return e.tokens.Encode(e.scope, values...)
}

// resume sets the export to where a token says. A token that was not made for it is a fault about resume_token.
func (e *export) resume(token string) error {
	values, err := e.tokens.Decode(token, e.scope)
	if err != nil || len(values) != 4 && len(values) != 6 {
		return fault.Invalid("resume_token", "does not belong to this request and caller, or its key was replaced since; "+
			"repeat the filter and format of the first call, or start again without it")
	}
	var problems []error
	parse := func(err error) { problems = append(problems, err) }
	e.resumed = true
	e.what.Moment.Snapshot = values[1]
	e.what.Moment.Time, err = time.Parse(time.RFC3339Nano, values[0])
	parse(err)
	e.rows, err = strconv.ParseInt(values[2], 10, 64)
	parse(err)
	e.sent = e.rows
	if state, ok := e.digest.(encoding.BinaryUnmarshaler); ok {
		parse(state.UnmarshalBinary([]byte(values[3])))
	}
	if len(values) == 6 {
		e.what.After = &db.AuditPlace{}
		e.what.After.RecordedAt, err = time.Parse(time.RFC3339Nano, values[4])
		parse(err)
		e.what.After.ID, err = uuid.Parse(values[5])
		parse(err)
	}
	return errors.Join(problems...) // none: it is our own token
}
