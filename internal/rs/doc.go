// Package rs is the engine of a UMA resource server: it decides whether a
// request may pass to what stands behind it.
//
// One request goes through Check: method and resource become a permission
// (scope.go); a request with a sufficient RPT passes (rpt.go, verify.go); every
// other one costs a permission ticket, which the engine asks for at the
// authorization server on the request's behalf (permission.go), and is answered
// with a Refusal (refusal.go). What the engine needs for that it fetches at
// first need and keeps: metadata (metadata.go), a PAT, which also says what the
// authorization server knows about this resource server (pat.go), and the
// registered resources (register.go).
//
// The package knows nothing of Caddy. Its caller chooses the resource of a
// request and carries requests to the authorization server.
package rs
