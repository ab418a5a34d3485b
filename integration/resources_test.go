package integration_test

import (
	"net/http"
	"testing"
)

// UF-20: what a whole Caddy declares is compared with what its authorization server
// has, over changes of the configuration; what is not declared any more goes when
// the configuration says so.
func TestUF_20_ResourcesCommand(t *testing.T) {
	w := example(t)
	uma := w.administer()
	w.await()
	want := func(code int, text string, args ...string) {
		t.Helper()
		expect(t, uma, code, text, append([]string{"resources"}, args...)...)
	}
	change := func(was, is string) {
		t.Helper()
		w.edit(was, is)
		uma = w.administer()
		w.await()
	}
	want(0, "Nothing is registered", "list")
	want(1, "+ RS API (scopes: get post)\n= 0 in step\n", "diff")
	want(0, "Nothing is registered", "list") // to compare changes nothing
	w.challenged(http.MethodGet, "/")
	want(0, "= 1 in step\n", "diff")
	want(0, "  api              api    RS API  get post\n", "list", "--resource-server", "api")

	const first = `resource "RS API" {`
	change(first, "resource more /more/* {\n\t\t\ttype urn:t\n\t\t}\n\t\t"+first+"\n\t\t\tscope put")
	want(1, "+ more (scopes: get)\n~ RS API (scopes: get post → put get post)\n= 0 in step\n", "diff", "--client-id", "api", "--issuer", w.url("as", ""))
	want(1, "no uma_protect has this issuer", "diff", "--client-id", "other")
	w.challenged(http.MethodGet, "/more/x")
	want(0, "= 2 in step\n", "diff")
	want(0, "  api              api    more    get\n", "list", "--issuer", w.url("as", ""))

	change("resource more /more/*", "resource less /less/*")
	w.challenged(http.MethodGet, "/")
	want(1, "- more (not declared)\n= 2 in step\n", "diff")
	change("resource less /less/*", "delete_undeclared\n\t\tresource less /less/*")
	w.challenged(http.MethodGet, "/")
	want(0, "= 2 in step\n", "diff")
	w.reload()
	w.await()
	w.challenged(http.MethodGet, "/")
	want(0, "= 2 in step\n", "diff")
}
