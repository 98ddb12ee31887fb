package genaisim

import (
	"net/url"
	"testing"
)

func TestOAuthURL(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	const path = "/v2/gen-ai/oauth2/url"
	for name, tc := range map[string]struct{ query, host, redirect string }{
		"Google":                     {"?type=google&redirect_url=http://localhost:3000", "google.example.com", "http://localhost:3000"},
		"by the name in the example": {"?type=dropbox&redirect_uri=http://localhost:3000", "dropbox.example.com", "http://localhost:3000"},
		"without a redirect":         {"?type=dropbox", "dropbox.example.com", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := url.Parse(text(s.do(200, "GET", path+tc.query, "").body, "url"))
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "host", got.Host, tc.host)
			equal(t, "redirect", got.Query().Get("redirect_uri"), tc.redirect)
		})
	}
	for _, query := range []string{"", "?type=", "?type=github", "?redirect_url=http://localhost:3000"} {
		s.do(400, "GET", path+query, "")
	}
}

func TestDropboxTokens(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	const path = "/v2/gen-ai/oauth2/dropbox/tokens"
	first := s.do(200, "POST", path, `{"code":"one","redirect_url":"http://localhost:3000"}`)
	s.wantEffect("created Dropbox tokens")
	second := s.do(200, "POST", path+"?code=two", "")
	seen := make(map[string]bool)
	for _, got := range []reply{first, second} {
		seen[text(got.body, "token")], seen[text(got.body, "refresh_token")] = true, true
	}
	if len(seen) != 4 || seen[""] {
		t.Errorf("tokens %v", seen)
	}
	s.do(400, "POST", path, `{}`)
	s.do(400, "POST", path, `{"code":"one"}`)
	s.wantEffect(NoEffect)
}
