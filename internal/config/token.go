package config

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/agentsvc/agentsvc/internal/budget"
)

// Account is a vendor account.
type Account struct {
	Name string
	// Token is the account's, whenever it is asked for.
	Token func() string
}

// Accounts are the vendor accounts, the default one first. A token file is read again when
// it was replaced. While that cannot be done, which is logged once, the token of before stays.
func (c Config) Accounts(log *slog.Logger) ([]Account, error) {
	first := Account{Name: budget.DefaultAccount, Token: func() string { return c.Token }}
	if c.TokenFile != "" {
		source, err := newTokenFile(c.TokenFile, log)
		if err != nil {
			return nil, err
		}
		first.Token = source.token
	}
	accounts := []Account{first}
	names, err := c.AccountNames()
	if err != nil {
		return nil, err
	}
	var problems []error
	for _, name := range names {
		account, err := c.Account(name, accounts, log)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		accounts = append(accounts, account)
	}
	return accounts, errors.Join(problems...)
}

// AccountNames are the names of the files of AccountsDir as they are now, of which some may be no
// accounts: see [Config.Account].
func (c Config) AccountNames() ([]string, error) {
	if c.AccountsDir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(c.AccountsDir)
	if err != nil {
		return nil, fmt.Errorf("reading AGENTSVC_ACCOUNTS_DIR: %w", err)
	}
	var names []string
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), ".") { // what mounts and editors leave
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

// accountName is the form of accounts' names.
var accountName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)

// Account is the account of a file of AccountsDir, beside those that there are.
func (c Config) Account(name string, beside []Account, log *slog.Logger) (Account, error) {
	switch {
	case name == budget.DefaultAccount:
		return Account{}, errors.New(
			"AGENTSVC_ACCOUNTS_DIR: the token of the account \"default\" is that of DIGITALOCEAN_TOKEN or DIGITALOCEAN_TOKEN_FILE")
	case !accountName.MatchString(name):
		return Account{}, fmt.Errorf("AGENTSVC_ACCOUNTS_DIR: %q is no name of an account, such as \"emea\"", name)
	}
	source, err := newTokenFile(filepath.Join(c.AccountsDir, name), log)
	if err != nil {
		return Account{}, fmt.Errorf("account %q: %w", name, err)
	}
	for _, other := range beside {
		if other.Token() == source.token() { // the vendor would count their calls together, and we would not
			return Account{}, fmt.Errorf("the accounts %q and %q have the same token: an account is to have one of its own", other.Name, name)
		}
	}
	return Account{Name: name, Token: source.token}, nil
}

// tokenFile is a token that may be replaced while we run. While the file cannot be
// read, the token read before stays in force.
type tokenFile struct {
	path string
	log  *slog.Logger

	mu       sync.Mutex
	current  string
	modified time.Time
	failing  bool // the log has it
}

func newTokenFile(path string, log *slog.Logger) (*tokenFile, error) {
	f := &tokenFile{path: path, log: log}
	_, err := f.read()
	return f, err
}

func (f *tokenFile) token() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	token, err := f.read() // an error leaves the token of before
	if err != nil && !f.failing {
		f.log.Warn("the vendor's token is kept as it was", slog.Any("error", err))
	}
	f.failing = err != nil
	return token
}

// read reads the file if it was replaced. It is for whoever holds the lock.
func (f *tokenFile) read() (string, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return f.current, fmt.Errorf("looking at the token file: %w", err)
	}
	if f.current != "" && info.ModTime().Equal(f.modified) {
		return f.current, nil
	}
	text, err := os.ReadFile(f.path)
	if err != nil {
		return f.current, fmt.Errorf("reading the token file: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" {
		return f.current, errors.New("the token file is empty")
	}
	f.current, f.modified = token, info.ModTime()
	return token, nil
}
