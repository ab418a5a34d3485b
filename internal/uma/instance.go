package uma

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// A resource whose description names captures is a pattern: /users/:user/photos/:id
// stands for as many resources as there are users and photos. A ticket carries the
// pattern and what was captured, so that an anonymous request leaves nothing here
// (CONFORMANCE SEC-18); the instance is registered with the first grant that it is
// part of. Its id is oauth.InstanceID, which the resource server computes, too.

// instanceIDLength tells the id of an instance from that of a registration.
const instanceIDLength = 43

// Bounds on the instances of one pattern.
const (
	defaultInstances = 10_000
	mostInstances    = 100_000
)

// instanceRecord is an instance of a pattern. It expires: it is kept as long as
// decisions about it are, and longer whenever it is granted again.
type instanceRecord struct {
	version
	ResourceServer string `json:"resource_server"`
	instanceKey
	// Slot is the place of the instance among those that its pattern may have.
	Slot int `json:"slot"`
}

// instanceKey is what an instance's id is made of.
type instanceKey struct {
	Pattern  string          `json:"pattern"`
	Owner    string          `json:"owner,omitempty"` // as it was named; "" = the pattern's
	Captures []oauth.Capture `json:"captures"`
}

func (k instanceKey) id() string { return oauth.InstanceID(k.Pattern, k.Owner, k.Captures) }

func (k instanceKey) values() map[string]string {
	values := make(map[string]string, len(k.Captures))
	for _, c := range k.Captures {
		values[c.Name] = c.Value
	}
	return values
}

// captured are the values of an instance, for conditions.
func (rec resourceRecord) captured() map[string]string {
	if rec.of == nil {
		return nil
	}
	return rec.of.values()
}

// isPattern tells whether a registration stands for its instances. An empty list
// is a pattern, too: its instances differ by their owner alone.
func (rec resourceRecord) isPattern() bool { return rec.Captures != nil }

// instance gives an instance of a pattern: the pattern, with an owner and values
// of its own. There is none if these are not the captures that it declares (any
// more).
func (rec resourceRecord) instance(key instanceKey) (resourceRecord, bool) {
	names := make([]string, 0, len(key.Captures))
	for _, c := range key.Captures {
		names = append(names, c.Name)
	}
	if !rec.isPattern() || !sameNames(names, rec.Captures) {
		return rec, false
	}
	rec.of = &key
	if key.Owner != "" {
		rec.Owner = key.Owner
	}
	return rec, true
}

func sameNames(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// parsePattern reads the extension members captures and max_instances of a
// description.
func (rec *resourceRecord) parsePattern(members map[string]json.RawMessage) error {
	raw, declared := members["captures"]
	if !declared {
		return nil
	}
	bad := oauth.Errorf(oauth.CodeInvalidRequest, "captures must be an array of at most %d different names of letters, digits and _", oauth.MaxCaptures)
	names := []*string{}
	if oauth.DecodeJSON(raw, &names) != nil || names == nil || len(names) > oauth.MaxCaptures {
		return bad
	}
	rec.Captures = []string{}
	for _, name := range names {
		if name == nil || !oauth.IsCaptureName(*name) || slices.Contains(rec.Captures, *name) {
			return bad
		}
		rec.Captures = append(rec.Captures, *name)
	}
	return rec.parseBound(members["max_instances"])
}

func (rec *resourceRecord) parseBound(raw json.RawMessage) error {
	if raw == nil {
		return nil
	}
	var n *int
	if oauth.DecodeJSON(raw, &n) != nil || n == nil || *n < 1 || *n > mostInstances {
		return oauth.Errorf(oauth.CodeInvalidRequest, "max_instances must be a number from 1 to %d", mostInstances)
	}
	rec.MaxInstances = *n
	return nil
}

// describePattern adds to a description what parsePattern reads; an instance has
// its pattern and its values instead.
func (rec resourceRecord) describePattern(out map[string]any) {
	switch {
	case rec.of != nil:
		out["pattern"], out["captures"] = rec.of.Pattern, rec.of.values()
	case rec.isPattern():
		out["captures"] = rec.Captures
		if rec.MaxInstances > 0 {
			out["max_instances"] = rec.MaxInstances
		}
	}
}

// registered reads a resource that can be granted: a registration that is no
// pattern, or an instance that was granted before. What is not there is no error.
func (s *Server) registered(ctx context.Context, id string) (rec resourceRecord, found bool, err error) {
	if len(id) == instanceIDLength {
		return s.registeredInstance(ctx, id)
	}
	rec, found, err = s.registration(ctx, id)
	return rec, found && !rec.isPattern(), err
}

func (s *Server) registration(ctx context.Context, id string) (rec resourceRecord, found bool, err error) {
	rec, _, err = s.resources.load(ctx, s, id)
	switch {
	case absent(err):
		return rec, false, nil
	case err != nil:
		return rec, false, s.unavailable("resource", err)
	}
	return rec, true, nil
}

func (s *Server) registeredInstance(ctx context.Context, id string) (rec resourceRecord, found bool, err error) {
	kept, _, err := load[instanceRecord](ctx, s, kindInstance, id)
	switch {
	case absent(err):
		return rec, false, nil
	case err != nil:
		return rec, false, s.unavailable("instance", err)
	}
	return s.instanceOf(ctx, kept.instanceKey)
}

// instanceOf gives an instance as its pattern is registered now: with the pattern
// its instances go.
func (s *Server) instanceOf(ctx context.Context, key instanceKey) (rec resourceRecord, found bool, err error) {
	rec, found, err = s.registration(ctx, key.Pattern)
	if err != nil || !found {
		return rec, false, err
	}
	rec, found = rec.instance(key)
	return rec, found, nil
}

// findInstance is findResource for instances: they can be read, and nothing else.
func (s *Server) findInstance(ctx context.Context, as protected, id string) (resourceRecord, error) {
	unknown := &oauth.Error{Code: oauth.CodeNotFound, Status: http.StatusNotFound, Description: "no such resource"}
	if len(id) != instanceIDLength || strings.IndexByte(id, 0) >= 0 {
		return resourceRecord{}, unknown
	}
	rec, found, err := s.registeredInstance(ctx, id)
	if err == nil && (!found || !as.owns(rec)) {
		err = unknown
	}
	return rec, err
}
