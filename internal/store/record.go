package store

import (
	"encoding/binary"
	"errors"
	"time"
)

// recordV1 is the first byte of every stored record.
const recordV1 = 1

// recordHead is version, revision and expiry.
const recordHead = 1 + 8 + 8

// record is what stands in the bucket of documents:
// version ‖ rev ‖ expiry in ms ‖ length of index ‖ index ‖ body.
type record struct {
	rev, expires int64
	index        string
	body         []byte
}

// encode gives the stored bytes.
func (r record) encode() []byte {
	b := make([]byte, 0, recordHead+binary.MaxVarintLen64+len(r.index)+len(r.body))
	b = append(b, recordV1)
	b = binary.BigEndian.AppendUint64(b, uint64(r.rev))
	b = binary.BigEndian.AppendUint64(b, uint64(r.expires))
	b = binary.AppendUvarint(b, uint64(len(r.index)))
	b = append(b, r.index...)
	return append(b, r.body...)
}

var errRecord = errors.New("store: a record is damaged")

// decode reads stored bytes. The body is not copied: it is valid only inside
// the transaction.
func decode(b []byte) (record, error) {
	if len(b) < recordHead || b[0] != recordV1 {
		return record{}, errRecord
	}
	r := record{
		rev:     int64(binary.BigEndian.Uint64(b[1:])),
		expires: int64(binary.BigEndian.Uint64(b[9:])),
	}
	n, used := binary.Uvarint(b[recordHead:])
	rest := b[recordHead+max(used, 0):]
	if used <= 0 || n > uint64(len(rest)) || r.rev < 1 || r.expires < 0 {
		return record{}, errRecord
	}
	r.index, r.body = string(rest[:n]), rest[n:]
	return r, nil
}

// live tells whether the document exists at now. An expiry is a whole number
// of milliseconds, so cutting now down to one loses nothing.
func (r record) live(now int64) bool { return r.expires == 0 || now < r.expires }

// doc makes the document, with a body of its own.
func (r record) doc(key Key) Doc {
	d := Doc{Key: key, Index: r.index, Rev: r.rev, Body: append([]byte{}, r.body...)}
	if r.expires != 0 {
		d.Expires = time.UnixMilli(r.expires).UTC()
	}
	return d
}

// Keys of the buckets. Zero bytes part the names, which never hold one.

// docKey is where a document stands.
func docKey(k Key) []byte { return join(k.Tenant, k.Kind, k.ID) }

// indexKey is where a document is found by its index.
func indexKey(k Key, index string) []byte { return join(k.Tenant, k.Kind, index, k.ID) }

// expiryKey is where the sweep finds a document, in the order of expiry.
func expiryKey(ms int64, doc []byte) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(ms)), doc...)
}

// join puts zero bytes between the names.
func join(names ...string) []byte {
	size := len(names)
	for _, n := range names {
		size += len(n)
	}
	b := make([]byte, 0, size)
	for i, n := range names {
		if i > 0 {
			b = append(b, 0)
		}
		b = append(b, n...)
	}
	return b
}
