package genaisim

import (
	"fmt"
	"net/http"
	"slices"
)

// Accounts is a simulator of several accounts: an http.Handler that tells them apart by
// their tokens. Each has limits, faults and a request log of its own; a call of the control
// API is about the account whose token it has, or else about the first.
type Accounts struct {
	first  *Server
	others map[string]*Server
}

// NewAccounts joins a simulator, which answers all tokens that are nobody else's, with one
// for each further token. Those have the same settings, and at the start nothing of their own.
func NewAccounts(cfg Config, tokens ...string) (*Accounts, error) {
	a := &Accounts{first: New(cfg), others: make(map[string]*Server, len(tokens))}
	for i, token := range tokens {
		if token == "" || token == cfg.Token || slices.Contains(tokens[:i], token) {
			return nil, fmt.Errorf("the token of account %d is empty, or another account's", i+2)
		}
		further := cfg
		further.Token, further.SeedAgents, further.Empty = token, 0, true
		a.others[token] = New(further)
	}
	return a, nil
}

// Of is the simulator of the account that a token is of.
func (a *Accounts) Of(token string) *Server {
	if s := a.others[token]; s != nil {
		return s
	}
	return a.first
}

// ServeHTTP implements [net/http.Handler].
func (a *Accounts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.Of(bearer(r)).ServeHTTP(w, r)
}
