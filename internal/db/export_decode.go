package db

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
)

// An export is as quick as its rows are decoded. What pgx does for any type takes several times as long as all the
// rest, so this one statement's columns are decoded by hand: all texts with one allocation, and the rest with none.

const (
	// binaryFormat is the wire's number of it.
	binaryFormat = 1
	// epoch is Postgres's, in seconds of Unix.
	epoch = 946684800
	// auditTexts is how many columns of text an event has.
	auditTexts = 16
)

// binaryColumns says that all columns come as [AuditLine.decode] reads them.
func binaryColumns(columns []pgconn.FieldDescription) error {
	if want := len(auditColumns()) + 1; len(columns) != want {
		return fmt.Errorf("an exported event has %d columns, want %d", len(columns), want)
	}
	for _, c := range columns {
		if c.Format != binaryFormat {
			return fmt.Errorf("column %s comes in another format than the binary one", c.Name)
		}
	}
	return nil
}

// decode reads a row of the statement. Its JSON is the connection's, and good until the next row.
func (l *AuditLine) decode(v [][]byte) {
	e := &l.AuditEvent
	l.Index = nil
	if v[0] != nil {
		l.index = int64(binary.BigEndian.Uint64(v[0]))
		l.Index = &l.index
	}
	copy(e.ID[:], v[1])
	micros := int64(binary.BigEndian.Uint64(v[2]))
	e.RecordedAt = time.Unix(epoch+micros/1e6, micros%1e6*1e3).UTC()
	e.PrincipalID, e.TeamID = l.id(0, v[4]), l.id(1, v[5])
	e.ResourceUUID, e.ParentUUID, e.OperationID = l.id(2, v[9]), l.id(3, v[12]), l.id(4, v[17])
	into := [auditTexts]*string{
		&e.Actor, &e.Action, &e.Method, &e.ResourceKind, &e.ResourceName, &e.ParentKind, &e.ParentName, &e.Reason, &e.Outcome, &e.Origin,
		&e.VendorRequestID, &e.RequestID, &e.ClientAddress, &e.UserAgent, &e.ErrorReason, &e.ErrorMessage,
	}
	from := [auditTexts]int{3, 6, 7, 8, 10, 11, 13, 14, 15, 16, 18, 19, 20, 21, 22, 23}
	l.texts = l.texts[:0]
	for _, column := range from {
		l.texts = append(l.texts, v[column]...)
	}
	all, start := string(l.texts), 0
	for i, column := range from {
		*into[i] = all[start : start+len(v[column])]
		start += len(v[column])
	}
	e.Request, e.Before, e.After = jsonb(v[24]), jsonb(v[25]), jsonb(v[26])
}

// id is a uuid in a place of the line's own; nil for NULL.
func (l *AuditLine) id(place int, value []byte) *uuid.UUID {
	if value == nil {
		return nil
	}
	copy(l.ids[place][:], value)
	return &l.ids[place]
}

// jsonb is a value without the number of its format; nil for NULL.
func jsonb(value []byte) []byte {
	if len(value) == 0 {
		return nil
	}
	return value[1:]
}
