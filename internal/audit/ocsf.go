package audit

import (
	"encoding/json"
	"strings"

	"github.com/google/uuid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
)

// The Open Cybersecurity Schema Framework's numbers that we use.
const (
	ocsfVersion  = "1.3.0"
	ocsfCategory = 6 // Application Activity
	ocsfClass    = 6003

	ocsfCreate, ocsfRead, ocsfUpdate, ocsfDelete, ocsfOther = 1, 2, 3, 4, 99

	ocsfSuccess, ocsfFailure = 1, 2

	ocsfInformational, ocsfLow, ocsfMedium = 1, 2, 3
)

// ocsfFormat is for systems that gather events of many products: API Activity, class 6003.
type ocsfFormat struct{}

type ocsfEvent struct {
	ActivityID   int              `json:"activity_id"`
	ActivityName string           `json:"activity_name"`
	CategoryUID  int              `json:"category_uid"`
	CategoryName string           `json:"category_name"`
	ClassUID     int              `json:"class_uid"`
	ClassName    string           `json:"class_name"`
	TypeUID      int              `json:"type_uid"`
	Time         int64            `json:"time"`
	SeverityID   int              `json:"severity_id"`
	StatusID     int              `json:"status_id"`
	Status       string           `json:"status"`
	StatusCode   string           `json:"status_code,omitempty"`
	StatusDetail string           `json:"status_detail,omitempty"`
	Message      string           `json:"message,omitempty"`
	Actor        ocsfActor        `json:"actor"`
	API          ocsfAPI          `json:"api"`
	SrcEndpoint  ocsfEndpoint     `json:"src_endpoint"`
	Resources    []ocsfResource   `json:"resources,omitempty"`
	Metadata     ocsfMetadata     `json:"metadata"`
	Unmapped     *json.RawMessage `json:"unmapped,omitempty"`
}

type ocsfActor struct {
	User ocsfUser `json:"user"`
	// InvokedBy is the service that acted on behalf of the user.
	InvokedBy string `json:"invoked_by,omitempty"`
}

type ocsfUser struct {
	Name string `json:"name"`
	UID  string `json:"uid,omitempty"`
}

type ocsfAPI struct {
	Operation string        `json:"operation"`
	Service   *ocsfName     `json:"service,omitempty"`
	Request   *ocsfUID      `json:"request,omitempty"`
	Response  *ocsfResponse `json:"response,omitempty"`
}

type ocsfName struct {
	Name string `json:"name"`
}

type ocsfUID struct {
	UID string `json:"uid"`
}

type ocsfResponse struct {
	Error   string `json:"error,omitempty"`
	Message string `json:"error_message,omitempty"`
}

type ocsfEndpoint struct {
	IP          string `json:"ip,omitempty"`
	ServiceName string `json:"svc_name,omitempty"`
}

type ocsfResource struct {
	Type  string    `json:"type,omitempty"`
	UID   string    `json:"uid,omitempty"`
	Name  string    `json:"name,omitempty"`
	Group *ocsfName `json:"group,omitempty"`
}

type ocsfMetadata struct {
	Version        string      `json:"version"`
	UID            string      `json:"uid"`
	CorrelationUID string      `json:"correlation_uid,omitempty"`
	Sequence       *int64      `json:"sequence,omitempty"`
	Product        ocsfProduct `json:"product"`
}

type ocsfProduct struct {
	Name       string `json:"name"`
	VendorName string `json:"vendor_name"`
	UID        string `json:"uid"`
}

// ocsfUnmapped is what the schema has no place for.
type ocsfUnmapped struct {
	Action          string          `json:"action"`
	Outcome         string          `json:"outcome"`
	Origin          string          `json:"origin"`
	Method          string          `json:"method,omitempty"`
	Team            string          `json:"team,omitempty"`
	TeamUID         string          `json:"team_id,omitempty"`
	VendorRequestID string          `json:"vendor_request_id,omitempty"`
	UserAgent       string          `json:"user_agent,omitempty"`
	Request         json.RawMessage `json:"request,omitempty"`
	Before          json.RawMessage `json:"before,omitempty"`
	After           json.RawMessage `json:"after,omitempty"`
}

func (ocsfFormat) header() []byte { return nil }

func (ocsfFormat) appendLine(dst []byte, line *db.AuditLine, teams map[uuid.UUID]string) []byte {
	text, err := json.Marshal(newOCSFEvent(line, teams))
	if err != nil {
		// Of texts, numbers and what Postgres holds to be JSON, nothing fails; should it, a
		// line that says so is better than one that is missing.
		return append(dst, "{\"class_uid\":6003,\"message\":\"unreadable\"}\n"...)
	}
	return append(append(dst, text...), '\n')
}

func newOCSFEvent(line *db.AuditLine, teams map[uuid.UUID]string) ocsfEvent {
	e := &line.AuditEvent
	activity, activityName := ocsfActivity(e.Action)
	status, severity := ocsfOutcome(e.Outcome)
	if e.Action == trim(pb.Action_ACTION_REVEAL.String(), "ACTION_") {
		severity = max(severity, ocsfLow)
	}
	out := ocsfEvent{
		ActivityID: activity, ActivityName: activityName, CategoryUID: ocsfCategory, CategoryName: "Application Activity",
		ClassUID: ocsfClass, ClassName: "API Activity", TypeUID: ocsfClass*100 + activity, Time: e.RecordedAt.UnixMilli(),
		SeverityID: severity, StatusID: status, Status: capital(e.Outcome), StatusCode: e.ErrorReason, StatusDetail: e.ErrorMessage,
		Message: e.Reason, Actor: ocsfActor{User: ocsfUser{Name: e.Actor, UID: text(e.PrincipalID)}, InvokedBy: db.OrEmpty(e.ActingService)},
		API: ocsfAPI{Operation: e.Method}, SrcEndpoint: ocsfEndpoint{IP: e.ClientAddress},
		Metadata: ocsfMetadata{
			Version: ocsfVersion, UID: e.ID.String(), CorrelationUID: text(e.OperationID), Sequence: line.Index,
			Product: ocsfProduct{Name: "agentsvc", VendorName: "agentsvc", UID: "agentsvc"},
		},
	}
	if service, operation, ok := cutLast(e.Method, "."); ok {
		out.API.Operation, out.API.Service = operation, &ocsfName{service}
	}
	if out.API.Operation == "" {
		out.API.Operation = capital(e.Action) // what was not called with us has no method
	}
	if e.RequestID != "" {
		out.API.Request = &ocsfUID{e.RequestID}
	}
	if e.ErrorReason != "" {
		out.API.Response = &ocsfResponse{Error: e.ErrorReason, Message: e.ErrorMessage}
	}
	if e.ClientAddress == "" {
		out.SrcEndpoint.ServiceName = capital(e.Origin)
	}
	team := teamName(teams, e.TeamID)
	for _, r := range []ocsfResource{
		{Type: e.ResourceKind, UID: text(e.ResourceUUID), Name: e.ResourceName}, {Type: e.ParentKind, UID: text(e.ParentUUID), Name: e.ParentName},
	} {
		if r != (ocsfResource{}) {
			if team != "" {
				r.Group = &ocsfName{team}
			}
			out.Resources = append(out.Resources, r)
		}
	}
	rest, err := json.Marshal(ocsfUnmapped{
		Action: e.Action, Outcome: e.Outcome, Origin: e.Origin, Method: e.Method, Team: team, TeamUID: text(e.TeamID),
		VendorRequestID: e.VendorRequestID, UserAgent: e.UserAgent, Request: e.Request, Before: e.Before, After: e.After,
	})
	if err == nil { // as above
		out.Unmapped = (*json.RawMessage)(&rest)
	}
	return out
}

// ocsfActivity is the schema's word for an action. Handing out a secret is no mere reading.
func ocsfActivity(action string) (int, string) {
	switch pb.Action(pb.Action_value["ACTION_"+action]) {
	case pb.Action_ACTION_CREATE:
		return ocsfCreate, "Create"
	case pb.Action_ACTION_LIST, pb.Action_ACTION_READ:
		return ocsfRead, "Read"
	case pb.Action_ACTION_UPDATE:
		return ocsfUpdate, "Update"
	case pb.Action_ACTION_DELETE:
		return ocsfDelete, "Delete"
	case pb.Action_ACTION_REVEAL, pb.Action_ACTION_UNSPECIFIED:
	}
	return ocsfOther, capital(action)
}

func ocsfOutcome(outcome string) (status, severity int) {
	switch pb.AuditEvent_Outcome(pb.AuditEvent_Outcome_value["OUTCOME_"+outcome]) {
	case pb.AuditEvent_OUTCOME_SUCCEEDED:
		return ocsfSuccess, ocsfInformational
	case pb.AuditEvent_OUTCOME_FAILED:
		return ocsfFailure, ocsfLow
	case pb.AuditEvent_OUTCOME_DENIED:
		return ocsfFailure, ocsfMedium
	case pb.AuditEvent_OUTCOME_ACCEPTED, pb.AuditEvent_OUTCOME_CANCELLED, pb.AuditEvent_OUTCOME_UNSPECIFIED:
	}
	return ocsfOther, ocsfInformational
}

// capital is an enum's name as a word.
func capital(name string) string {
	if name == "" {
		return ""
	}
	return name[:1] + strings.ToLower(name[1:])
}

// cutLast cuts at the last separator.
func cutLast(s, separator string) (before, after string, found bool) {
	if i := strings.LastIndex(s, separator); i >= 0 {
		return s[:i], s[i+len(separator):], true
	}
	return s, "", false
}
