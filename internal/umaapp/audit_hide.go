package umaapp

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-uma/caddy-uma/internal/event"
)

// hidden stands in place of what must not be shown.
const hidden = "…"

// localPart is what stands before the @ of an address, in clear or as in a URL.
var localPart = regexp.MustCompile(`(?i)[^\s<>"'(),;:=/?&…]+(@|%40)`)

// hide takes what addresses say about people out of all texts of a line, unless
// audit_subject is plain: a reason that an administrator wrote, or a sub, may be
// one. The domain stays.
func (a *App) hide(l *line) {
	if a.AuditSubject == auditPlain || a.AuditSubject == "" {
		return
	}
	for i := range l.fields {
		switch f := &l.fields[i]; f.Type { //nolint:exhaustive // no other fields of ours have texts of others
		case zapcore.StringType:
			f.String = hideAddresses(f.String)
		case zapcore.ArrayMarshalerType: // scopes, and names of shadow policies
			enc := zapcore.NewMapObjectEncoder()
			f.AddTo(enc)
			if list, ok := enc.Fields[f.Key].([]any); ok {
				*f = zap.Strings(f.Key, stringsOf(list))
			}
		}
	}
}

func hideAddresses(text string) string {
	if !strings.ContainsAny(text, "@%") {
		return text
	}
	return localPart.ReplaceAllString(text, hidden+"$1")
}

// naming are claims that name a person, whatever they hold (OpenID Connect Core
// §5.1, and what providers call them).
var naming = []string{ //nolint:gochecknoglobals // a table of constants
	"address", "account", "birthdate", "display_name", "displayname", "email", "emails", "employee_id", "family_name", "given_name",
	"login", "mail", "middle_name", "mobile", "name", "nickname", "phone", "phone_number", "picture", "preferred_username", "profile",
	"samaccountname", "sub", "uid", "unique_name", "upn", "user", "user_id", "user_name", "username", "website",
}

// addClaims adds the claims that decided, each as a text: a member of one type in
// every line is what log indexes need.
func (a *App) addClaims(ctx context.Context, l *line, e event.Decision) {
	if len(e.Claims) == 0 {
		return
	}
	texts := make([]string, len(e.Claims))
	for i, c := range e.Claims {
		texts[i] = a.claimText(ctx, e, c)
	}
	l.fields = append(l.fields, zap.Object("claims", zapcore.ObjectMarshalerFunc(func(enc zapcore.ObjectEncoder) error {
		for i, c := range e.Claims {
			enc.AddString(cut(c.Name), texts[i])
		}
		return nil
	})))
}

// claimText is a claim as the audit log shows it: a text as it is, anything else as
// JSON. Neither hash nor off is got around by a claim that holds the address.
func (a *App) claimText(ctx context.Context, e event.Decision, c event.Claim) string {
	switch {
	case c.Name == "*":
		return "(the policy looks at the claims as a whole)"
	case c.Value == nil:
		return "(missing)"
	}
	text, ok := c.Value.(string)
	if !ok {
		raw, err := json.Marshal(c.Value)
		if err != nil {
			return "(unreadable)"
		}
		text = string(raw)
	}
	if a.AuditSubject != auditPlain && a.AuditSubject != "" {
		return a.concealed(ctx, e, c.Name, text)
	}
	return shownClaim(text)
}

func (a *App) concealed(ctx context.Context, e event.Decision, name, text string) string {
	local, _, _ := strings.Cut(e.Person.Email, "@")
	low := strings.ToLower(text)
	names := slices.Contains(naming, strings.ToLower(name)) ||
		len(local) > 2 && strings.Contains(low, strings.ToLower(local)) ||
		e.Person.Email != "" && strings.Contains(low, strings.ToLower(e.Person.Email))
	switch {
	case names && a.AuditSubject == auditHash:
		return "hash:" + a.hashEmail(ctx, "as", e.Issuer, text)
	case names:
		return hidden
	default:
		return shownClaim(hideAddresses(text))
	}
}

// shownClaim bounds a text, with escapes for what could move a cursor or turn the
// line around.
func shownClaim(text string) string {
	var b strings.Builder
	n := 0
	for _, r := range text {
		if n++; n > maxField {
			return b.String() + hidden
		}
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
