package main

import (
	"bytes"
	"fmt"
	"net"
	"text/template"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

// ports of the sites of one server. All are taken when it starts.
type ports struct {
	TLS       string // as.localhost and bob.localhost
	AS, STS   string // the endpoints of both, without TLS
	Plain     string // reverse_proxy
	Again     string // the same once more: the difference is noise
	Warm      string // uma_protect
	Cold      string // uma_protect with a cache that never hits
	Forward   string // forward_auth
	Static    string // a fixed 401
	Remote    string // uma_protect, authorization server in another process
	LimitedAS string // an authorization server with the standard limits
	Limited   string // uma_protect that belongs to it
}

// settings of a Caddyfile.
type settings struct {
	Ports         ports
	Storage, DB   string // folder of Caddy's storage, file of the documents
	Upstream      string // address of the backend, and of what forward_auth asks
	Secret        string
	RemoteTLS     string // port of the remote authorization server; "" = none
	RemoteRoot    string // file of its CA
	AccessLog     string // file in which the https site of the AS notes its requests
	Instances     bool   // whether uma_protect knows patterns with captures
	ChallengeBody string
}

// caddyfile holds all variants. The sites that are measured speak plain HTTP, so
// that TLS, which costs everybody the same, does not hide what we cost; to the
// endpoints, which demand TLS, the load generator is a trusted proxy that says so.
// Issuers are https all the same: the authorization server finds Bob's provider as
// it always does, over TLS.
const caddyfile = `{
	admin off
	persist_config off
	skip_install_trust
	auto_https disable_redirects
	default_bind 127.0.0.1
	storage file_system {{.Storage}}
	servers {
		trusted_proxies static 127.0.0.1/32
	}
	uma {
		store counted_bolt {{.DB}}
		trust_internal_ca
		connect_to bob.localhost:443 127.0.0.1:{{.Ports.TLS}}
		connect_to bob.localhost:{{.Ports.TLS}} 127.0.0.1:{{.Ports.TLS}}
	}
}

(sts) {
	uma_sts https://bob.localhost:{{.Ports.TLS}} {
		email_domain bob.localhost
		provider {
			user bob@bob.localhost {{.Hash}} {
				name "Bob"
			}
		}
		client caddy-uma public {
			redirect_uri http://127.0.0.1/callback
			first_party
		}
		target https://api.localhost {
			release name
		}
		lifetime access_token 12h
		rate_limit exchange off
		rate_limit login off
	}
}

(as) {
	uma_server https://as.localhost:{{.Ports.TLS}} {
		resource_server api https://api.localhost {{.Secret}}
		policy readers {
			scopes get
			from bob@bob.localhost
		}
		rate_limit token off
		rate_limit ticket off
	}
}

(limited) {
	uma_server https://as.localhost:{{.Ports.TLS}}/limited {
		resource_server api https://api.localhost {{.Secret}}
		policy readers {
			scopes get
			from bob@bob.localhost
		}
		rate_limit ticket off
	}
}

https://bob.localhost:{{.Ports.TLS}} {
	tls internal
	import sts
}

https://as.localhost:{{.Ports.TLS}} {
	tls internal
{{- if .AccessLog}}
	log {
		output file {{.AccessLog}} {
			roll_disabled
		}
	}
{{- end}}
	import limited
	import as
}

http://:{{.Ports.STS}} {
	import sts
}

http://:{{.Ports.AS}} {
	import as
}

http://:{{.Ports.LimitedAS}} {
	import limited
}

http://:{{.Ports.Plain}} {
	reverse_proxy {{.Upstream}}
}

http://:{{.Ports.Again}} {
	reverse_proxy {{.Upstream}}
}

http://:{{.Ports.Warm}} {
	uma_protect https://as.localhost:{{.Ports.TLS}} {
		client_id api
		client_secret {{.Secret}}
{{- if .Instances}}
		resource photo /users/:user/photos/:id
		resource rest
{{- end}}
		rate_limit off
	}
	reverse_proxy {{.Upstream}}
}

http://:{{.Ports.Cold}} {
	uma_protect https://as.localhost:{{.Ports.TLS}} {
		client_id api
		client_secret {{.Secret}}
{{- if .Instances}}
		resource photo /users/:user/photos/:id
		resource rest
{{- end}}
		rate_limit off
		cache 1000
	}
	reverse_proxy {{.Upstream}}
}

http://:{{.Ports.Forward}} {
	forward_auth {{.Upstream}} {
		uri /auth
	}
	reverse_proxy {{.Upstream}}
}

http://:{{.Ports.Static}} {
	header {
		Content-Type application/problem+json
		Cache-Control no-store
		WWW-Authenticate ` + "`{{.Challenge}}`" + `
	}
	respond ` + "`{{.ChallengeBody}}`" + ` 401
}

http://:{{.Ports.Limited}} {
	uma_protect https://as.localhost:{{.Ports.TLS}}/limited {
		client_id api
		client_secret {{.Secret}}
		rate_limit off
	}
	reverse_proxy {{.Upstream}}
}
{{- if .RemoteTLS}}

http://:{{.Ports.Remote}} {
	uma_protect https://as.localhost:{{.RemoteTLS}} {
		client_id api
		client_secret {{.Secret}}
		rate_limit off
		trust_pool file {{.RemoteRoot}}
	}
	reverse_proxy {{.Upstream}}
}
{{- end}}
`

// hash is that of the password.
const (
	password = "bob-demo"
	hash     = "$argon2id$v=19$m=47104,t=1,p=1$S9h/J22A5V3z8hpHn91zSA$KTTFrBoygtDb+h/MJMextEt9527l5dIsSDERYnQuPG4"
)

// Hash is for the template.
func (settings) Hash() string { return hash }

// Challenge is a header field like that of a fresh 401, with a ticket of the same
// length.
func (s settings) Challenge() string {
	return fmt.Sprintf(`UMA as_uri="https://as.localhost:%s", ticket="%s", resource_metadata="https://api.localhost/.well-known/oauth-protected-resource"`,
		s.Ports.TLS, bytes.Repeat([]byte("x"), 300))
}

func (s settings) render() ([]byte, error) {
	t, err := template.New("Caddyfile").Parse(caddyfile)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, s)
	return out.Bytes(), err
}

// knowsInstances tells whether this Caddy registers resources of patterns with
// captures.
func knowsInstances() bool {
	const probe = "http://:1 {\n\tuma_protect https://as.localhost {\n\t\tclient_id api\n\t\tmax_instances 10\n\t\tresource photo /users/:user/photos/:id\n\t\tresource rest\n\t}\n}\n"
	_, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(probe), nil)
	return err == nil
}

// takePorts finds free ports. Somebody else may take one before the server does;
// then it does not start and the run fails.
func takePorts() (ports, error) {
	var p ports
	for _, to := range []*string{
		&p.TLS, &p.AS, &p.STS, &p.Plain, &p.Again, &p.Warm, &p.Cold, &p.Forward, &p.Static, &p.Remote, &p.LimitedAS, &p.Limited,
	} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return p, err
		}
		defer func() { _ = listener.Close() }() // not before all are chosen
		if _, *to, err = net.SplitHostPort(listener.Addr().String()); err != nil {
			return p, err
		}
	}
	return p, nil
}

// startLimit is how long a server may take until everything answers: Caddy tries
// again after a minute when making a certificate has failed.
const startLimit = 100 * time.Second
