package integration_test

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// answer is a response that was read whole.
type answer struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

func (a answer) get(name string) string {
	s, _ := a.body[name].(string)
	return s
}

func (w *world) do(r *http.Request) answer {
	w.t.Helper()
	w.note(func() { w.seen.request(r) })
	res, err := w.client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		w.t.Fatal(err)
	}
	a := answer{status: res.StatusCode, header: res.Header, text: string(data)}
	_ = json.Unmarshal(data, &a.body)
	w.note(func() { w.seen.answer(a) })
	return a
}

// noting is held while a credential is noted: nodes share what was seen, and some
// tests send several requests at once.
var noting sync.Mutex

func (*world) note(what func()) {
	noting.Lock()
	defer noting.Unlock()
	what()
}

func (w *world) request(method, target, body string, header http.Header) answer {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	maps.Copy(r.Header, header)
	return w.do(r)
}

func (w *world) get(target string, header http.Header) answer {
	w.t.Helper()
	return w.request(http.MethodGet, target, "", header)
}

func (w *world) post(target string, form map[string]string, edits ...func(*http.Request)) answer {
	w.t.Helper()
	values := url.Values{}
	for name, value := range form {
		if value != "" {
			values.Set(name, value)
		}
	}
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, target, strings.NewReader(values.Encode()))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, edit := range edits {
		edit(r)
	}
	return w.do(r)
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }
