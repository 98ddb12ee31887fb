package main

import (
	"errors"
	"flag"
	"io"
	"strings"
	"testing"
)

func TestSimExplainsItsFlags(t *testing.T) {
	t.Parallel()
	var help strings.Builder
	if err := runSim(t.Context(), []string{"--help"}, io.Discard, &help); !errors.Is(err, flag.ErrHelp) {
		t.Fatalf("--help ends with %v", err)
	}
	for _, want := range []string{
		"/v2/gen-ai", "/_sim", "--listen address ", "(default 127.0.0.1:8081)\n", "--seed-agents number ", "--strict ",
		"--rate-per-minute requests ", "(default 250)\n", "--rate-per-hour requests ", "(default 5000)\n",
		"--deploy-seconds seconds ", "--database-seconds seconds ", "--index-seconds seconds ", "--evaluate-seconds seconds ",
		"--import-seconds seconds ", "(default 5)\n",
	} {
		if !strings.Contains(help.String(), want) {
			t.Errorf("the help lacks %q:\n%s", want, &help)
		}
	}
	for line := range strings.Lines(help.String()) {
		if len(line) > 120 {
			t.Errorf("too long a line: %s", line)
		}
	}
}

func TestSimRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"an argument":         {"start"},
		"an unknown flag":     {"--fast"},
		"no number":           {"--deploy-seconds", "soon"},
		"a negative time":     {"--index-seconds", "-1"},
		"no address":          {"--listen", "nowhere"},
		"a flag after a word": {"now", "--strict"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var said strings.Builder
			if err := runSim(t.Context(), args, &said, io.Discard); err == nil || errors.Is(err, flag.ErrHelp) {
				t.Errorf("it ends with %v", err)
			}
			if said.Len() > 0 {
				t.Errorf("it says %q", &said)
			}
		})
	}
}
