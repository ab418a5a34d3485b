-- The layout is described in the package's documentation. The search_path is the
-- schema of the store.

-- +goose Up

-- +goose StatementBegin
CREATE FUNCTION new_store_id() RETURNS text LANGUAGE sql VOLATILE AS $$
	-- 128 bits in base64url, without padding
	SELECT translate(encode(substr(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 1, 16), 'base64'), '+/=', '-_')
$$;
-- +goose StatementEnd

CREATE TABLE meta (
	one     boolean PRIMARY KEY DEFAULT true CHECK (one),
	id      text NOT NULL DEFAULT new_store_id() CHECK (id ~ '^[A-Za-z0-9_-]{22}$'),
	created timestamptz NOT NULL DEFAULT now()
);
INSERT INTO meta DEFAULT VALUES;

CREATE TABLE doc (
	key     bytea PRIMARY KEY CHECK (octet_length(key) = 32),
	tenant  bytea NOT NULL,
	kind    bytea NOT NULL,
	id      bytea NOT NULL,
	idx     bytea NOT NULL,
	rev     bigint NOT NULL CHECK (rev > 0),
	expires timestamptz,
	body    bytea NOT NULL
) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05);

-- An entry of an index is at most 2704 bytes, four names may have 4096 each: equal
-- names are found by hash, the order goes by the beginning of the id.
CREATE INDEX doc_list ON doc (sha256(tenant || '\x00'::bytea || kind), substr(id, 1, 512));
CREATE INDEX doc_index ON doc (sha256(tenant || '\x00'::bytea || kind || '\x00'::bytea || idx), substr(id, 1, 512)) WHERE idx <> '';
CREATE INDEX doc_expires ON doc (expires) WHERE expires IS NOT NULL;

-- An emptied store has forgotten which tickets were spent: it becomes another one.
-- +goose StatementBegin
CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
	UPDATE meta SET id = new_store_id(), created = now();
	RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER emptied AFTER TRUNCATE ON doc FOR EACH STATEMENT EXECUTE FUNCTION forget();

-- commit_ops does all ops or none and says how it went: the position of the first
-- op that what is stored stands against; -1, done; -2, this is not the store p_store;
-- -3, somebody else was faster, nothing was written, try again.
--
-- The ops come in the order of their keys, so that two calls never wait for each
-- other: first every document that is there is checked and locked in this order,
-- then everything is written in this order. What is not there cannot be locked. A
-- document that appears meanwhile is found by the unique key; ON CONFLICT DO NOTHING
-- then waits for nobody who could be waiting for us.
-- +goose StatementBegin
CREATE FUNCTION commit_ops(
	p_store text, p_now timestamptz, p_at integer[], p_action integer[], p_key bytea[],
	p_tenant bytea[], p_kind bytea[], p_id bytea[], p_idx bytea[],
	p_rev bigint[], p_expires timestamptz[], p_body bytea[]
) RETURNS integer LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
	c_create CONSTANT integer := 1;
	c_delete CONSTANT integer := 3;
	v_failed integer;
	v_live   boolean;
	v_over   boolean[];
	v_wrote  boolean := false;
BEGIN
	IF NOT EXISTS (SELECT FROM meta WHERE id = p_store) THEN
		RETURN -2;
	END IF;
	FOR i IN 1 .. cardinality(p_key) LOOP
		IF p_action[i] = c_create THEN
			-- A live document is no reason to write anything, not even a lock.
			SELECT expires IS NULL OR expires > coalesce(p_now, clock_timestamp()) INTO v_live FROM doc WHERE key = p_key[i];
			IF v_live THEN
				v_failed := least(v_failed, p_at[i]);
			END IF;
			IF NOT v_live THEN
				PERFORM FROM doc WHERE key = p_key[i] AND expires <= coalesce(p_now, clock_timestamp()) FOR UPDATE;
				v_over[i] := FOUND;
			END IF;
		ELSE
			PERFORM FROM doc WHERE key = p_key[i] AND rev = p_rev[i]
				AND (expires IS NULL OR expires > coalesce(p_now, clock_timestamp())) FOR UPDATE;
			IF NOT FOUND THEN
				v_failed := least(v_failed, p_at[i]);
			END IF;
		END IF;
	END LOOP;
	IF v_failed IS NOT NULL THEN
		RETURN v_failed;
	END IF;
	FOR i IN 1 .. cardinality(p_key) LOOP
		IF p_action[i] = c_delete THEN
			DELETE FROM doc WHERE key = p_key[i];
		ELSIF p_action[i] = c_create AND v_over[i] IS NOT TRUE THEN
			INSERT INTO doc (key, tenant, kind, id, idx, rev, expires, body)
				VALUES (p_key[i], p_tenant[i], p_kind[i], p_id[i], p_idx[i], 1, p_expires[i], p_body[i])
				ON CONFLICT (key) DO NOTHING;
			IF NOT FOUND AND v_wrote THEN
				RAISE EXCEPTION 'another commit was faster' USING ERRCODE = 'serialization_failure';
			ELSIF NOT FOUND THEN
				RETURN -3;
			END IF;
		ELSE
			UPDATE doc SET idx = p_idx[i], expires = p_expires[i], body = p_body[i],
				rev = CASE WHEN p_action[i] = c_create THEN 1 ELSE rev + 1 END
				WHERE key = p_key[i];
		END IF;
		v_wrote := true;
	END LOOP;
	RETURN -1;
END
$$;
-- +goose StatementEnd
