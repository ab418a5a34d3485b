package umaapp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/keystore"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// keyRoutes are about the keys of all issuers of the running configuration;
// each pattern is one path.
func keyRoutes() []caddy.AdminRoute {
	route := func(path, method string, serve func(*App, *http.Request) (any, error)) caddy.AdminRoute {
		return caddy.AdminRoute{Pattern: path, Handler: caddy.AdminHandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
			if r.Method != method {
				return apiError(http.StatusMethodNotAllowed, "this path takes "+method)
			}
			app, err := currentApp()
			if err != nil {
				return err
			}
			answer, err := serve(app, r)
			if err != nil {
				return app.keyError(err)
			}
			oauth.WriteJSON(w, http.StatusOK, answer)
			return nil
		})}
	}
	return []caddy.AdminRoute{
		route("/uma/show/keys", http.MethodGet, (*App).serveKeys),
		route("/uma/change/keys/rotate", http.MethodPost, (*App).serveRotate),
		route("/uma/change/keys/retire", http.MethodPost, (*App).serveRetire),
		route("/uma/change/keys/import", http.MethodPost, (*App).serveImport),
	}
}

// keyError makes an answer of an error: what went wrong with the storage is for
// the log.
func (a *App) keyError(err error) error {
	var api caddy.APIError
	switch {
	case errors.As(err, &api):
		return err
	case errors.Is(err, jose.ErrNeverRotates):
		return apiError(http.StatusConflict, jose.ErrNeverRotates.Error())
	case errors.Is(err, jose.ErrNoKey):
		return apiError(http.StatusNotFound, "no key of these issuers has this kid; see caddy uma keys list")
	}
	a.log.Error("an administrator's command about keys failed", zap.Error(err))
	if errors.Is(err, keystore.ErrOtherSecret) {
		return apiError(http.StatusServiceUnavailable, keystore.ErrOtherSecret.Error())
	}
	return apiError(http.StatusServiceUnavailable, "the place where keys are kept cannot be read or written")
}

func (a *App) serveKeys(r *http.Request) (any, error) {
	if err := onlyParams(r, "role", "issuer", "purpose"); err != nil {
		return nil, err
	}
	q := r.URL.Query()
	rings, err := a.chosen(ringKey{q.Get("role"), q.Get("issuer"), q.Get("purpose")})
	if err != nil {
		return nil, err
	}
	keys, err := listKeys(r.Context(), rings)
	return map[string]any{"keys": keys}, err
}

// keyCommand is the body of a change. The issuer stands in the query, as in the
// other paths of the admin API.
type keyCommand struct {
	Role    string `json:"role"`
	Purpose string `json:"purpose"`
	KID     string `json:"kid"`
	Reason  string `json:"reason"`
}

// maxCommand bounds a body, maxReason what is written into the log.
const (
	maxCommand = 64 << 10
	maxReason  = 500
)

func (a *App) command(r *http.Request) (c keyCommand, rings []managedRing, err error) {
	if err := onlyParams(r, "issuer"); err != nil {
		return c, nil, err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxCommand+1))
	if err != nil || len(body) > maxCommand || len(body) > 0 && oauth.DecodeCommand(body, &c) != nil {
		return c, nil, apiError(http.StatusBadRequest, "the body is not acceptable JSON, or has a member that is empty or not known here")
	}
	if len(c.Reason) > maxReason {
		return c, nil, apiError(http.StatusBadRequest, "the reason is too long")
	}
	rings, err = a.chosen(ringKey{c.Role, r.URL.Query().Get("issuer"), c.Purpose})
	return c, rings, err
}

// onlyParams refuses parameters besides these.
func onlyParams(r *http.Request, known ...string) error {
	if err := oauth.OnlyParams(r, known...); err != nil {
		return apiError(http.StatusBadRequest, oauth.AsError(err).Description)
	}
	return nil
}

// oneIssuer refuses to change the keys of several issuers at once.
func (a *App) oneIssuer(rings []managedRing) error {
	if rings[0].issuer != rings[len(rings)-1].issuer { // they are sorted
		return apiError(http.StatusBadRequest, "several issuers have keys here: say which with issuer=, one of "+strings.Join(a.keyIssuers(), ", "))
	}
	return nil
}

func (a *App) serveRotate(r *http.Request) (any, error) {
	_, rings, err := a.command(r)
	if err == nil {
		err = a.oneIssuer(rings)
	}
	if err != nil {
		return nil, err
	}
	keys, err := a.rotateKeys(r.Context(), rings)
	return map[string]any{"keys": keys, "reach": a.reach()}, err
}

func (a *App) serveRetire(r *http.Request) (any, error) {
	c, rings, err := a.command(r)
	if err != nil {
		return nil, err
	}
	if c.KID == "" {
		return nil, apiError(http.StatusBadRequest, "the kid of the key is missing")
	}
	answer, err := a.retireKey(r.Context(), rings, c.KID, c.Reason)
	if err != nil && answer != nil && answer.Key.KID != "" {
		a.log.Error("a key is retired, but the one after it could not be made", zap.Error(err))
		return nil, apiError(http.StatusServiceUnavailable, "the key is retired; the one after it could not be made, the next use tries again")
	}
	return answer, err
}

// serveImport copies keys from Caddy's storage to the document store.
func (a *App) serveImport(r *http.Request) (any, error) {
	if a.Keys != keysStore {
		return nil, apiError(http.StatusConflict, "the keys are in Caddy's storage; import is for 'keys store'")
	}
	_, rings, err := a.command(r)
	if err != nil {
		return nil, err
	}
	n, err := a.importKeys(r.Context(), rings)
	return map[string]any{"imported": n}, err
}

func (a *App) importKeys(ctx context.Context, rings []managedRing) (int, error) {
	all := 0
	for _, r := range rings {
		n, err := r.Import(ctx, a.storage())
		if err != nil {
			return all, err
		}
		all += n
	}
	a.log.Info("keys were copied from Caddy's storage", zap.Int("keys", all))
	return all, nil
}

// chosen are the rings that somebody names; none is an error that says what there
// is.
func (a *App) chosen(which ringKey) ([]managedRing, error) {
	if rings := a.ringsOf(which); len(rings) > 0 {
		return rings, nil
	}
	issuers := a.keyIssuers()
	if len(issuers) == 0 {
		return nil, apiError(http.StatusNotFound, "the running configuration has neither uma_server nor uma_sts, so no keys")
	}
	rings := a.ringsOf(ringKey{issuer: which.issuer})
	if len(rings) == 0 {
		return nil, apiError(http.StatusNotFound, "no uma_server or uma_sts has this issuer; there is "+strings.Join(issuers, ", "))
	}
	var have []string
	for _, r := range rings {
		have = append(have, r.role+" "+r.purpose)
	}
	return nil, apiError(http.StatusNotFound, "there are no such keys; there is "+strings.Join(have, ", "))
}
