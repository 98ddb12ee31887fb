package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
)

// authority signs certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) authority {
	t.Helper()
	return authority{}.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
}

// issue signs a certificate; the zero authority has it sign itself.
func (a authority) issue(t *testing.T, template *x509.Certificate) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		t.Fatal(err)
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	signer := a
	if a.key == nil {
		signer = authority{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer.certificate, &key.PublicKey, signer.key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{certificate, key}
}

// client is a certificate for a service of that SPIFFE id.
func (a authority) client(t *testing.T, id string) tls.Certificate {
	t.Helper()
	uri, err := url.Parse(id)
	if err != nil {
		t.Fatal(err)
	}
	one := a.issue(t, &x509.Certificate{URIs: []*url.URL{uri}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return tls.Certificate{Certificate: [][]byte{one.certificate.Raw}, PrivateKey: one.key}
}

// files writes the certificate and its key as the service reads them.
func (a authority) files(t *testing.T) (certificate, key string) {
	t.Helper()
	dir := t.TempDir()
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, bytes []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", a.certificate.Raw), write("key.pem", "PRIVATE KEY", der)
}

// TestServicesByCertificate has services show certificates in place of tokens.
func TestServicesByCertificate(t *testing.T) {
	w := newWorld(t)
	ca, stranger := newAuthority(t, "mesh"), newAuthority(t, "mesh") // of the same name
	server := ca.issue(t, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	certFile, keyFile := server.files(t)
	caFile, _ := ca.files(t)
	run(t, environment("DATABASE_URL="+w.database), "token", "certificate", "--san", "spiffe://example.com/billing", "--name", "billing-mesh",
		"--team", "payments", "--role", "operator", "--reason", "end-to-end tests")
	s := w.serve(t, "AGENTSVC_TLS_CERT_FILE="+certFile, "AGENTSVC_TLS_KEY_FILE="+keyFile, "AGENTSVC_TLS_CLIENT_CA_FILE="+caFile)
	roots := x509.NewCertPool()
	roots.AddCert(ca.certificate)
	// who is the answer to who calls with these certificates, over both versions of HTTP.
	who := func(t *testing.T, http2 bool, token string, certificates ...tls.Certificate) (*pb.WhoAmIResponse, error) {
		t.Helper()
		transport := &http.Transport{ForceAttemptHTTP2: http2, TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: certificates, MinVersion: tls.VersionTLS13}}
		t.Cleanup(transport.CloseIdleConnections)
		ctx, call := connect.NewClientContext(t.Context())
		if token != "" {
			call.RequestHeader().Set("Authorization", "Bearer "+token)
		}
		client := agentsvcv1connect.NewTeamServiceClient(&http.Client{Transport: transport}, strings.Replace(s.url, "http://", "https://", 1))
		return client.WhoAmI(ctx, &pb.WhoAmIRequest{})
	}
	refused := 0
	for _, http2 := range []bool{false, true} {
		known := ca.client(t, "spiffe://example.com/billing")
		if got, err := who(t, http2, "", known); err != nil || got.GetName() != "billing-mesh" || !got.GetService() ||
			len(got.GetMemberships()) != 1 || got.GetMemberships()[0].GetRole() != pb.Role_ROLE_OPERATOR {
			t.Errorf("by certificate: %v, %v", got, err)
		}
		if got, err := who(t, http2, w.search, known); err != nil || got.GetName() != "search-bot" {
			t.Errorf("by certificate and token: %v, %v; the token counts", got, err)
		}
		if got, err := who(t, http2, w.search); err != nil || got.GetName() != "search-bot" {
			t.Errorf("by token alone: %v, %v", got, err)
		}
		_, err := who(t, http2, "", ca.client(t, "spiffe://example.com/nobody"))
		wantCode(t, err, connect.CodeUnauthenticated)
		_, err = who(t, http2, "")
		wantCode(t, err, connect.CodeUnauthenticated)
		_, err = who(t, http2, w.search+"x", known)
		wantCode(t, err, connect.CodeUnauthenticated)
		_, err = who(t, http2, "", stranger.client(t, "spiffe://example.com/billing"))
		if err == nil || connect.CodeOf(err) == connect.CodeUnauthenticated {
			t.Errorf("with a certificate of another authority: %v, want TLS to refuse it", err)
		}
		refused++
		await(t, "the service's log has that TLS refused it", func() bool {
			return strings.Count(s.String(), "signed by unknown authority") == refused
		})
	}
}
