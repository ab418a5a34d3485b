package logs

import (
	"encoding/json"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/logging"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
)

// FilterEncoder is a log encoder that takes credentials out of everything that
// another one writes: header fields, parameters in addresses, tokens in sentences,
// wherever they stand in a line. It is meant for access logs and the default log:
// Caddy itself hides Authorization and cookies, but not DPoP proofs, the tickets of
// our challenges, codes and hints in addresses (CONFORMANCE SEC-22).
type FilterEncoder struct {
	// WrappedRaw makes the lines. Default: json, or console on a terminal.
	WrappedRaw json.RawMessage `json:"wrap,omitempty" caddy:"namespace=caddy.logging.encoders inline_key=format"`

	cleaner
}

// CaddyModule implements caddy.Module.
func (*FilterEncoder) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.logging.encoders.uma_filter", New: func() caddy.Module { return new(FilterEncoder) }}
}

// Provision implements caddy.Provisioner.
func (f *FilterEncoder) Provision(ctx caddy.Context) error {
	if f.WrappedRaw == nil { // it alone knows a terminal when it sees one
		inner := new(logging.AppendEncoder)
		f.cleaner = cleaning(inner)
		return inner.Provision(ctx)
	}
	inner, err := wrappedEncoder(ctx, f, f.WrappedRaw)
	if err != nil {
		return fmt.Errorf("uma_filter: %w", err)
	}
	f.cleaner = cleaning(inner)
	return nil
}

// ConfigureDefaultFormat implements caddy.ConfiguresFormatterDefault: on a
// terminal people read the lines.
func (f *FilterEncoder) ConfigureDefaultFormat(to caddy.WriterOpener) error {
	if inner, ok := f.encoder.(caddy.ConfiguresFormatterDefault); ok {
		return inner.ConfigureDefaultFormat(to)
	}
	return nil
}

// UnmarshalCaddyfile reads
//
//	uma_filter [<encoder>] {
//		wrap <encoder> ...
//	}
func (f *FilterEncoder) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return parseEncoder(d, &f.WrappedRaw, map[string]func(*caddyfile.Dispenser) error{
		"wrap": wrapping("uma_filter", &f.WrappedRaw),
	})
}

// cleaner is the encoder, around another one.
type cleaner struct {
	encoder zapcore.Encoder
	objectCleaner
}

func cleaning(inner zapcore.Encoder) cleaner { return cleaner{inner, objectCleaner{inner}} }

// Clone implements zapcore.Encoder.
func (c *cleaner) Clone() zapcore.Encoder {
	clone := cleaning(c.encoder.Clone())
	return &clone
}

// EncodeEntry implements zapcore.Encoder.
func (c *cleaner) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	inner := c.encoder.Clone() // fields added to the encoder itself would stay
	for _, field := range fields {
		field.AddTo(objectCleaner{inner})
	}
	entry.Message = clean(entry.Message)
	return inner.EncodeEntry(entry, nil)
}

// Interface guards.
var (
	_ zapcore.Encoder                  = (*FilterEncoder)(nil)
	_ caddy.Provisioner                = (*FilterEncoder)(nil)
	_ caddy.ConfiguresFormatterDefault = (*FilterEncoder)(nil)
	_ caddyfile.Unmarshaler            = (*FilterEncoder)(nil)
)
