package audit

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
)

// format is how an export is written.
type format interface {
	// header comes before all lines.
	header() []byte
	// appendLine appends an event with its end of line. teams are the names of all teams.
	appendLine(dst []byte, line *db.AuditLine, teams map[uuid.UUID]string) []byte
}

func formatOf(f pb.AuditExportFormat) format {
	switch f {
	case pb.AuditExportFormat_AUDIT_EXPORT_FORMAT_CSV:
		return csvFormat{}
	case pb.AuditExportFormat_AUDIT_EXPORT_FORMAT_OCSF:
		return ocsfFormat{}
	case pb.AuditExportFormat_AUDIT_EXPORT_FORMAT_UNSPECIFIED, pb.AuditExportFormat_AUDIT_EXPORT_FORMAT_JSON_LINES:
	}
	return jsonFormat{}
}

// jsonFormat is what can be verified: the canonical form, and the place in the sealed log.
type jsonFormat struct{}

func (jsonFormat) header() []byte { return nil }

func (jsonFormat) appendLine(dst []byte, line *db.AuditLine, _ map[uuid.UUID]string) []byte {
	dst = append(dst, '{')
	if line.Index != nil {
		dst = append(strconv.AppendInt(append(dst, `"index":`...), *line.Index, 10), ',')
	}
	return append(AppendCanonical(append(dst, `"event":`...), line.AuditEvent), "}\n"...)
}

// csvFormat is for spreadsheets.
type csvFormat struct{}

func (csvFormat) header() []byte {
	return []byte("id,time,actor,principal_id,team,action,method,resource_kind,resource_uuid,resource_name,parent_kind,parent_uuid,parent_name," +
		"reason,outcome,origin,operation_id,vendor_request_id,request_id,client_address,user_agent,error_reason,error_message," +
		"request,before,after,acting_service\r\n")
}

func (csvFormat) appendLine(dst []byte, line *db.AuditLine, teams map[uuid.UUID]string) []byte {
	e := &line.AuditEvent
	dst = appendUUID(dst, e.ID)
	dst = append(dst, ',')
	dst = e.RecordedAt.UTC().AppendFormat(dst, canonicalTime)
	for _, cell := range [...]string{
		e.Actor, text(e.PrincipalID), teamName(teams, e.TeamID), e.Action, e.Method, e.ResourceKind, text(e.ResourceUUID), e.ResourceName,
		e.ParentKind, text(e.ParentUUID), e.ParentName, e.Reason, e.Outcome, e.Origin, text(e.OperationID), e.VendorRequestID,
		e.RequestID, e.ClientAddress, e.UserAgent, e.ErrorReason, e.ErrorMessage, string(e.Request), string(e.Before), string(e.After),
		db.OrEmpty(e.ActingService),
	} {
		dst = appendCell(append(dst, ','), cell)
	}
	return append(dst, "\r\n"...)
}

func teamName(teams map[uuid.UUID]string, id *uuid.UUID) string {
	if id == nil {
		return ""
	}
	return teams[*id]
}

// formulaSigns are what spreadsheets take for the beginning of a formula, or cut off before
// they look for one.
const formulaSigns = "=+-@\t\r\n＝＋－＠"

// appendCell appends a cell as RFC 4180 has it. What a spreadsheet would calculate is made a text by
// an apostrophe, as nobody who reads the history must run what its subjects wrote.
func appendCell(dst []byte, cell string) []byte {
	if first, _ := utf8.DecodeRuneInString(cell); cell != "" && strings.ContainsRune(formulaSigns, first) {
		cell = "'" + cell
	}
	if !strings.ContainsAny(cell, ",\"\r\n") {
		return append(dst, cell...)
	}
	dst = append(dst, '"')
	for {
		before, after, quoted := strings.Cut(cell, `"`)
		dst = append(dst, before...)
		if !quoted {
			return append(dst, '"')
		}
		dst = append(dst, `""`...)
		cell = after
	}
}
