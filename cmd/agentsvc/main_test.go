package main

import (
	"errors"
	"flag"
	"strings"
	"testing"

	"github.com/agentsvc/agentsvc/internal/db/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// TestEachCommandExplainsItself: as `agentsvc help` says, and without a database.
func TestEachCommandExplainsItself(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"dev", "serve", "sim", "migrate", "access", "account", "team", "token", "audit",
		"account list", "account assign", "team import", "token create", "token certificate", "token list", "token revoke", "audit report", "audit hold",
	} {
		var out strings.Builder
		err := run(t.Context(), append(strings.Fields(command), "--help"), func(string) string { return "" }, &out, &out)
		if err != nil && !errors.Is(err, flag.ErrHelp) || !strings.Contains(out.String(), command) {
			t.Errorf("agentsvc %s --help: %v\n%s", command, err, &out)
		}
	}
}
