// Package postgres is the document store on PostgreSQL (13 or newer), for several
// machines that are one authorization server. It knows nothing of Caddy; the module
// uma.stores.postgres (caddyuma/postgres) opens it.
//
// # Schema
//
// Everything stands in one schema (default: uma), which the first start makes.
// Names are bytea: they may hold any byte but zero.
//
//	meta              one row
//	  id              text: random id of this store, 22 characters; tickets are bound to it
//	  created         timestamptz
//	doc               one row for each document
//	  key             bytea, primary key: SHA-256 of tenant 0 kind 0 id
//	  tenant, kind    bytea: role and issuer that own the document; what it is
//	  id              bytea
//	  idx             bytea: what List finds it by; empty = nothing
//	  rev             bigint: 1, one more with each change
//	  expires         timestamptz: absent from then on, swept or not; NULL = never
//	  body            bytea: JSON
//	goose_db_version  the layout's version, kept by goose
//
//	doc_list          (SHA-256 of tenant 0 kind, first 512 bytes of id)
//	doc_index         (SHA-256 of tenant 0 kind 0 idx, first 512 bytes of id), where idx is not empty
//	doc_expires       (expires), where there is one
//
// The function commit_ops does a whole commit in one statement and so in one round
// trip; a trigger gives the store a new id when doc is truncated. Read a document
// with
//
//	SELECT convert_from(tenant, 'UTF8'), convert_from(kind, 'UTF8'), convert_from(body, 'UTF8') FROM uma.doc;
//
// # Privileges
//
// The role that starts a new version the first time owns the schema, or may make
// it (CREATE on the database). Afterwards a role is enough that has
//
//	GRANT USAGE ON SCHEMA uma TO caddy;
//	GRANT SELECT ON uma.meta, uma.goose_db_version TO caddy;
//	GRANT SELECT, INSERT, UPDATE, DELETE ON uma.doc TO caddy;
//
// so that it can neither change the layout nor empty the store unnoticed. (To move
// the store, Fill and Renew, takes the owner.) Nobody
// else needs to read: bodies are what an authorization server knows of people.
//
// # Several nodes
//
// Whether a document has expired is decided by the database's clock alone. The
// first of several nodes that start at once makes or upgrades the schema, under an
// advisory lock, the others wait for it; a schema that a newer version made is
// refused. Commits run in READ COMMITTED: every row they rely on is locked until
// they end, and what must be new is held by the primary key. A commit names the
// store's id: on a schema that was made anew under a running server it fails once,
// and the tickets of the old one are void.
//
// Connections keep prepared statements, session settings and (at the start) an
// advisory lock, so a pooler between must pool sessions, not transactions. Whoever
// restores an older backup brings back what was spent since; he makes the store
// another one with
//
//	UPDATE uma.meta SET id = uma.new_store_id();
package postgres
