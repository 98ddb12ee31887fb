package config

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// tokenFile is a token that may be replaced while we run. While the file cannot be
// read, the token read before stays in force.
type tokenFile struct {
	path string

	mu       sync.Mutex
	current  string
	modified time.Time
}

func (f *tokenFile) token() string {
	token, _ := f.read() // an error leaves the token of before
	return token
}

func (f *tokenFile) read() (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
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
