package genaisim

import (
	"cmp"
	"net/url"
)

// getOAuthURL carries out GET /v2/gen-ai/oauth2/url. The address leads nowhere:
// nobody can consent to anything here.
func getOAuthURL(c *call) (any, *apiError) {
	var scope string
	kind := c.query.Get("type")
	switch kind {
	case "google":
		scope = "https://www.googleapis.com/auth/drive.readonly"
	case "dropbox":
		scope = "files.content.read"
	default:
		return nil, badRequest("type must be google or dropbox, not %q", kind)
	}
	query := url.Values{"client_id": {"genai-platform"}, "response_type": {"code"}, "access_type": {"offline"}, "scope": {scope}}
	// The documentation has the first name, its example the second.
	if redirect := cmp.Or(c.query.Get("redirect_url"), c.query.Get("redirect_uri")); redirect != "" {
		query.Set("redirect_uri", redirect)
	}
	target := url.URL{Scheme: "https", Host: kind + ".example.com", Path: "/oauth2/authorize", RawQuery: query.Encode()}
	return struct {
		URL string `json:"url"`
	}{target.String()}, nil
}

// createDropboxTokens carries out POST /v2/gen-ai/oauth2/dropbox/tokens. Any
// code will do, but only once. The vendor's documentation has it in the body,
// its example in the query.
func createDropboxTokens(c *call) (any, *apiError) {
	code, _ := c.body.text("code")
	code = cmp.Or(code, c.query.Get("code"))
	switch {
	case code == "":
		return nil, badRequest("code is required")
	case c.st.platform.codes[code]:
		return nil, badRequest("code was used before")
	}
	c.st.platform.codes[code] = true
	c.didf("created Dropbox tokens")
	return struct {
		Token        string `json:"token"`
		RefreshToken string `json:"refresh_token"`
	}{"sl." + c.st.random.hex(32), c.st.random.hex(32)}, nil
}
