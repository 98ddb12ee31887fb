package audit

import (
	"strconv"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

// AppendCanonical appends the canonical form of an event: one JSON object on one line,
// the same bytes whenever and wherever they are made. It is what the sealed log hashes,
// what sinks and exports carry, and therefore fixed for ever:
//
//   - fields have the names of their columns and come in this order; id and recorded_at
//     are first and of fixed width, so that they are found without parsing;
//   - a field that is null or an empty text is left out;
//   - times are RFC 3339 in UTC with six digits, which is all that Postgres keeps;
//   - request, before and after are the text that Postgres prints for jsonb;
//   - in strings only ", \ and control characters are escaped.
//
// A column that is added later goes to the end and is null in older rows, so that their
// form does not change.
func AppendCanonical(dst []byte, e dbsql.AuditEvent) []byte {
	dst = append(dst, `{"id":"`...)
	dst = appendUUID(dst, e.ID)
	dst = append(dst, `","recorded_at":"`...)
	dst = e.RecordedAt.UTC().AppendFormat(dst, canonicalTime)
	dst = append(dst, '"')
	dst = appendText(dst, `,"actor":`, e.Actor)
	dst = appendID(dst, `,"principal_id":"`, e.PrincipalID)
	dst = appendID(dst, `,"team_id":"`, e.TeamID)
	dst = appendText(dst, `,"action":`, e.Action)
	dst = appendText(dst, `,"method":`, e.Method)
	dst = appendText(dst, `,"resource_kind":`, e.ResourceKind)
	dst = appendID(dst, `,"resource_uuid":"`, e.ResourceUUID)
	dst = appendText(dst, `,"resource_name":`, e.ResourceName)
	dst = appendText(dst, `,"parent_kind":`, e.ParentKind)
	dst = appendID(dst, `,"parent_uuid":"`, e.ParentUUID)
	dst = appendText(dst, `,"parent_name":`, e.ParentName)
	dst = appendText(dst, `,"reason":`, e.Reason)
	dst = appendText(dst, `,"outcome":`, e.Outcome)
	dst = appendText(dst, `,"origin":`, e.Origin)
	dst = appendID(dst, `,"operation_id":"`, e.OperationID)
	dst = appendText(dst, `,"vendor_request_id":`, e.VendorRequestID)
	dst = appendText(dst, `,"request_id":`, e.RequestID)
	dst = appendText(dst, `,"client_address":`, e.ClientAddress)
	dst = appendText(dst, `,"user_agent":`, e.UserAgent)
	dst = appendText(dst, `,"error_reason":`, e.ErrorReason)
	dst = appendText(dst, `,"error_message":`, e.ErrorMessage)
	dst = appendJSON(dst, `,"request":`, e.Request)
	dst = appendJSON(dst, `,"before":`, e.Before)
	dst = appendJSON(dst, `,"after":`, e.After)
	dst = appendText(dst, `,"acting_service":`, db.OrEmpty(e.ActingService))
	return append(dst, '}')
}

// Leaf is the hash under which an event stands in the log: of its canonical form, as
// RFC 6962 hashes leaves.
func Leaf(canonical []byte) tlog.Hash { return tlog.RecordHash(canonical) }

// canonicalTime has a fixed width, so that text order is time order.
const canonicalTime = "2006-01-02T15:04:05.000000Z"

// CanonicalKey is the part of a canonical form that holds its time and id, "" if the
// form cannot be one. Of two events the one with the lesser key is the older.
func CanonicalKey(canonical []byte) (at, id string) {
	const (
		before  = len(`{"id":"`)
		between = len(`","recorded_at":"`)
		idLen   = 36
	)
	start := before + idLen + between
	if len(canonical) < start+len(canonicalTime) {
		return "", ""
	}
	return string(canonical[start : start+len(canonicalTime)]), string(canonical[before : before+idLen])
}

// CanonicalTime reads the time of [CanonicalKey].
func CanonicalTime(at string) (time.Time, error) { return time.Parse(canonicalTime, at) }

func appendUUID(dst []byte, id uuid.UUID) []byte {
	const digits = "0123456789abcdef"
	for i, b := range id {
		switch i {
		case 4, 6, 8, 10:
			dst = append(dst, '-')
		}
		dst = append(dst, digits[b>>4], digits[b&0xf])
	}
	return dst
}

func appendID(dst []byte, name string, id *uuid.UUID) []byte {
	if id == nil {
		return dst
	}
	return append(appendUUID(append(dst, name...), *id), '"')
}

func appendJSON(dst []byte, name string, object []byte) []byte {
	if object == nil {
		return dst
	}
	return append(append(dst, name...), object...)
}

func appendText(dst []byte, name, text string) []byte {
	if text == "" {
		return dst
	}
	const digits = "0123456789abcdef"
	dst = append(append(dst, name...), '"')
	from := 0
	for i := range len(text) {
		b := text[i]
		if b >= 0x20 && b != '"' && b != '\\' {
			continue
		}
		dst = append(dst, text[from:i]...)
		from = i + 1
		switch b {
		case '"', '\\':
			dst = append(dst, '\\', b)
		default:
			dst = append(dst, '\\', 'u', '0', '0', digits[b>>4], digits[b&0xf])
		}
	}
	return append(append(dst, text[from:]...), '"')
}

// AppendLine appends the event as a line of an export, without the newline: its place in the
// log and its canonical form.
func AppendLine(dst []byte, index int64, e dbsql.AuditEvent) []byte {
	dst = append(dst, `{"index":`...)
	dst = strconv.AppendInt(dst, index, 10)
	dst = append(dst, `,"event":`...)
	return append(AppendCanonical(dst, e), '}')
}
