package genaisim

import (
	"strings"
	"testing"
)

const modelKeysPath = "/v2/gen-ai/models/api_keys"

func TestModelKeys(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{Strict: true, Now: now.Now})
	list := func() string {
		return column(objects(s.do(200, "GET", modelKeysPath, "").body, "api_key_infos"), "uuid")
	}
	equal(t, "keys at first", list(), ModelKeyA+" "+ModelKeyB)
	page := s.do(200, "GET", modelKeysPath+"?per_page=1&page=2", "")
	equal(t, "second page", column(objects(page.body, "api_key_infos"), "uuid")+" of "+text(page.body, "meta", "total"), ModelKeyB+" of 2")

	gone := s.do(410, "POST", modelKeysPath, `{"name":"new"}`)
	equal(t, "id of the error", text(gone.body, "id"), "gone")
	s.wantEffect(NoEffect)
	equal(t, "keys after that", list(), ModelKeyA+" "+ModelKeyB)

	key := object(s.do(200, "PUT", modelKeysPath+"/"+ModelKeyA, `{"name":"renamed"}`).body, "api_key_info")
	s.wantEffect("renamed model api key " + ModelKeyA)
	equal(t, "name", text(key, "name"), "renamed")
	equal(t, "fields it has not", s.left("ApiKeyInfo", key), "deleted_at secret_key")
	s.do(200, "PUT", modelKeysPath+"/"+ModelKeyA, `{"name":"renamed"}`)
	s.wantEffect(NoEffect)

	first := text(s.do(200, "PUT", modelKeysPath+"/"+ModelKeyA+"/regenerate", "").body, "api_key_info", "secret_key")
	s.wantEffect("regenerated model api key " + ModelKeyA)
	second := text(s.do(200, "PUT", modelKeysPath+"/"+ModelKeyA+"/regenerate", "").body, "api_key_info", "secret_key")
	if first == "" || first == second {
		t.Errorf("secrets %q and %q", first, second)
	}
	if got := s.do(200, "GET", modelKeysPath, ""); strings.Contains(got.raw, "secret") {
		t.Errorf("the list shows a secret: %s", got.raw)
	}

	key = object(s.do(200, "DELETE", modelKeysPath+"/"+ModelKeyA, "").body, "api_key_info")
	s.wantEffect("deleted model api key " + ModelKeyA)
	equal(t, "deleted", text(key, "deleted_at"), "2026-06-01T12:00:00Z")
	equal(t, "keys left", list(), ModelKeyB)
	for _, request := range []string{"PUT ", "DELETE ", "PUT /regenerate"} {
		method, rest, _ := strings.Cut(request, " ")
		s.do(404, method, modelKeysPath+"/"+ModelKeyA+rest, "")
	}
}
