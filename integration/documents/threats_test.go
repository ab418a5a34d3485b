package documents_test

import (
	"regexp"
	"strings"
	"testing"
)

// row finds ids of the conformance list.
var row = regexp.MustCompile(`\b(?:UG|UF|CA|TX|AT|OD|OA|DP|SEC)-[0-9]{2}\b`)

// TestThreatModel: each row that the threat model leans on is there, and a test
// shows it.
func TestThreatModel(t *testing.T) {
	states := map[string]string{}
	for line := range strings.Lines(read(t, "integration/requirements.txt")) {
		if id, state, found := strings.Cut(strings.TrimSpace(line), "\t"); found && !strings.HasPrefix(line, "#") {
			states[id] = state
		}
	}
	text := read(t, "docs/threat-model.md")
	seen := map[string]bool{}
	for _, id := range row.FindAllString(text, -1) {
		if states[id] != "test" && !seen[id] {
			t.Errorf("%s: its state is %q", id, states[id])
		}
		seen[id] = true
	}
	if len(seen) < 60 {
		t.Errorf("only %d rows are named", len(seen))
	}
	for id, state := range states { // every row about security that is done has its place
		if strings.HasPrefix(id, "SEC-") && state == "test" && !seen[id] && !strings.Contains(elsewhere, id) {
			t.Errorf("%s stops something, and the threat model does not say what", id)
		}
	}
	for line := range strings.Lines(text) { // a table of attacks names rows in each line
		if cells := strings.Split(strings.TrimSpace(line), "|"); len(cells) == 5 && strings.Contains(text[:strings.Index(text, line)], "| rows |") &&
			!strings.HasPrefix(cells[1], "---") && !strings.Contains(cells[3], "rows") && !row.MatchString(cells[3]) {
			t.Errorf("no row stops: %s", line)
		}
	}
}

// elsewhere are rows about security that are no answer to one kind of attacker.
const elsewhere = "SEC-10 SEC-23"
