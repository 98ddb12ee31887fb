package identity

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

// CertificateIssuer is the issuer of the services that are known by a name in their
// certificate: a SPIFFE id, or a DNS name.
const CertificateIssuer = "mtls"

// dnsName is as certificates have them; a name for all hosts of a domain is nobody's.
var dnsName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)

// certificate is the service that a certificate names. TLS has verified it when the
// connection began, which may be long ago.
func (a *Authenticator) certificate(ctx context.Context, c *x509.Certificate) (known, error) {
	if !a.cache.now().Before(c.NotAfter) {
		return known{}, refused("the certificate has expired")
	}
	names := certificateNames(c)
	if len(names) == 0 {
		return known{}, refused("the certificate has neither a SPIFFE id nor a DNS name")
	}
	rows, err := a.store.PrincipalsOfCertificate(ctx, dbsql.PrincipalsOfCertificateParams{Issuer: CertificateIssuer, Subjects: names})
	switch {
	case err != nil:
		return known{}, db.Classify(fmt.Errorf("looking for the service of a certificate: %w", err))
	case len(rows) == 0:
		return known{}, refused("nobody is known as %s", strings.Join(names, ", "))
	case len(rows) > 1:
		return known{}, refused("the certificate is that of several services: %s", strings.Join(names, ", "))
	case rows[0].Disabled:
		return known{}, refused("%s is disabled", rows[0].Name)
	case rows[0].Kind != kindService:
		return known{}, refused("%s is no service", rows[0].Name)
	}
	row := rows[0]
	found := known{caller: caller(row.ID, row.Kind, row.Name, row.PlatformRole), mayAct: row.MayActForOthers, until: c.NotAfter}
	found.caller.Teams, err = a.teamsOf(ctx, row.ID)
	return found, err
}

// TrustCertificate has a service known by a name in its certificates: a SPIFFE id or a DNS
// name. Its roles are as spec says; it is another principal than one with tokens. Run it
// in a transaction: it writes more than one row.
func TrustCertificate(ctx context.Context, q *db.Queries, spec TokenSpec, name string) (NewToken, error) {
	if err := spec.validate(); err != nil {
		return NewToken{}, err
	}
	if id, err := url.Parse(name); err != nil || (id.Scheme != "spiffe" || id.Host == "") && !dnsName.MatchString(name) {
		return NewToken{}, fmt.Errorf("%q is neither a SPIFFE id nor a DNS name", name)
	}
	return setUp(ctx, q, spec, dbsql.PrincipalBySubjectParams{Issuer: CertificateIssuer, Subject: name})
}

// certificateNames are the SPIFFE id of a certificate, of which there may be one, and its
// DNS names.
func certificateNames(c *x509.Certificate) []string {
	var names []string
	for _, uri := range c.URIs {
		if uri.Scheme == "spiffe" {
			names = append(names, uri.String())
		}
	}
	return append(names, c.DNSNames...)
}
