package op

import (
	"context"
	"io"
	"mime"
	"net/http"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// ended is the answer to a revocation: how many logins ended in browsers, and in
// applications with their tokens.
type ended struct {
	Browsers     int `json:"browsers"`
	Applications int `json:"applications"`
}

const revokedByAdministrator = "revoked by the administrator"

// adminRevoke ends one login, or all of a user. His consents stay, and he can log in
// again. Claims tokens that exist live on for minutes at most; what other servers gave
// for them is theirs to end.
func (p *Provider) adminRevoke(ctx context.Context, r *http.Request) (any, error) {
	var in struct {
		ID   string `json:"session_id"`
		User string `json:"user"`
	}
	if err := readCommand(r, &in); err != nil {
		return nil, err
	}
	if (in.ID == "") == (in.User == "") {
		return nil, oauth.Errorf(oauth.CodeInvalidRequest, "name either a session or a user")
	}
	if in.ID != "" {
		return p.revokeSession(ctx, in.ID)
	}
	return p.revokeUser(context.WithoutCancel(ctx), in.User)
}

func (p *Provider) revokeSession(ctx context.Context, id string) (any, error) {
	doc, err := p.findSession(ctx, id)
	if err != nil {
		return nil, err
	}
	view, err := p.viewFound(doc)
	if err != nil {
		return nil, err
	}
	var out ended
	if doc.Kind == kindSession {
		out.Browsers = 1
		if err := p.dropSession(ctx, doc.Key); err != nil {
			return nil, p.unavailable("session", err)
		}
	} else {
		out.Applications = 1
		if err := p.endGrant(ctx, id, revokedByAdministrator); err != nil {
			return nil, err
		}
	}
	e := event.Administration{Action: "session_revoked", ID: id, Person: p.personNamed(view.User), Ended: 1}
	if view.Kind == inApplication {
		e.ClientID = view.Clients[0]
	}
	p.administered(ctx, e)
	return out, nil
}

// personNamed is for the audit log.
func (p *Provider) personNamed(name string) event.Person {
	if u := p.user(name); u != nil {
		return p.person(u)
	}
	return event.Person{Issuer: p.cfg.Issuer, Email: name}
}

// revokeUser ends everything of a user, who may be gone from the configuration.
func (p *Provider) revokeUser(ctx context.Context, email string) (any, error) {
	name, err := p.named(email)
	if err != nil {
		return nil, err
	}
	out, err := p.endUser(ctx, name)
	if p.user(name) == nil && err == nil && out == (ended{}) {
		return nil, notFound("there is no such user, and nothing that he left behind")
	}
	p.administered(ctx, event.Administration{
		Action: "sessions_revoked", Person: p.personNamed(name), Ended: out.Browsers + out.Applications,
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// endUser ends the sessions first: whoever holds one could let applications in with it.
func (p *Provider) endUser(ctx context.Context, name string) (out ended, err error) {
	if out.Browsers, err = p.dropSessions(ctx, name); err != nil {
		return out, p.unavailable("session", err)
	}
	if err := p.endWaiting(ctx, name, ""); err != nil {
		return out, err
	}
	err = p.endThose(ctx, name, revokedByAdministrator, func(*grantRecord) bool {
		out.Applications++
		return true
	})
	return out, err
}

// readCommand reads a JSON body. A member that is spelt wrong would change what is
// meant.
func readCommand(r *http.Request, v any) error {
	if err := oauth.OnlyParams(r, "issuer"); err != nil {
		return err
	}
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" {
		return oauth.Errorf(oauth.CodeInvalidRequest, "the Content-Type must be application/json")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxCommand+1))
	if err != nil || len(body) > maxCommand {
		return oauth.Errorf(oauth.CodeInvalidRequest, "the body could not be read")
	}
	if err := oauth.DecodeCommand(body, v); err != nil {
		return oauth.Errorf(oauth.CodeInvalidRequest, "the body is not acceptable JSON, or has a member that is empty or not known here").Because(err)
	}
	return nil
}
