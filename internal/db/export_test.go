package db

import "github.com/agentsvc/agentsvc/internal/listing"

// PageStatement is what [Store.ListResources] asks the database.
func PageStatement(which ResourceList, page listing.Page) (sql string, args []any) {
	l := which.list()
	return l.page(which.Visible, page), l.args.Values()
}
