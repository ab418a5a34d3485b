// Package rqp is the client of a requesting party: it does the nine steps of
// correlated authorization on behalf of a user who is logged in at a provider of
// his own, at resource servers that know nothing of that provider.
//
// A resource server answers 401 with a permission ticket (steps 1 and 2). The
// client hashes the ticket (3), exchanges the user's access token at his STS for
// a claims token that is bound to the hash (4 and 5), gives ticket and claims
// token to the authorization server for an RPT (6 and 7) and repeats the request
// with it (8 and 9).
//
// The client is cautious about everything that a resource server says
// (CONFORMANCE A7, CA-44 to CA-47): the name of the resource and the
// authorization server come from the metadata document of the origin that was
// called (RFC 9728), or from the configuration, never from the challenge alone.
// Hosts that nobody named are called over https at port 443 of public addresses
// only. The ticket never goes to the STS, the RPT only to the origin and path it
// was made for, and no token request is sent twice.
//
// Client.Do does one request; Transport does the same below an http.Client.
package rqp
