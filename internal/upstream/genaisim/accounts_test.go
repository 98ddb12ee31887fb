package genaisim_test

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

func TestAccountsAreToldByTheirTokens(t *testing.T) {
	t.Parallel()
	accounts, err := genaisim.NewAccounts(genaisim.Config{SeedAgents: 2, RatePerMinute: 2}, "second")
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, path, token string) *httptest.ResponseRecorder {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), method, path, http.NoBody)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		accounts.ServeHTTP(w, r)
		return w
	}
	const agents = "/v2/gen-ai/agents"
	if first := ask(http.MethodGet, agents, "any"); !strings.Contains(first.Body.String(), `"total":2`) {
		t.Errorf("the first account has %s", first.Body)
	}
	if second := ask(http.MethodGet, agents, "second"); !strings.Contains(second.Body.String(), `"total":0`) {
		t.Errorf("the second account has %s", second.Body)
	}
	// Each has limits of its own: two more of the first account use up its minute alone.
	ask(http.MethodGet, agents, "any")
	for token, want := range map[string]int{"any": http.StatusTooManyRequests, "second": http.StatusOK} {
		if got := ask(http.MethodGet, agents, token).Code; got != want {
			t.Errorf("account %q answers %d, want %d", token, got, want)
		}
	}
	for token, want := range map[string]int{"any": 3, "second": 2, "": 3} {
		lines := 0
		for s := bufio.NewScanner(ask(http.MethodGet, "/_sim/requests", token).Body); s.Scan(); {
			lines++
		}
		if lines != want {
			t.Errorf("the log of %q has %d requests, want %d", token, lines, want)
		}
	}
	for _, tokens := range [][]string{{""}, {"a", "a"}} {
		if _, err := genaisim.NewAccounts(genaisim.Config{}, tokens...); err == nil {
			t.Errorf("the tokens %q are accepted", tokens)
		}
	}
}
