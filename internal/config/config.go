// Package config turns the environment and flags into one validated value.
package config

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"time"
)

// Config is what "agentsvc serve" runs with.
type Config struct {
	// DatabaseURL (DATABASE_URL) is Postgres 15 or newer. Required.
	DatabaseURL string
	// Token (DIGITALOCEAN_TOKEN, or the file DIGITALOCEAN_TOKEN_FILE, which is read
	// again when it changes) is the vendor account's. Required.
	Token     string
	TokenFile string
	// AccountsDir (AGENTSVC_ACCOUNTS_DIR) is a folder with the tokens of further vendor
	// accounts, if there are any: a file an account, called as the account is to be. Files
	// are read again when they change, and may come and go.
	AccountsDir string
	// UpstreamURL (AGENTSVC_UPSTREAM_URL) is the vendor's API, without a path.
	UpstreamURL string
	// Listen (AGENTSVC_LISTEN, --listen) is the address of the one port.
	Listen string
	// TLSCertFile and TLSKeyFile (AGENTSVC_TLS_CERT_FILE, AGENTSVC_TLS_KEY_FILE) turn on
	// TLS; without them the port speaks HTTP/1.1 and h2c.
	TLSCertFile, TLSKeyFile string
	// TLSClientCAFile (AGENTSVC_TLS_CLIENT_CA_FILE) holds the authorities whose certificates
	// services may show instead of a token; "": none are asked for.
	TLSClientCAFile string
	// OIDCIssuer and OIDCAudience (AGENTSVC_OIDC_ISSUER, AGENTSVC_OIDC_AUDIENCE) are one
	// OIDC provider whose tokens are believed, and whom they must be meant for. Several, and
	// what their groups may do, are in OIDCFile (AGENTSVC_OIDC_FILE).
	OIDCIssuer, OIDCAudience, OIDCFile string
	// SealKeysFile (AGENTSVC_SEAL_KEYS_FILE) holds the keys that seal secrets in the
	// queue: "<id> <32 bytes in base64>" a line, the one that seals first. Required.
	SealKeysFile string
	// CORSOrigins (AGENTSVC_CORS_ORIGINS) are the web origins that may call, comma-separated;
	// see [Origins].
	CORSOrigins []string
	// PerMinute and PerHour (AGENTSVC_RATE_PER_MINUTE, AGENTSVC_RATE_PER_HOUR) are the
	// vendor's limits, for each account.
	PerMinute, PerHour int
	// MinuteWindow and HourWindow (AGENTSVC_RATE_MINUTE_WINDOW, AGENTSVC_RATE_HOUR_WINDOW)
	// are how long "a minute" and "an hour" of those limits are: a minute and an hour at
	// the vendor, less at a simulator whose windows are scaled down. RateGuard
	// (AGENTSVC_RATE_GUARD) lengthens both, for clocks that run at different speeds.
	MinuteWindow, HourWindow, RateGuard time.Duration
	// Backlog (AGENTSVC_BACKLOG) is how many changes of all teams may wait for an account
	// before more are refused.
	Backlog int
	// CallerRate (AGENTSVC_CALLER_RATE) is how many calls a second a process takes of one
	// caller, and CallerStreams (AGENTSVC_CALLER_STREAMS) how many streams at once.
	CallerRate, CallerStreams int
	// Workers (AGENTSVC_WORKERS) is how many changes this process makes at once in each
	// account; 0: it makes none and only serves.
	Workers int
	// SyncEvery (AGENTSVC_SYNC_EVERY) is how often the mirror is compared with the vendor.
	SyncEvery time.Duration
	// Lease (AGENTSVC_LEASE) is how long an operation stays with a process that gives no
	// sign of life.
	Lease time.Duration
	// DatabaseConns (AGENTSVC_DATABASE_CONNS) is the most connections to Postgres; see [ConnsFor].
	DatabaseConns int
	// Audit is how the history is sealed and whom it is told to.
	Audit Audit
	// LogLevel (AGENTSVC_LOG_LEVEL) is debug, info, warn or error.
	LogLevel slog.Level
}

// Default is the configuration before environment and flags.
func Default() Config {
	return Config{
		UpstreamURL:   "https://api.digitalocean.com",
		Listen:        ":8080",
		PerMinute:     250,
		PerHour:       5000,
		MinuteWindow:  time.Minute,
		HourWindow:    time.Hour,
		RateGuard:     100 * time.Millisecond,
		Backlog:       10_000,
		Workers:       16,
		CallerRate:    1000,
		CallerStreams: 100,
		SyncEvery:     time.Minute,
		Lease:         15 * time.Second,
		DatabaseConns: 30,
		Audit:         Audit{CheckpointEvery: time.Minute},
	}
}

// Read fills the configuration from the environment, then from flags, and tells all
// that is wrong with it at once. No error holds a secret.
func Read(args []string, getenv func(string) string, flags *flag.FlagSet) (Config, error) {
	c := Default()
	var problems []error
	text := func(name string, to *string) {
		if v := getenv(name); v != "" {
			*to = v
		}
	}
	number := func(name string, to *int) {
		if v := getenv(name); v != "" {
			n, err := strconv.Atoi(v)
			if err != nil {
				problems = append(problems, fmt.Errorf("%s=%q is not a number", name, v))
				return
			}
			*to = n
		}
	}
	duration := func(name string, to *time.Duration) {
		if v := getenv(name); v != "" {
			d, err := time.ParseDuration(v)
			if err != nil {
				problems = append(problems, fmt.Errorf("%s=%q is not a duration such as 30s", name, v))
				return
			}
			*to = d
		}
	}
	for name, to := range map[string]*string{
		"DATABASE_URL":                &c.DatabaseURL,
		"DIGITALOCEAN_TOKEN":          &c.Token,
		"DIGITALOCEAN_TOKEN_FILE":     &c.TokenFile,
		"AGENTSVC_ACCOUNTS_DIR":       &c.AccountsDir,
		"AGENTSVC_UPSTREAM_URL":       &c.UpstreamURL,
		"AGENTSVC_LISTEN":             &c.Listen,
		"AGENTSVC_TLS_CERT_FILE":      &c.TLSCertFile,
		"AGENTSVC_TLS_KEY_FILE":       &c.TLSKeyFile,
		"AGENTSVC_TLS_CLIENT_CA_FILE": &c.TLSClientCAFile,
		"AGENTSVC_OIDC_ISSUER":        &c.OIDCIssuer,
		"AGENTSVC_OIDC_AUDIENCE":      &c.OIDCAudience,
		"AGENTSVC_OIDC_FILE":          &c.OIDCFile,
		"AGENTSVC_SEAL_KEYS_FILE":     &c.SealKeysFile,
	} {
		text(name, to)
	}
	number("AGENTSVC_RATE_PER_MINUTE", &c.PerMinute)
	number("AGENTSVC_RATE_PER_HOUR", &c.PerHour)
	duration("AGENTSVC_RATE_MINUTE_WINDOW", &c.MinuteWindow)
	duration("AGENTSVC_RATE_HOUR_WINDOW", &c.HourWindow)
	duration("AGENTSVC_RATE_GUARD", &c.RateGuard)
	number("AGENTSVC_BACKLOG", &c.Backlog)
	number("AGENTSVC_WORKERS", &c.Workers)
	number("AGENTSVC_CALLER_RATE", &c.CallerRate)
	number("AGENTSVC_CALLER_STREAMS", &c.CallerStreams)
	number("AGENTSVC_DATABASE_CONNS", &c.DatabaseConns)
	duration("AGENTSVC_SYNC_EVERY", &c.SyncEvery)
	duration("AGENTSVC_LEASE", &c.Lease)
	origins, err := Origins(getenv)
	if err != nil {
		problems = append(problems, err)
	}
	text("AGENTSVC_AUDIT_KEY_FILE", &c.Audit.KeyFile)
	text("AGENTSVC_AUDIT_CHECKPOINT_FILE", &c.Audit.CheckpointFile)
	duration("AGENTSVC_AUDIT_CHECKPOINT_EVERY", &c.Audit.CheckpointEvery)
	text("AGENTSVC_AUDIT_WEBHOOK_URL", &c.Audit.WebhookURL)
	text("AGENTSVC_AUDIT_WEBHOOK_SECRET_FILE", &c.Audit.WebhookSecretFile)
	if v := getenv("AGENTSVC_AUDIT_STDOUT"); v != "" {
		is, err := strconv.ParseBool(v)
		if err != nil {
			problems = append(problems, fmt.Errorf("AGENTSVC_AUDIT_STDOUT=%q is neither true nor false", v))
		}
		c.Audit.Stdout = is
	}
	c.CORSOrigins = origins
	if v := getenv("AGENTSVC_LOG_LEVEL"); v != "" {
		if err := c.LogLevel.UnmarshalText([]byte(v)); err != nil {
			problems = append(problems, fmt.Errorf("AGENTSVC_LOG_LEVEL=%q is none of debug, info, warn, error", v))
		}
	}
	flags.StringVar(&c.Listen, "listen", c.Listen, "`address` to listen on")
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	if flags.NArg() > 0 {
		problems = append(problems, fmt.Errorf("unexpected argument %q", flags.Arg(0)))
	}
	return c, errors.Join(append(problems, c.validate())...)
}

func (c Config) validate() error {
	var problems []error
	wrong := func(is bool, format string, args ...any) {
		if is {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	wrong(c.DatabaseURL == "", "DATABASE_URL is not set: name a Postgres database, such as postgres://user@host/agentsvc")
	wrong(c.Token == "" && c.TokenFile == "", "neither DIGITALOCEAN_TOKEN nor DIGITALOCEAN_TOKEN_FILE is set")
	wrong(c.Token != "" && c.TokenFile != "", "both DIGITALOCEAN_TOKEN and DIGITALOCEAN_TOKEN_FILE are set: choose one")
	wrong(c.SealKeysFile == "", "AGENTSVC_SEAL_KEYS_FILE is not set: name a file with a line \"<id> <32 random bytes in base64>\"")
	wrong((c.TLSCertFile == "") != (c.TLSKeyFile == ""), "AGENTSVC_TLS_CERT_FILE and AGENTSVC_TLS_KEY_FILE go together")
	wrong(c.TLSClientCAFile != "" && c.TLSCertFile == "", "AGENTSVC_TLS_CLIENT_CA_FILE takes AGENTSVC_TLS_CERT_FILE and AGENTSVC_TLS_KEY_FILE")
	wrong((c.OIDCIssuer == "") != (c.OIDCAudience == ""), "AGENTSVC_OIDC_ISSUER and AGENTSVC_OIDC_AUDIENCE go together")
	wrong(c.OIDCIssuer != "" && c.OIDCFile != "", "both AGENTSVC_OIDC_ISSUER and AGENTSVC_OIDC_FILE are set: choose one")
	upstream, err := url.Parse(c.UpstreamURL)
	wrong(err != nil || upstream.Host == "", "AGENTSVC_UPSTREAM_URL=%q is not a URL", c.UpstreamURL)
	wrong(c.PerMinute < 1 || c.PerHour < 1, "AGENTSVC_RATE_PER_MINUTE and AGENTSVC_RATE_PER_HOUR must be at least 1")
	wrong(c.MinuteWindow < time.Second || c.HourWindow < c.MinuteWindow,
		"AGENTSVC_RATE_MINUTE_WINDOW must be at least 1s, and AGENTSVC_RATE_HOUR_WINDOW no shorter than that")
	wrong(c.RateGuard <= 0 || c.RateGuard >= c.MinuteWindow, "AGENTSVC_RATE_GUARD must be more than 0 and less than AGENTSVC_RATE_MINUTE_WINDOW")
	wrong(c.Backlog < 1 || c.Backlog > 1_000_000, "AGENTSVC_BACKLOG must be 1 to 1000000")
	wrong(c.Workers < 0 || c.Workers > 1000, "AGENTSVC_WORKERS must be 0 to 1000")
	wrong(c.CallerRate < 1 || c.CallerStreams < 1, "AGENTSVC_CALLER_RATE and AGENTSVC_CALLER_STREAMS must be at least 1")
	wrong(c.DatabaseConns < ConnsFor(1), "AGENTSVC_DATABASE_CONNS must be at least %d", ConnsFor(1))
	wrong(c.SyncEvery < time.Second, "AGENTSVC_SYNC_EVERY must be at least 1s")
	wrong(c.Lease < time.Second, "AGENTSVC_LEASE must be at least 1s")
	problems = append(problems, c.Audit.problems()...)
	return errors.Join(problems...)
}
