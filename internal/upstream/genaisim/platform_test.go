package genaisim

import (
	"strings"
	"testing"
)

// walkPlatform walks through the operations about models, routers, keys and
// workspaces that the walk through those about agents leaves out.
func (s *sim) walkPlatform() {
	s.t.Helper()
	agent := s.create("walk")
	for _, path := range []string{anthropicPath, openAIPath} {
		id := s.providerKey(path, "walk")
		for _, request := range [][3]string{
			{"GET", path}, {"GET", path + "/" + id}, {"GET", path + "/" + id + "/agents"}, {"PUT", path + "/" + id, `{"name":"n"}`},
			{"DELETE", path + "/" + id},
		} {
			s.do(200, request[0], request[1], request[2])
		}
	}
	router := text(s.do(200, "POST", routersPath, `{"name":"walk","fallback_models":["m"]}`).body, "model_router", "uuid")
	custom := text(s.do(200, "POST", customPath+"/import", importBody("a/b", "")).body, "model", "uuid")
	workspace := s.workspace("walk", agent)
	for _, request := range [][3]string{
		{"GET", catalogPath}, {"GET", catalogPath + "/" + ModelLlama},
		{"GET", modelKeysPath}, {"PUT", modelKeysPath + "/" + ModelKeyB, `{"name":"n"}`},
		{"PUT", modelKeysPath + "/" + ModelKeyB + "/regenerate"}, {"DELETE", modelKeysPath + "/" + ModelKeyB},
		{"GET", routersPath}, {"GET", routersPath + "/presets"}, {"GET", routersPath + "/tasks/presets"}, {"GET", routersPath + "/" + router},
		{"PUT", routersPath + "/" + router, `{"name":"n"}`}, {"DELETE", routersPath + "/" + router},
		{"GET", customPath}, {"GET", customPath + "/" + custom}, {"PATCH", customPath + "/" + custom + "/metadata", `{"name":"n"}`},
		{"DELETE", customPath + "/" + custom},
		{"GET", workspacesPath}, {"GET", workspacesPath + "/" + workspace}, {"PUT", workspacesPath + "/" + workspace, `{"name":"n"}`},
		{"GET", workspacesPath + "/" + workspace + "/agents"},
		{"PUT", workspacesPath + "/" + workspace + "/agents", `{"agent_uuids":["` + agent + `"]}`},
		{"DELETE", workspacesPath + "/" + workspace},
		{"GET", "/v2/gen-ai/oauth2/url?type=google"}, {"POST", "/v2/gen-ai/oauth2/dropbox/tokens", `{"code":"walk"}`},
	} {
		s.do(200, request[0], request[1], request[2])
	}
	s.do(410, "POST", modelKeysPath, `{"name":"walk"}`)
}

func TestStateCountsThePlatform(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	s.providerKey(anthropicPath, "a")
	s.providerKey(openAIPath, "b")
	s.workspace("w")
	s.do(200, "POST", routersPath, `{"name":"r","fallback_models":["m"]}`)
	s.do(200, "POST", customPath+"/import", importBody("a/b", ""))
	names := []string{"provider_keys", "model_api_keys", "workspaces", "model_routers", "custom_models"}
	for i, want := range []string{"2 2 1 1 1", "0 2 0 0 0"} {
		if i > 0 {
			s.do(200, "POST", "/_sim/reset", "")
		}
		counts := object(s.do(200, "GET", "/_sim/state", "").body, "counts")
		var got []string
		for _, name := range names {
			got = append(got, text(counts, name))
		}
		equal(t, "counts", strings.Join(got, " "), want)
	}
}
