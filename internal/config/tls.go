package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// TLS is how the port is served; nil without TLS. With AGENTSVC_TLS_CLIENT_CA_FILE, a
// client may show a certificate; one that none of these authorities vouches for ends the
// handshake, and none at all is for other credentials to make up for.
func (c Config) TLS() (*tls.Config, error) {
	if c.TLSCertFile == "" {
		return nil, nil //nolint:nilnil // no TLS
	}
	certificate, err := tls.LoadX509KeyPair(c.TLSCertFile, c.TLSKeyFile)
	if err != nil {
		return nil, fmt.Errorf("reading the TLS certificate: %w", err)
	}
	out := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	if c.TLSClientCAFile == "" {
		return out, nil
	}
	text, err := os.ReadFile(c.TLSClientCAFile)
	if err != nil {
		return nil, fmt.Errorf("reading AGENTSVC_TLS_CLIENT_CA_FILE: %w", err)
	}
	out.ClientCAs = x509.NewCertPool()
	if !out.ClientCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("AGENTSVC_TLS_CLIENT_CA_FILE: there is no certificate in %s", c.TLSClientCAFile)
	}
	out.ClientAuth = tls.VerifyClientCertIfGiven
	return out, nil
}
