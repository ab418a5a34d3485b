package logs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/logging"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-uma/caddy-uma/internal/chain"
	"github.com/caddy-uma/caddy-uma/internal/umaapp/syntax"
)

// ChainEncoder is a log encoder that links the lines of another one, so that
// `caddy uma audit verify` notices lines that were changed, left out or put in. It
// is meant for the log `uma.audit`; docs/audit.md says what it proves.
type ChainEncoder struct {
	// WrappedRaw makes the lines, which must be JSON objects. Default: json.
	WrappedRaw json.RawMessage `json:"wrap,omitempty" caddy:"namespace=caddy.logging.encoders inline_key=format"`
	// Key is a secret of at least 32 characters, {env.NAME} or {file./path/to/secret}.
	// Without it, who can write the file can write the whole chain anew. Default: none.
	Key string `json:"key,omitempty"`

	zapcore.Encoder `json:"-"`

	key   []byte
	chain *chain.Chain
	pool  buffer.Pool
	kept  string // the key of the chain among the chains
}

// chains outlive configurations: a reload goes on with the chain of the writer.
var chains = caddy.NewUsagePool() //nolint:gochecknoglobals // UsagePools live as long as the process

type keptChain struct{ *chain.Chain }

// Destruct implements caddy.Destructor.
func (keptChain) Destruct() error { return nil }

// CaddyModule implements caddy.Module.
func (*ChainEncoder) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.logging.encoders.uma_chain", New: func() caddy.Module { return new(ChainEncoder) }}
}

// Provision implements caddy.Provisioner. It reads no log file: `caddy validate`
// has nothing to do with one.
func (e *ChainEncoder) Provision(ctx caddy.Context) error {
	var err error
	if e.Encoder, err = wrappedEncoder(ctx, e, e.WrappedRaw); err != nil {
		return fmt.Errorf("uma_chain: %w", err)
	}
	if e.Key != "" {
		secret, err := syntax.Secret("uma_chain", "key", e.Key, "")
		if err != nil {
			return err
		}
		e.key = []byte(secret)
	}
	e.chain, e.pool = chain.New(nil), buffer.NewPool()
	return e.probe()
}

// probe refuses at load an encoder whose lines cannot be linked.
func (e *ChainEncoder) probe() error {
	buf, err := e.Encoder.EncodeEntry(zapcore.Entry{LoggerName: "uma.audit", Message: "probe", Time: time.Unix(0, 0)}, nil)
	if err != nil {
		return fmt.Errorf("uma_chain: %w", err)
	}
	defer buf.Free()
	line, ok := cutEnd(buf.Bytes())
	if !ok || !json.Valid(line) || line[0] != '{' || line[len(line)-1] != '}' {
		return errors.New("uma_chain: the lines of the wrapped encoder are no JSON objects; write: format uma_chain json")
	}
	return nil
}

// cutEnd takes the end off a line.
func cutEnd(line []byte) ([]byte, bool) {
	n := len(line) - 1
	if n < 2 || line[n] != '\n' {
		return nil, false
	}
	return line[:n], true
}

// ConfigureDefaultFormat implements caddy.ConfiguresFormatterDefault. It is how an
// encoder learns where its lines go; the lines themselves stay JSON on a terminal.
// The chain goes on where the writer is that of the configuration before, and a new
// one begins behind the last line of a file that is there already.
func (e *ChainEncoder) ConfigureDefaultFormat(to caddy.WriterOpener) error {
	begin := func() chain.Head { return chain.Head{} }
	if file, ok := to.(*logging.FileWriter); ok {
		begin = func() chain.Head { return lastLine(file.Filename) }
	}
	key := to.WriterKey()
	kept, _, err := chains.LoadOrNew(key, func() (caddy.Destructor, error) { return keptChain{chain.New(begin)}, nil })
	if err != nil {
		return err
	}
	e.chain, e.kept = kept.(keptChain).Chain, key
	return nil
}

// maxTail is how much of the end of a file is looked at for its last line.
const maxTail = 256 << 10

// lastLine is the last line with a link in a file, or nothing.
func lastLine(name string) chain.Head {
	f, err := os.Open(name) //nolint:gosec // the administrator named the file
	if err != nil {
		return chain.Head{}
	}
	defer func() { _ = f.Close() }()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return chain.Head{}
	}
	text := make([]byte, min(size, maxTail))
	if _, err := f.ReadAt(text, size-int64(len(text))); err != nil {
		return chain.Head{}
	}
	head, _ := chain.Last(text)
	return head
}

// Cleanup implements caddy.CleanerUpper.
func (e *ChainEncoder) Cleanup() error {
	if e.kept == "" {
		return nil
	}
	_, err := chains.Delete(e.kept)
	return err
}

// Clone implements zapcore.Encoder: the clone has fields of its own and shares the
// chain.
func (e *ChainEncoder) Clone() zapcore.Encoder {
	clone := *e
	clone.Encoder = e.Encoder.Clone()
	return &clone
}

// EncodeEntry implements zapcore.Encoder. Whoever writes the line may be overtaken
// by another one, so lines can stand a little out of order.
func (e *ChainEncoder) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	buf, err := e.Encoder.EncodeEntry(entry, fields)
	if err != nil {
		return nil, err
	}
	defer buf.Free()
	line, ok := cutEnd(buf.Bytes())
	if !ok {
		return nil, errors.New("uma_chain: the wrapped encoder made no line")
	}
	tail, err := e.chain.Link(line, e.key)
	if err != nil {
		return nil, err
	}
	out := e.pool.Get()
	_, _ = out.Write(line[:len(line)-1])
	_, _ = out.Write(tail)
	out.AppendByte('\n')
	return out, nil
}

// UnmarshalCaddyfile reads
//
//	uma_chain [<encoder>] {
//		key  <secret>
//		wrap <encoder> ...
//	}
func (e *ChainEncoder) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return parseEncoder(d, &e.WrappedRaw, map[string]func(*caddyfile.Dispenser) error{
		"key":  syntax.Text("uma_chain", &e.Key),
		"wrap": wrapping("uma_chain", &e.WrappedRaw),
	})
}

// Interface guards.
var (
	_ zapcore.Encoder                  = (*ChainEncoder)(nil)
	_ caddy.Provisioner                = (*ChainEncoder)(nil)
	_ caddy.CleanerUpper               = (*ChainEncoder)(nil)
	_ caddy.ConfiguresFormatterDefault = (*ChainEncoder)(nil)
	_ caddyfile.Unmarshaler            = (*ChainEncoder)(nil)
)
