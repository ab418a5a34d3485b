package umaapp

import (
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"

	"github.com/caddy-uma/caddy-uma/internal/event"
)

// rows are the rows of docs/metrics.md whose first cell begins like this.
func rows(t *testing.T, begins string) [][]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var all [][]string
	for line := range strings.SplitSeq(string(text), "\n") {
		if strings.HasPrefix(line, "| `"+begins) {
			cells := strings.Split(strings.Trim(strings.ReplaceAll(line, `\|`, "/"), "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			all = append(all, cells)
		}
	}
	if len(all) == 0 {
		t.Fatalf("docs/metrics.md has no row that begins with %s", begins)
	}
	return all
}

var quoted = regexp.MustCompile("`([^`]*)`")

// words are what stands between backquotes.
func words(cell string) []string {
	var all []string
	for _, m := range quoted.FindAllStringSubmatch(cell, -1) {
		all = append(all, m[1])
	}
	return all
}

// documented is a metric as docs/metrics.md has it: its type and the values of its labels.
type documented struct {
	Type   string
	Labels map[string][]string
}

// Each metric stands in docs/metrics.md with its type and all values of its labels, and
// nothing stands there that is not registered.
func TestMetricsAreDocumented(t *testing.T) {
	want := map[string]documented{}
	for _, cells := range rows(t, "caddy_uma_") {
		if len(cells) != 4 || cells[3] == "" {
			t.Errorf("a row of %d cells: %v", len(cells), cells)
			continue
		}
		d := documented{Type: cells[1], Labels: map[string][]string{}}
		for part := range strings.SplitSeq(cells[2], ";") {
			if w := words(part); len(w) > 0 {
				slices.Sort(w[1:])
				d.Labels[w[0]] = w[1:]
			}
		}
		want[words(cells[0])[0]] = d
	}
	a, registry, err := configured(t, `{"uma":{}}`)
	if err != nil {
		t.Fatal(err)
	}
	defer cleanUp(t, a)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]documented{}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "caddy_uma_") {
			got[f.GetName()] = documented{strings.ToLower(f.GetType().String()), labelsOf(f)}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("docs/metrics.md (-) and the registry (+)", diff)
	}
}

func labelsOf(f *dto.MetricFamily) map[string][]string {
	sets := map[string]map[string]bool{}
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			if sets[l.GetName()] == nil {
				sets[l.GetName()] = map[string]bool{}
			}
			if l.GetValue() != "other" { // which other tests may have counted
				sets[l.GetName()][l.GetValue()] = true
			}
		}
	}
	labels := map[string][]string{}
	for name, set := range sets {
		labels[name] = slices.Sorted(maps.Keys(set))
	}
	return labels
}

// every is one event of each type, with all of its fields.
func every() []event.Event {
	all := []event.Event{
		new(event.TicketIssued), new(event.Exchange), new(event.Decision), new(event.Replay), new(event.Revocation), new(event.Block),
		new(event.Continuity), new(event.RPTCheck), new(event.Discovery), new(event.Consent), new(event.Login),
	}
	for i, e := range all {
		v := reflect.ValueOf(e).Elem()
		fill(v)
		all[i], _ = reflect.TypeAssert[event.Event](v)
	}
	return append(all, event.Block{Issuer: "x", Kind: "x", Domain: "x", Person: person, Lifted: true})
}

func fill(v reflect.Value) {
	for _, f := range v.Fields() {
		switch f.Interface().(type) {
		case int:
			f.SetInt(1)
		case []string:
			f.Set(reflect.ValueOf([]string{"x"}))
		case time.Time:
			f.Set(reflect.ValueOf(time.Unix(60, 0)))
		case event.Person:
			fill(f)
		default:
			if f.Kind() == reflect.String {
				f.SetString("x")
			}
		}
	}
}

// fieldsOf are the names of what an event tells handlers and spans.
func fieldsOf(t *testing.T, e event.Event) []string {
	t.Helper()
	l, ok := describe(e)
	if !ok {
		t.Fatalf("%T has no description", e)
	}
	return slices.Sorted(maps.Keys(plain(l.fields)))
}

// Each event of Caddy stands there with all of its data.
func TestEventsAreDocumented(t *testing.T) {
	want, got := map[string][]string{}, map[string][]string{}
	for _, cells := range rows(t, "uma_") {
		want[words(cells[0])[0]] = slices.Sorted(slices.Values(words(cells[2])))
	}
	for _, e := range every() {
		if name := caddyEvent(e); name != "" {
			got[name] = fieldsOf(t, e)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("docs/metrics.md (-) and the code (+)", diff)
	}
}

// So does each event of a span, and each span. Administrators have none.
func TestSpansAreDocumented(t *testing.T) {
	want, got := map[string][]string{}, map[string][]string{}
	var spans []string
	for _, cells := range rows(t, "uma.") {
		name := words(cells[0])
		if len(cells) == 3 {
			spans = append(spans, name...)
			continue
		}
		fields := words(cells[1])
		if len(fields) == 1 && strings.HasPrefix(fields[0], "uma_") {
			fields = words(rows(t, fields[0]+"`")[0][2])
		}
		want[name[0]] = slices.Sorted(slices.Values(fields))
	}
	for _, e := range every() {
		if _, admins := e.(event.Block); !admins {
			got["uma."+e.Name()] = fieldsOf(t, e)
		}
	}
	if diff := cmp.Diff([]string{"uma.store.get", "uma.store.list", "uma.store.commit", "uma.fetch"}, spans); diff != "" {
		t.Error("the spans of docs/metrics.md (+)", diff)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("docs/metrics.md (-) and the code (+)", diff)
	}
}
