package storetest

import (
	"fmt"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

const (
	second = time.Second
	hour   = time.Hour
)

// testListAll: in the order of the bytes of the ids, page by page.
func testListAll(b *bench) {
	ids := []string{"B", "a", "a b", "a-", "ab", "b", "ä", "\U0001F600"}
	for i := range ids {
		d := doc(ids[(i*3)%len(ids)])
		b.must(store.Create(d), store.Create(doc(d.ID, of(tenant, kind+"2"), index("x"))))
	}
	b.lists(tenant, kind, "", "", 99, ids...)
	b.lists(tenant, kind, "", "", 3, ids[:3]...)
	b.lists(tenant, kind, "", ids[2], 3, ids[3:6]...)
	b.lists(tenant, kind, "", ids[5], 3, ids[6:]...)
	b.lists(tenant, kind, "", ids[len(ids)-1], 3)
	b.lists(tenant, kind, "", "a!", 2, "a-", "ab")
	b.lists(tenant, kind, "", "", 0)
	b.lists(tenant, kind, "", "", -1)
	b.lists(tenant, "spen", "", "", 9)
	b.must(store.Delete(key("a b"), 1))
	b.lists(tenant, kind, "", "a", 2, "a-", "ab")
}

// testListIndex: the same below one index, which may change.
func testListIndex(b *bench) {
	for i, id := range []string{"3", "1", "4", "2", "5"} {
		b.must(store.Create(doc(id, index([]string{"odd", "even"}[(id[0]-'0'+1)%2]))),
			store.Create(doc(fmt.Sprintf("x%d", i), index("oddly"))))
	}
	b.must(store.Create(doc("none")))
	b.lists(tenant, kind, "odd", "", 9, "1", "3", "5")
	b.lists(tenant, kind, "odd", "", 2, "1", "3")
	b.lists(tenant, kind, "odd", "3", 2, "5")
	b.lists(tenant, kind, "odd", "2", 2, "3", "5")
	b.lists(tenant, kind, "even", "", 9, "2", "4")
	b.lists(tenant, kind, "eve", "", 9)
	b.lists(tenant, kind, "Odd", "", 9)
	b.must(store.Swap(doc("3", rev(1), index("even"))), store.Swap(doc("5", rev(1))), store.Swap(doc("none", rev(1), index("odd"))))
	b.lists(tenant, kind, "odd", "", 9, "1", "none")
	b.lists(tenant, kind, "even", "", 9, "2", "3", "4")
	b.lists(tenant, kind, "", "4", 3, "5", "none", "x0")
	b.must(store.Delete(key("1"), 1))
	b.lists(tenant, kind, "odd", "", 9, "none")
}

// testNames: names are bytes, not text, and long ones count to their last byte,
// also for the order.
func testNames(b *bench) {
	for _, id := range []string{"\x01", "\xff\xfe", "\xc3", "%", "\\x41", "'"} {
		b.must(store.Create(doc(id, of("t\xff", "k\xfe"), index("\xfd\\"))))
	}
	b.lists("t\xff", "k\xfe", "\xfd\\", "", 9, "\x01", "%", "'", "\\x41", "\xc3", "\xff\xfe")
	b.lists("t\xff", "k\xfe", "", "%", 2, "'", "\\x41")
	b.has(doc("\xff\xfe", of("t\xff", "k\xfe"), index("\xfd\\"), rev(1)))
	// Nothing a store could make shorter.
	noise := make([]byte, 0, store.MaxName)
	for x := uint32(1); len(noise) < store.MaxName-2; x = x*1664525 + 1013904223 {
		noise = append(noise, byte(x>>24)|1)
	}
	long := string(noise)
	ids := []string{long, long + "a", long + "ab", long + "b"}
	for _, i := range []int{2, 0, 3, 1} {
		b.must(store.Create(doc(ids[i], of(long+"t", long+"k"), index(long))))
	}
	b.must(store.Create(doc(long[:512], of(long+"t", long+"k"), index(long+"x"))))
	b.refused(0, store.ErrExists, store.Create(doc(long+"a", of(long+"t", long+"k"))))
	b.lists(long+"t", long+"k", "", "", 9, append([]string{long[:512]}, ids...)...)
	b.lists(long+"t", long+"k", long, "", 9, ids...)
	b.lists(long+"t", long+"k", long, long, 2, ids[1:3]...)
	b.lists(long+"t", long+"k", long, long+"aa", 9, ids[2:]...)
	b.lists(long+"t", long+"k", long+"x", "", 9, long[:512])
	b.lists(long+"t", long, long, "", 9)
	b.lacks(store.Key{Tenant: long, Kind: long + "k", ID: long})
}

// testTenants: SEC-28. Two tenants with the same names never see each other,
// nor do two kinds, however the names are cut.
func testTenants(b *bench) {
	mine, theirs := doc("id", index("x")), doc("id", index("x"), of(other, kind), body(`{"v":1,"theirs":true}`))
	b.must(store.Create(mine))
	b.lacks(theirs.Key)
	b.lists(other, kind, "", "", 9)
	b.lists(other, kind, "x", "", 9)
	b.refused(0, store.ErrConflict, store.Swap(doc("id", of(other, kind), rev(1))))
	b.refused(0, store.ErrConflict, store.Delete(theirs.Key, 1))
	b.must(store.Create(theirs))
	mine.Rev, theirs.Rev = 1, 1
	b.has(mine)
	b.has(theirs)
	b.must(store.Create(doc("second", index("x"), of(other, kind))), store.Create(doc("third", index("x"), of(tenant, kind+"x"))))
	b.lists(tenant, kind, "", "", 9, "id")
	b.lists(tenant, kind, "x", "", 9, "id")
	b.lists(other, kind, "x", "", 9, "id", "second")
	b.must(store.Delete(mine.Key, 1))
	b.has(theirs)
	for _, pair := range [][4]string{{"a", "b:c", "a:b", "c"}, {"a", "b/c", "a/b", "c"}, {"a", "b\x01c", "a\x01b", "c"}, {"a", "bc", "ab", "c"}, {"A", "b", "a", "b"}} {
		b.must(store.Create(doc("id", of(pair[0], pair[1]), index("x"))))
		b.lacks(store.Key{Tenant: pair[2], Kind: pair[3], ID: "id"})
		b.lists(pair[2], pair[3], "", "", 9)
		b.lists(pair[2], pair[3], "x", "", 9)
	}
}
