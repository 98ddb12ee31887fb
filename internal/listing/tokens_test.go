package listing_test

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/listing"
)

func testKey() []byte { return []byte(strings.Repeat("k", 32)) }

// requireInvalid checks that err is about the request's field and nothing else.
func requireInvalid(t *testing.T, err error, field string) *fault.Error {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || len(f.Violations) != 1 || f.Violations[0].Field != field {
		t.Fatalf("err = %v, want a fault about %s", err, field)
	}
	return f
}

func TestTokensKeepValues(t *testing.T) {
	t.Parallel()
	tokens := listing.NewTokens(testKey())
	for name, values := range map[string][]string{
		"none":        {},
		"empty":       {"", ""},
		"one":         {"a"},
		"with spaces": {"a b", "ü\n\"'\\", strings.Repeat("x", 300)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := tokens.Decode(tokens.Encode("scope", values...), "scope")
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, values) {
				t.Errorf("decoded %q, want %q", got, values)
			}
		})
	}
}

func TestLongestNameFitsAToken(t *testing.T) {
	t.Parallel()
	token := listing.NewTokens(testKey()).Encode("scope", strings.Repeat("😀", 255), "00000000-0000-0000-0000-000000000000")
	if limit := 2048; len(token) > limit {
		t.Errorf("the token is %d bytes, requests take %d", len(token), limit)
	}
}

func TestForgedTokensAreRefused(t *testing.T) {
	t.Parallel()
	tokens := listing.NewTokens(testKey())
	token := tokens.Encode("scope", "alpha", "1")
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	changed := func(change func([]byte) []byte) string {
		return base64.RawURLEncoding.EncodeToString(change(slices.Clone(raw)))
	}
	for name, forged := range map[string]string{
		"empty":               "",
		"not base64":          "%%%",
		"padded":              token + "=",
		"with a line break":   token[:4] + "\n" + token[4:],
		"cut off":             token[:len(token)-3],
		"longer":              token + "AAAA",
		"twice":               token + token,
		"of another key":      listing.NewTokens([]byte("another")).Encode("scope", "alpha", "1"),
		"of another request":  tokens.Encode("other scope", "alpha", "1"),
		"other value":         changed(func(b []byte) []byte { b[2] = 'b'; return b }),
		"other version":       changed(func(b []byte) []byte { b[0]++; return b }),
		"length beyond end":   changed(func(b []byte) []byte { b[1] = 0x7f; return b }),
		"mac only":            changed(func(b []byte) []byte { return b[len(b)-16:] }),
		"without mac":         changed(func(b []byte) []byte { return b[:len(b)-16] }),
		"version and no more": base64.RawURLEncoding.EncodeToString([]byte{1}),
		"sql":                 base64.RawURLEncoding.EncodeToString([]byte("\x01\x2a' OR 1=1; DROP TABLE resources; -- and a long tail")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := tokens.Decode(forged, "scope")
			f := requireInvalid(t, err, "page_token")
			if !strings.Contains(f.Public, "start again without it") {
				t.Errorf("%q does not say what to do", f.Public)
			}
		})
	}
	for i := range raw {
		forged := changed(func(b []byte) []byte { b[i] ^= 0x10; return b })
		if _, err := tokens.Decode(forged, "scope"); err == nil {
			t.Errorf("a token with byte %d changed was taken", i)
		}
	}
}

func TestScopesDiffer(t *testing.T) {
	t.Parallel()
	scopes := map[string]string{
		"method":               listing.RequestScope("a"),
		"method and part":      listing.RequestScope("a", "b"),
		"parts run together":   listing.RequestScope("ab"),
		"parts the other way":  listing.RequestScope("b", "a"),
		"empty part":           listing.RequestScope("a", ""),
		"filter":               listing.ScopeOf(&pb.ListAgentsRequest{Filter: "x"}),
		"order":                listing.ScopeOf(&pb.ListAgentsRequest{OrderBy: "x"}),
		"neither":              listing.ScopeOf(&pb.ListAgentsRequest{}),
		"only what is running": listing.ScopeOf(&pb.ListAgentsRequest{OnlyDeployed: new(bool)}),
		"another method":       listing.ScopeOf(&pb.ListResourcesRequest{}),
		"same of another":      listing.ScopeOf(&pb.ListAuditEventsRequest{Filter: "x"}),
	}
	seen := map[string]string{}
	for name, scope := range scopes {
		if other, twice := seen[scope]; twice {
			t.Errorf("%q and %q are the same", name, other)
		}
		seen[scope] = name
	}
}

func TestScopeLeavesOutTheRest(t *testing.T) {
	t.Parallel()
	first := &pb.ListAgentsRequest{Filter: "name = x", PageSize: 3}
	next := &pb.ListAgentsRequest{Filter: "name = x", PageSize: 200, PageToken: "token"}
	if listing.ScopeOf(first) != listing.ScopeOf(next) {
		t.Error("a page of another size is another request")
	}
	if next.GetPageToken() != "token" {
		t.Error("the request was changed")
	}
}
