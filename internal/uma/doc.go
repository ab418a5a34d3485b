// Package uma is the engine of the UMA 2.0 authorization server. It knows nothing
// of Caddy; caddyuma puts it there.
//
// A permission ticket is a sealed box and is stored nowhere. When it is
// presented, the hash of its id is recorded as spent before anything else is
// looked at, in a commit of its own; the outcome (grant, successor ticket,
// denial) is recorded in a second one before the answer leaves:
//
//	issued ── presented ──> spent ──> granted    200, RPT
//	                          ├─────> need_info  403, successor ticket
//	                          └─────> denied     403 request_denied
//
// What cannot be recorded is not issued (503). Where things are:
//
//	endpoints    token, permission, resource, introspect, revoke, register, metadata;
//	             admin is for the administrator
//	grants       grant_ticket (the UMA grant), grant_refresh, grant_client (PATs),
//	             grant_access (a client's own tokens)
//	the UMA      grant_ticket ─> ticket (open) ─> spent ─> lookup (resources, scopes)
//	grant        ─> process (whose claims: claimtoken, kept ones, pct) ─> assess, rule
//	             (policies) ─> continuity ─> rpt; or needinfo; replay for a spent ticket
//	what comes   grant (the record that everything hangs on), rpt, reference (opaque
//	of it        RPTs), refresh_token, pct, upgrade, reassess (policies changed),
//	             revoke_grant, decision (what explain reads)
//	clients      client (look-up), client_auth, register, client_documents, dpop, nonce
//	settings     config, check, policy
package uma
