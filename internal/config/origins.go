package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Origins are the web origins that AGENTSVC_CORS_ORIGINS names, comma-separated, each
// written as browsers send it: "https://console.example.com", with a port only if it is
// not the scheme's own. There are no patterns: whoever may call is named. The error tells
// each one that no browser would ever send, as that one would be refused without a word.
func Origins(getenv func(string) string) ([]string, error) {
	var origins []string
	var problems []error
	for origin := range strings.SplitSeq(getenv("AGENTSVC_CORS_ORIGINS"), ",") {
		if origin = strings.TrimSpace(origin); origin == "" {
			continue
		}
		if !isOrigin(origin) {
			problems = append(problems, fmt.Errorf(
				"AGENTSVC_CORS_ORIGINS holds %q, which is no origin such as https://console.example.com: no *, no path, in lower case", origin))
			continue
		}
		origins = append(origins, origin)
	}
	return origins, errors.Join(problems...)
}

func isOrigin(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || strings.Contains(text, "*") || strings.ToLower(text) != text {
		return false
	}
	if (u.Scheme == "https" && u.Port() == "443") || (u.Scheme == "http" && u.Port() == "80") {
		return false // browsers leave it out
	}
	return (u.Scheme == "https" || u.Scheme == "http") && text == u.Scheme+"://"+u.Host && !strings.HasSuffix(text, ":")
}
