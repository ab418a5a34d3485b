package integration_test

import (
	"html"
	"io"
	"net/http/cookiejar"
	"net/url"
	"regexp"
)

var (
	inputTag   = regexp.MustCompile(`<input[^>]*>`)
	nameOf     = regexp.MustCompile(`name="?([a-z_]+)"?`)
	valueOf    = regexp.MustCompile(`value="([^"]*)"`)
	connected  = regexp.MustCompile(`<h1>[^<]*connected`)
	decisionOf = regexp.MustCompile(`name="decision"`)
)

// approveDevice walks through the pages of the device flow as a person does.
func (w *world) approveDevice(page, decision string) {
	w.t.Helper()
	browser := *w.client
	browser.Jar, _ = cookiejar.New(nil)
	fields := url.Values(nil)
	for range 8 {
		request := w.pageRequest(page, fields)
		w.seen.request(request)
		res, err := browser.Do(request)
		if err != nil {
			w.t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		w.seen.answer(answer{header: res.Header})
		at, _ := url.Parse(page)
		if to := res.Header.Get("Location"); to != "" {
			next, _ := at.Parse(to)
			page, fields = next.String(), nil
			continue
		}
		action := formAction.FindSubmatch(body)
		if action == nil {
			if decision == "allow" && !connected.Match(body) {
				w.t.Fatalf("%s: %d %s", page, res.StatusCode, body)
			}
			return
		}
		next, _ := at.Parse(html.UnescapeString(string(action[1])))
		page, fields = next.String(), filled(body, decision)
	}
	w.t.Fatal("the pages of the device flow do not end")
}

// filled is the page's form as bob fills it in.
func filled(body []byte, decision string) url.Values {
	fields := url.Values{}
	for _, tag := range inputTag.FindAll(body, -1) {
		name, value := nameOf.FindSubmatch(tag), valueOf.FindSubmatch(tag)
		if name != nil && value != nil {
			fields.Set(string(name[1]), html.UnescapeString(string(value[1])))
		}
	}
	if fields.Has("username") {
		fields.Set("username", "bob@bob.localhost")
		fields.Set("password", "bob-demo")
	}
	if decisionOf.Match(body) {
		fields.Set("decision", decision)
	}
	return fields
}
