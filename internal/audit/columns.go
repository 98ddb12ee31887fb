package audit

import (
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

// columns are rows as the columns that one statement writes.
func columns(rows []dbsql.InsertAuditEventParams) dbsql.InsertAuditEventsParams {
	var c dbsql.InsertAuditEventsParams
	for _, r := range rows {
		c.Ids = append(c.Ids, r.ID)
		c.Actors = append(c.Actors, r.Actor)
		c.PrincipalIds = append(c.PrincipalIds, db.OrNil(r.PrincipalID))
		c.TeamIds = append(c.TeamIds, db.OrNil(r.TeamID))
		c.Actions = append(c.Actions, r.Action)
		c.Methods = append(c.Methods, r.Method)
		c.ResourceKinds = append(c.ResourceKinds, r.ResourceKind)
		c.ResourceUuids = append(c.ResourceUuids, db.OrNil(r.ResourceUUID))
		c.ResourceNames = append(c.ResourceNames, r.ResourceName)
		c.ParentKinds = append(c.ParentKinds, r.ParentKind)
		c.ParentUuids = append(c.ParentUuids, db.OrNil(r.ParentUUID))
		c.ParentNames = append(c.ParentNames, r.ParentName)
		c.Reasons = append(c.Reasons, r.Reason)
		c.Outcomes = append(c.Outcomes, r.Outcome)
		c.Origins = append(c.Origins, r.Origin)
		c.OperationIds = append(c.OperationIds, db.OrNil(r.OperationID))
		c.VendorRequestIds = append(c.VendorRequestIds, r.VendorRequestID)
		c.RequestIds = append(c.RequestIds, r.RequestID)
		c.ClientAddresses = append(c.ClientAddresses, r.ClientAddress)
		c.UserAgents = append(c.UserAgents, r.UserAgent)
		c.ErrorReasons = append(c.ErrorReasons, r.ErrorReason)
		c.ErrorMessages = append(c.ErrorMessages, r.ErrorMessage)
		c.Requests = append(c.Requests, r.Request)
		c.Befores = append(c.Befores, r.Before)
		c.Afters = append(c.Afters, r.After)
		c.ActingServices = append(c.ActingServices, db.OrEmpty(r.ActingService))
	}
	return c
}
