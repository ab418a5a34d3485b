package uma

import (
	"maps"
	"slices"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// wanted makes the permission of a ticket, still without scopes, of an entry of a
// permission request, and gives the resource that it is for: the registration, or
// that instance of a pattern which the extension members captures and owner name.
// Nothing is ignored here: a resource server that believes to have asked for an
// instance must not get a ticket for more.
func (as protected) wanted(p permissionRequest, rec resourceRecord) (ticketPermission, resourceRecord, error) {
	want := ticketPermission{ResourceID: *p.ResourceID}
	if err := as.checkOwner(p.Owner, rec); err != nil {
		return want, rec, err
	}
	if !rec.isPattern() {
		if p.Captures != nil {
			return want, rec, oauth.Errorf(oauth.CodeInvalidRequest, "a resource that declares no captures cannot have any")
		}
		return want, rec, nil
	}
	key, err := p.instance()
	if err != nil {
		return want, rec, err
	}
	instance, ok := rec.instance(key)
	if !ok {
		return want, rec, oauth.Errorf(oauth.CodeInvalidRequest, "captures must have exactly the names that the resource declares: %d of them", len(rec.Captures))
	}
	want.Owner, want.Captures = key.Owner, key.Captures
	return want, instance, nil
}

// checkOwner (CONFORMANCE A41): a resource server with owner * names owners, of the
// instances of its patterns; any other one may say whose its resources are.
func (as protected) checkOwner(named *string, rec resourceRecord) error {
	switch {
	case named == nil, *named == rec.Owner:
		return nil
	case !rec.isPattern(), as.owner != "*":
		return oauth.Errorf(oauth.CodeInvalidRequest, "this resource server must not name another owner")
	case *named == "*" || !oauth.IsCaptureValue(*named):
		return oauth.Errorf(oauth.CodeInvalidRequest, "owner must be a text of 1 to %d bytes without control characters, other than *", oauth.MaxCapture)
	}
	return nil
}

// instance reads what tells the instance.
func (p permissionRequest) instance() (instanceKey, error) {
	key := instanceKey{Pattern: *p.ResourceID, Captures: []oauth.Capture{}}
	if p.Captures == nil {
		return key, oauth.Errorf(oauth.CodeInvalidRequest, "captures are missing: the resource is a pattern")
	}
	if p.Owner != nil {
		key.Owner = *p.Owner
	}
	for _, name := range slices.Sorted(maps.Keys(p.Captures)) {
		if !oauth.IsCaptureValue(p.Captures[name]) {
			return key, oauth.Errorf(oauth.CodeInvalidRequest, "a capture must be a text of 1 to %d bytes without control characters", oauth.MaxCapture)
		}
		key.Captures = append(key.Captures, oauth.Capture{Name: name, Value: p.Captures[name]})
	}
	return key, nil
}

// isInstance tells whether a permission of a ticket is for an instance.
func (p ticketPermission) isInstance() bool { return p.Captures != nil }

// key is what the id of the instance is made of.
func (p ticketPermission) key() instanceKey {
	return instanceKey{Pattern: p.ResourceID, Owner: p.Owner, Captures: p.Captures}
}

// id is what the resource is called in RPTs.
func (p ticketPermission) id() string {
	if p.isInstance() {
		return p.key().id()
	}
	return p.ResourceID
}
