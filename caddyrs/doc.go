// Package caddyrs plugs the resource server into Caddy: the directive
// uma_protect and the module http.handlers.uma_protect stand in front of any
// backend and let nothing pass without a valid requesting party token.
//
// The decisions are made by internal/rs. This package finds the resource of a
// request by Caddy's matchers (resources.go, readings.go), carries requests to
// the authorization server (transport.go) and cleans what goes to the backend
// and what comes from it (headers.go, response.go, cors.go).
package caddyrs
