// Package statuslist is the Token Status List (draft-ietf-oauth-status-list): how a
// resource server learns that a token was revoked without asking about each one.
// Issuers encode a List into a token of its own; a Cache at the resource server
// reads that token again and again, and says of each reference whether it is
// revoked.
package statuslist

import (
	"encoding/json"
	"errors"
)

// Type is the header parameter typ of a status list token (§5.1), MediaType that of
// the answer that carries it (§8.1).
const (
	Type      = "statuslist+jwt"
	MediaType = "application/" + Type
)

// Reference is where the status of a token stands: the claim status.status_list of
// the token (§6.2).
type Reference struct {
	Index int64  `json:"idx"`
	URI   string `json:"uri"`
}

// UnmarshalJSON takes no reference by halves: one without idx would stand for
// somebody else's token.
func (r *Reference) UnmarshalJSON(text []byte) error {
	var in struct {
		Index *int64  `json:"idx"`
		URI   *string `json:"uri"`
	}
	if err := json.Unmarshal(text, &in); err != nil {
		return err
	}
	if in.Index == nil || in.URI == nil {
		return errors.New("status_list lacks idx or uri")
	}
	r.Index, r.URI = *in.Index, *in.URI
	return nil
}

// Status is the claim status of a token (§6.1).
type Status struct {
	List *Reference `json:"status_list,omitempty"`
}

// Claims are those of a status list token (§5.1). Sequence is an extension: it grows
// with each change of the list, so that an older list can be told from a newer one
// whatever the clocks of the nodes say that signed them. It begins at 1, and who
// counts takes nothing off a list.
type Claims struct {
	Issuer   string  `json:"iss"`
	Subject  string  `json:"sub"` // the URI of the list
	IssuedAt int64   `json:"iat"`
	Expires  int64   `json:"exp,omitempty"`
	TTL      int64   `json:"ttl,omitempty"` // seconds a copy may be used
	Sequence int64   `json:"seq,omitempty"`
	List     Encoded `json:"status_list"`
}
