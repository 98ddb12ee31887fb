package genaisim

import (
	"maps"
	"net/url"
	"strconv"
)

const (
	defaultPerPage = 20
	maxPerPage     = 200
)

type pageLinks struct {
	Pages struct {
		First    string `json:"first,omitempty"`
		Previous string `json:"previous,omitempty"`
		Next     string `json:"next,omitempty"`
		Last     string `json:"last,omitempty"`
	} `json:"pages"`
}

type pageMeta struct {
	Page  int `json:"page"`
	Pages int `json:"pages"`
	Total int `json:"total"`
}

// paging is the part of a list answer that is the same for all lists.
type paging struct {
	Links pageLinks `json:"links"`
	Meta  pageMeta  `json:"meta"`
}

// paginate cuts the page out of a list that the query asks for. An empty list
// has one page; a page behind the last is empty.
func paginate[T any](c *call, all []T) ([]T, paging) {
	onPage, meta, perPage := cut(c, all, "per_page")
	page, pages := meta.Page, meta.Pages
	result := paging{Meta: meta}
	link := func(page int) string {
		query := url.Values{}
		maps.Copy(query, c.query)
		query.Set("page", strconv.Itoa(page))
		query.Set("per_page", strconv.Itoa(perPage))
		target := baseURL(c.r)
		target.RawQuery = query.Encode()
		return target.String()
	}
	result.Links.Pages.First = link(1)
	result.Links.Pages.Last = link(pages)
	if page > 1 {
		result.Links.Pages.Previous = link(min(page-1, pages))
	}
	if page < pages {
		result.Links.Pages.Next = link(page + 1)
	}
	return onPage, result
}

// cut cuts a page out of a list. The parameter says how many items a page has.
func cut[T any](c *call, all []T, parameter string) (onPage []T, meta pageMeta, perPage int) {
	perPage = min(c.queryInt(parameter, defaultPerPage), maxPerPage)
	page := c.queryInt("page", 1)
	pages := max(1, (len(all)+perPage-1)/perPage)
	meta = pageMeta{Page: page, Pages: pages, Total: len(all)}
	if page > pages {
		return []T{}, meta, perPage
	}
	first := (page - 1) * perPage
	return all[first:min(first+perPage, len(all))], meta, perPage
}
