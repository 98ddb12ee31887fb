package db

import (
	"time"

	"github.com/agentsvc/agentsvc/internal/listing"
)

// PageStatement is what [Store.ListResources] asks the database.
func PageStatement(which ResourceList, page listing.Page) (sql string, args []any) {
	l := which.list()
	return l.page(which.Visible, page), l.args.Values()
}

// FirstAuditStatement is what [Store.ListAuditEvents] asks the database first.
func FirstAuditStatement(visible Visible, page listing.Page, now time.Time) (sql string, args []any) {
	look := newAuditSlices(page, now)
	look.next(0)
	l := look.list()
	return l.page(visible, page), l.args.Values()
}
