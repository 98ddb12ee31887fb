package oidc

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/coreos/go-oidc/v3/oidc"
)

// maxName is the longest subject that is taken, and the most that is kept of a name, in bytes.
const maxName = 255

// claims are all that a token says.
type claims map[string]any

// person reads the claims of a token whose signature, issuer and audience are right.
func (i *issuer) person(token *oidc.IDToken, c claims, now time.Time) (Person, error) {
	until := token.Expiry.Add(Skew)
	begins, given, err := c.time("nbf")
	switch {
	case err != nil:
		return Person{}, err
	case token.Expiry.IsZero():
		return Person{}, errors.New("it never expires")
	case !now.Before(until):
		return Person{}, errors.New("it has expired")
	case given && now.Add(Skew).Before(begins):
		return Person{}, errors.New("it is not valid yet")
	case now.Add(Skew).Before(token.IssuedAt):
		return Person{}, errors.New("it was issued in the future")
	case token.Subject == "" || len(token.Subject) > maxName || token.Subject != printable(token.Subject):
		return Person{}, errors.New("its subject is empty, too long or not printable")
	}
	p := Person{Issuer: &i.Issuer, Subject: token.Subject, Groups: c.groups(i.GroupsClaim), Issued: token.IssuedAt, Until: until}
	p.Email, _ = c["email"].(string)
	p.Verified = isEmail(p.Email) && c.verified(i.TrustEmail)
	p.Name = p.Email
	if !p.Verified {
		p.Name = c.name(token.Subject, i.URL)
	}
	return p, nil
}

func isEmail(s string) bool {
	return s != "" && len(s) <= maxName && s == printable(s) && !strings.ContainsAny(s, " ()") && strings.Contains(s, "@")
}

// name is what the history calls a person without a verified address. People choose such
// names themselves, so they stand with the subject, and none can pass for somebody's address or
// for a service.
func (c claims) name(subject, issuer string) string {
	own, _ := c["name"].(string)
	if own = cut(printable(own), maxName); own != "" {
		return fmt.Sprintf("%s (%s)", own, subject)
	}
	return fmt.Sprintf("%s (%s)", subject, host(issuer))
}

// verified says that the issuer has verified the email address. Some say it in a string, and
// some do not say: then it is as we were told about the issuer.
func (c claims) verified(otherwise bool) bool {
	switch said := c["email_verified"].(type) {
	case nil:
		return otherwise
	case bool:
		return said
	case string:
		return strings.EqualFold(said, "true")
	default:
		return false
	}
}

// groups are those of a claim, which is a list or one group alone. A claim that is not
// there by its whole name may be one within another.
func (c claims) groups(claim string) []string {
	value, ok := c[claim]
	if !ok {
		value = map[string]any(c)
		for part := range strings.SplitSeq(claim, ".") {
			within, _ := value.(map[string]any)
			value = within[part]
		}
	}
	switch said := value.(type) {
	case string:
		return []string{said}
	case []any:
		var groups []string
		for _, one := range said {
			if group, ok := one.(string); ok {
				groups = append(groups, group)
			}
		}
		return groups
	default:
		return nil
	}
}

// time is a claim that is a number of seconds; false if it is not there.
func (c claims) time(claim string) (time.Time, bool, error) {
	value, ok := c[claim]
	if !ok {
		return time.Time{}, false, nil
	}
	seconds, ok := value.(float64)
	if !ok || seconds < 0 || seconds > 1<<40 {
		return time.Time{}, false, fmt.Errorf("its %s is no time", claim)
	}
	return time.Unix(int64(seconds), 0), true, nil
}

var _ json.Unmarshaler = (*claims)(nil)

// UnmarshalJSON wants an object.
func (c *claims) UnmarshalJSON(text []byte) error {
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil {
		return err
	}
	if object == nil {
		return errors.New("its claims are no object")
	}
	*c = object
	return nil
}

func host(issuer string) string {
	if u, err := url.Parse(issuer); err == nil {
		return u.Host
	}
	return issuer
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}

// cut leaves no half of a character.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}
