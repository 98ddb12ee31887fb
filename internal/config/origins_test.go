package config_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/agentsvc/agentsvc/internal/config"
)

func TestOriginsAreWrittenAsBrowsersSendThem(t *testing.T) {
	t.Parallel()
	for origin, good := range map[string]bool{
		"https://console.example.com":      true,
		"https://console.example.com:8443": true,
		"http://127.0.0.1:3000":            true,
		"http://[::1]:3000":                true,
		"*":                                false,
		"https://*.example.com":            false,
		"https://*":                        false,
		"null":                             false,
		"console.example.com":              false,
		"https://console.example.com/":     false,
		"https://console.example.com/app":  false,
		"https://console.example.com?a=b":  false,
		"https://Console.example.com":      false,
		"https://console.example.com:443":  false,
		"https://console.example.com:":     false,
		"http://console.example.com:80":    false,
		"https://me@console.example.com":   false,
		"ftp://console.example.com":        false,
		"https://":                         false,
		"https://:8443":                    false,
	} {
		env := complete()
		env["AGENTSVC_CORS_ORIGINS"] = "https://other.example.com, " + origin
		got, err := read(t, env)
		if good {
			if want := []string{"https://other.example.com", origin}; err != nil || !slices.Equal(got.CORSOrigins, want) {
				t.Errorf("%q: got %q, %v", origin, got.CORSOrigins, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "AGENTSVC_CORS_ORIGINS") || !strings.Contains(err.Error(), origin) {
			t.Errorf("%q: %v, want it refused by name", origin, err)
		}
	}
}

func TestNoOriginsAreNone(t *testing.T) {
	t.Parallel()
	got, err := config.Origins(func(string) string { return " , " })
	if err != nil || got != nil {
		t.Errorf("got %q, %v", got, err)
	}
}
