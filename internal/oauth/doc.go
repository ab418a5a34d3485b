// Package oauth is the vocabulary that all roles share: parameter names and
// their values, the error type and the only code that writes one, strict form
// and JSON parsing, credentials as they stand in a request, the ticket
// challenge, WWW-Authenticate, metadata documents, issuers, resource
// identifiers and e-mail addresses.
//
// It decides nothing and keeps nothing. Engines (internal/uma, internal/sts,
// internal/rs, internal/op) and the client (caddyuma/rqp) import it; it imports
// no package of the project.
package oauth
