package caddyrs

import (
	"crypto/tls"
	"fmt"
	"slices"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/rs"
	"github.com/caddy-uma/caddy-uma/internal/umaapp"
	"github.com/caddy-uma/caddy-uma/internal/umaapp/syntax"
)

// ClientCertificate are two files in PEM, read when the configuration is loaded.
type ClientCertificate struct {
	// Certificate, with those between it and its CA behind it.
	Certificate string `json:"certificate"`
	// Key is its private key.
	Key string `json:"key"`
}

// credentials are what we authenticate with at the authorization server.
type credentials struct {
	secret      string
	key         *jose.Signer
	certificate []tls.Certificate
}

func (c credentials) none() bool { return c.secret == "" && c.key == nil && c.certificate == nil }

func (c credentials) fill(cfg *rs.Config) {
	cfg.ClientSecret, cfg.Key, cfg.Certificate = c.secret, c.key, c.certificate != nil
}

// readCredentials expands the secret and reads the files.
func (h *Handler) readCredentials() (c credentials, err error) {
	if h.ClientSecret != "" {
		if c.secret, err = syntax.Secret("uma_protect", "client_secret", h.ClientSecret, h.Issuer); err != nil {
			return c, err
		}
	}
	if h.PrivateKeyJWT != "" {
		if c.key, err = readKey(h.PrivateKeyJWT); err != nil {
			return c, fmt.Errorf("uma_protect: private_key_jwt: %w", err)
		}
	}
	if h.TLSClientAuth != nil {
		if c.certificate, err = h.TLSClientAuth.read(); err != nil {
			return c, fmt.Errorf("uma_protect: tls_client_auth: %w", err)
		}
	}
	return c, nil
}

func readKey(file string) (*jose.Signer, error) {
	data, err := umaapp.ReadKeyFile(file)
	if err != nil {
		return nil, err
	}
	key, err := jose.ParsePrivateKey(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &key, nil
}

func (c *ClientCertificate) read() ([]tls.Certificate, error) {
	certificate, err := umaapp.ReadKeyFile(c.Certificate)
	if err != nil {
		return nil, err
	}
	key, err := umaapp.ReadKeyFile(c.Key)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s are no certificate with its key: %w", c.Certificate, c.Key, err)
	}
	return []tls.Certificate{pair}, nil
}

// tlsClientAuth reads `tls_client_auth <cert_file> <key_file>`.
func (p *parser) tlsClientAuth() error {
	if err := p.once(p.Val()); err != nil {
		return err
	}
	args := p.RemainingArgs()
	if len(args) != 2 || args[0] == "" || args[1] == "" {
		return p.Errf("uma_protect: tls_client_auth takes two files; write: tls_client_auth <cert_file> <key_file>")
	}
	p.h.TLSClientAuth = &ClientCertificate{Certificate: args[0], Key: args[1]}
	return nil
}

// checkCredentials names the lines of two ways to authenticate.
func (p *parser) checkCredentials() error {
	var lines []int
	for _, word := range []string{"client_secret", "private_key_jwt", "tls_client_auth"} {
		if line, written := p.lines[word]; written {
			lines = append(lines, line)
		}
	}
	if len(lines) < 2 {
		return nil
	}
	slices.Sort(lines)
	return fmt.Errorf("choose one of client_secret, private_key_jwt, tls_client_auth (line %d and line %d)", lines[0], lines[1])
}
