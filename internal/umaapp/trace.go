package umaapp

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-uma/caddy-uma/internal/event"
)

// Spans are those of Caddy's directive `tracing`: where it stands in a site, the
// context of the request holds one, and only then is anything done here. Nothing of
// it is sent to other hosts: who calls whom is nobody else's business.

const tracerName = "github.com/caddy-uma/caddy-uma"

// joined are the fields by which the spans of the three roles, the log and the
// decision belong together; they are attributes of the span, too.
var joined = []string{"decision_id", "ticket_challenge"} //nolint:gochecknoglobals // a table

// noteInSpan adds an event to the span of the request, with the fields of its line
// in the log.
func noteInSpan(ctx context.Context, e event.Event) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	l, ok := describe(e)
	if !ok {
		return
	}
	attributes := attributesOf(l.fields)
	span.AddEvent("uma."+l.name, trace.WithAttributes(attributes...))
	for _, a := range attributes {
		for _, name := range joined {
			if string(a.Key) == name {
				span.SetAttributes(a)
			}
		}
	}
}

func attributesOf(fields []zap.Field) []attribute.KeyValue {
	all := make([]attribute.KeyValue, 0, len(fields))
	for name, v := range plain(fields) {
		switch v := v.(type) {
		case string:
			all = append(all, attribute.String(name, v))
		case []string:
			all = append(all, attribute.StringSlice(name, v))
		case int64:
			all = append(all, attribute.Int64(name, v))
		case bool:
			all = append(all, attribute.Bool(name, v))
		case time.Time:
			all = append(all, attribute.String(name, v.Format(time.RFC3339)))
		}
	}
	return all
}

// plain gives the fields of a line as values of Go. They leave the log, which an
// administrator keeps together, for whoever collects spans and events.
func plain(fields []zap.Field) map[string]any {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(enc)
	}
	for name, v := range enc.Fields {
		switch v := v.(type) {
		case string:
			enc.Fields[name] = hideAddresses(v)
		case []any:
			enc.Fields[name] = stringsOf(v)
		}
	}
	return enc.Fields
}

func stringsOf(list []any) []string {
	all := make([]string, 0, len(list))
	for _, v := range list {
		if s, ok := v.(string); ok {
			all = append(all, hideAddresses(s))
		}
	}
	return all
}

// storeSpan begins a span for one operation of the store; nil without one above it.
// What the documents are called is not told, only their kind, which is a word of ours.
func storeSpan(ctx context.Context, op storeOp, kind string) (end func(failed bool)) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return nil
	}
	span := childSpan(ctx, "uma.store."+string(op), attribute.String("kind", kind))
	return func(failed bool) {
		if failed {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}

// fetchSpan begins a span for one request to another host (outbound.Config.Begin).
// The path and the query stay out: that of WebFinger is an address.
func fetchSpan(ctx context.Context, host string) (end func(status int, err error)) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return nil
	}
	span := childSpan(ctx, "uma.fetch", attribute.String("host", cut(host)))
	return func(status int, err error) {
		if status != 0 {
			span.SetAttributes(attribute.Int("status", status))
		}
		if err != nil {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}

// childSpan begins a span below that of the request.
func childSpan(ctx context.Context, name string, a attribute.KeyValue) trace.Span {
	tracer := trace.SpanFromContext(ctx).TracerProvider().Tracer(tracerName)
	_, span := tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(a))
	return span
}
