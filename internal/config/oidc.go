package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
)

// Issuer is an OIDC provider whose tokens are believed.
type Issuer struct {
	// URL is what its tokens name as their issuer, and where its keys are found from.
	URL string
	// Audience is what its tokens must be meant for: a name of this service's own.
	Audience string
	// GroupsClaim is the claim with a person's groups, "groups" unless said otherwise. A
	// claim within another is written with a dot between.
	GroupsClaim string
	// TrustEmail says that the issuer has verified each address that its tokens have, unless
	// they deny it. Else they must say so: whoever chooses an address could pass for another.
	TrustEmail bool
	// Grants say what groups may do.
	Grants []Grant
}

// Grant is what everybody in a group may do: a role in a team, or a platform role.
type Grant struct {
	Group    string
	Team     string
	Role     pb.Role
	Platform pb.PlatformRole
}

// issuersFile is the form of AGENTSVC_OIDC_FILE.
type issuersFile struct {
	Issuers []struct {
		Issuer      string `json:"issuer"`
		Audience    string `json:"audience"`
		GroupsClaim string `json:"groups_claim"`
		TrustEmail  bool   `json:"trust_email"`
		Grants      []struct {
			Group        string `json:"group"`
			Team         string `json:"team"`
			Role         string `json:"role"`
			PlatformRole string `json:"platform_role"`
		} `json:"grants"`
	} `json:"issuers"`
}

const defaultGroupsClaim = "groups"

// Issuers are those of the file, or the one of the environment, or none. All that is
// wrong with them is told at once.
func (c Config) Issuers() ([]Issuer, error) {
	var issuers []Issuer
	var problems []error
	switch {
	case c.OIDCFile != "":
		text, err := os.ReadFile(c.OIDCFile)
		if err != nil {
			return nil, fmt.Errorf("reading AGENTSVC_OIDC_FILE: %w", err)
		}
		if issuers, err = parseIssuers(text); err != nil {
			problems = append(problems, err)
		}
	case c.OIDCIssuer != "":
		issuers = []Issuer{{URL: c.OIDCIssuer, Audience: c.OIDCAudience, GroupsClaim: defaultGroupsClaim}}
	}
	for i, issuer := range issuers {
		problems = append(problems, issuer.validate())
		for _, other := range issuers[:i] {
			if other.URL == issuer.URL {
				problems = append(problems, fmt.Errorf("issuer %q is there twice: give it all its grants in one place", issuer.URL))
			}
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("the OIDC configuration is wrong:\n%w", err)
	}
	return issuers, nil
}

// parseIssuers reads a file; what it says is checked for sense elsewhere.
func parseIssuers(text []byte) ([]Issuer, error) {
	var file issuersFile
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields() // a misspelt grant must not be passed over
	if err := decoder.Decode(&file); err != nil {
		return nil, fmt.Errorf("AGENTSVC_OIDC_FILE: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("AGENTSVC_OIDC_FILE: something follows the JSON object")
	}
	if len(file.Issuers) == 0 {
		return nil, errors.New("AGENTSVC_OIDC_FILE names no issuers")
	}
	var problems []error
	issuers := make([]Issuer, 0, len(file.Issuers))
	for _, i := range file.Issuers {
		issuer := Issuer{URL: i.Issuer, Audience: i.Audience, GroupsClaim: i.GroupsClaim, TrustEmail: i.TrustEmail}
		if issuer.GroupsClaim == "" {
			issuer.GroupsClaim = defaultGroupsClaim
		}
		for _, g := range i.Grants {
			grant := Grant{Group: g.Group, Team: g.Team}
			role, err := enumNamed(pb.Role_value, "ROLE_", g.Role)
			platform, err2 := enumNamed(pb.PlatformRole_value, "PLATFORM_ROLE_", g.PlatformRole)
			if err = errors.Join(err, err2); err != nil {
				problems = append(problems, fmt.Errorf("issuer %q, group %q: %w", i.Issuer, g.Group, err))
				continue
			}
			grant.Role, grant.Platform = pb.Role(role), pb.PlatformRole(platform)
			issuer.Grants = append(issuer.Grants, grant)
		}
		issuers = append(issuers, issuer)
	}
	return issuers, errors.Join(problems...)
}

// enumNamed is the value that a role's name in any case stands for; zero for "".
func enumNamed(values map[string]int32, prefix, name string) (int32, error) {
	if name == "" {
		return 0, nil
	}
	number := values[prefix+strings.ToUpper(name)]
	if number == 0 {
		return 0, fmt.Errorf("there is no role %q", name)
	}
	return number, nil
}

func (i Issuer) validate() error {
	var problems []error
	wrong := func(is bool, format string, args ...any) {
		if is {
			problems = append(problems, fmt.Errorf("issuer %q: "+format, append([]any{i.URL}, args...)...))
		}
	}
	at, err := url.Parse(i.URL)
	wrong(err != nil || at.Host == "" || at.RawQuery != "" || at.Fragment != "", "is not a URL such as https://login.example.com")
	wrong(err == nil && at.Scheme != "https" && (at.Scheme != "http" || !loopbackHost(at.Hostname())),
		"keys are fetched from there, so it must be https (http is for loopback addresses)")
	wrong(i.Audience == "", "has no audience: without one, a token meant for anybody would do")
	for _, g := range i.Grants {
		wrong(g.Group == "", "a grant has no group")
		wrong((g.Team == "") != (g.Role == pb.Role_ROLE_UNSPECIFIED), "group %q: a team and a role in it go together", g.Group)
		wrong((g.Team == "") == (g.Platform == pb.PlatformRole_PLATFORM_ROLE_UNSPECIFIED),
			"group %q: a grant is either a team with a role, or a platform_role", g.Group)
	}
	return errors.Join(problems...)
}

func loopbackHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
