package listing

// Answer is a whole list, for those that need nothing but its rows: it understands the
// request, reads the page and answers it as it is shown, with the token of the next one.
func Answer[R Row, T any](
	t *Tokens, schema *Schema, req Request, read func(Page) ([]R, error), show func(R) T,
) (shown []T, next string, err error) {
	page, err := t.Open(schema, req)
	if err != nil {
		return nil, "", err
	}
	rows, err := read(page)
	if err != nil {
		return nil, "", err
	}
	rows, next = Cut(t, page, rows)
	shown = make([]T, 0, len(rows))
	for _, row := range rows {
		shown = append(shown, show(row))
	}
	return shown, next, nil
}
