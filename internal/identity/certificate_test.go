package identity_test

import (
	"crypto/x509"
	"net/url"
	"testing"
	"time"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbtest"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
)

// certificate is one that TLS has verified.
func certificate(t *testing.T, name string, uris []string, hosts ...string) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{Raw: []byte(name), DNSNames: hosts, NotAfter: time.Now().Add(time.Hour)}
	for _, uri := range uris {
		u, err := url.Parse(uri)
		if err != nil {
			t.Fatal(err)
		}
		c.URIs = append(c.URIs, u)
	}
	return c
}

func trust(t *testing.T, store *db.Store, san string, spec identity.TokenSpec) error {
	t.Helper()
	return store.Tx(t.Context(), db.Durable, func(q *db.Queries) error {
		_, err := identity.TrustCertificate(t.Context(), q, spec, san)
		return err
	})
}

func TestCertificatesSpeakForServices(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	store := db.New(pool)
	team(t, store, "payments")
	spec := func(name string) identity.TokenSpec {
		return identity.TokenSpec{Service: name, Team: "payments", Role: pb.Role_ROLE_OPERATOR}
	}
	for san, service := range map[string]string{
		"spiffe://example.com/billing": "billing-mesh", "indexer.internal": "indexer", "spiffe://example.com/off": "off",
	} {
		if err := trust(t, store, san, spec(service)); err != nil {
			t.Fatal(err)
		}
	}
	exec(t, pool, "UPDATE principals SET disabled_at = now() WHERE name = 'off'")
	exec(t, pool, "INSERT INTO principals (kind, issuer, subject, name) VALUES ('PERSON', 'a', 'paula.internal', 'paula@payments.example')")
	token := mustCreate(t, store, spec("bot")).Secret
	late := certificate(t, "late", []string{"spiffe://example.com/billing"})
	late.NotAfter = time.Now().Add(-time.Second)
	billing := certificate(t, "billing", []string{"spiffe://example.com/billing"}, "unheard.internal")
	a := identity.NewAuthenticator(store)

	for name, tc := range map[string]struct {
		shown identity.Credentials
		who   string // "" is refused
	}{
		"a SPIFFE id":                   {identity.Credentials{Certificate: billing}, "billing-mesh"},
		"a DNS name":                    {identity.Credentials{Certificate: certificate(t, "i", nil, "indexer.internal")}, "indexer"},
		"a token beside it wins":        {identity.Credentials{Certificate: billing, Token: token}, "bot"},
		"a wrong token beside it":       {identity.Credentials{Certificate: billing, Token: token + "x"}, ""},
		"nobody's":                      {identity.Credentials{Certificate: certificate(t, "n", []string{"spiffe://example.com/nobody"})}, ""},
		"without a name":                {identity.Credentials{Certificate: certificate(t, "w", nil)}, ""},
		"with a web page for an id":     {identity.Credentials{Certificate: certificate(t, "h", []string{"https://example.com/billing"})}, ""},
		"of two services":               {identity.Credentials{Certificate: certificate(t, "2", []string{"spiffe://example.com/billing"}, "indexer.internal")}, ""},
		"of a service that is disabled": {identity.Credentials{Certificate: certificate(t, "o", []string{"spiffe://example.com/off"})}, ""},
		"a person's subject":            {identity.Credentials{Certificate: certificate(t, "p", nil, "paula.internal")}, ""},
		"the name of one with tokens":   {identity.Credentials{Certificate: certificate(t, "b", nil, "bot")}, ""},
		"expired since":                 {identity.Credentials{Certificate: late}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := a.Authenticate(t.Context(), tc.shown)
			if tc.who == "" {
				if fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_UNAUTHENTICATED {
					t.Errorf("%+v, error %v, want UNAUTHENTICATED", got, err)
				}
				return
			}
			if err != nil || got.Name != tc.who || !got.Service || len(got.Teams) != 1 || got.Teams[0].Role != pb.Role_ROLE_OPERATOR {
				t.Errorf("%+v, %v, want %s", got, err, tc.who)
			}
		})
	}
	for _, san := range []string{"", "*.internal", "spiffe://", "https://example.com", "Indexer.internal", "a b"} {
		if err := trust(t, store, san, spec("x")); err == nil {
			t.Errorf("%q is taken for a name", san)
		}
	}
}
