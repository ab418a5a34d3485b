package main

import (
	"fmt"
	"hash/fnv"
	"math"
	"net/netip"
	"sort"
	"strconv"
	"strings"
	"time"
)

// What a domain does when it is asked for the provider of an address.
type kind int

const (
	own      kind = iota // WebFinger names an issuer on the domain itself
	hosted               // WebFinger names an issuer of somebody who serves many
	document             // no WebFinger, but a configuration
	nothing              // 404 to everything
	gone                 // the name does not exist
	silent               // connections are not answered
	slow                 // everything takes seconds
	evil                 // the attacker's: answers whatever fills our memory
	evilSlow             // the attacker's: takes a connection and says nothing
)

const (
	large   = 1000 // domains of the first ranks are never broken
	hosters = 300
	cdns    = 64 // networks of those who serve a third of all domains
	others  = 20_000
)

// world is all that does not change while a simulation runs.
type world struct {
	seed   uint64
	start  time.Time
	cdf    []float64 // of the domains, by rank
	hoster []float64
	// stolen is when the largest provider replaces its keys at once.
	stolen time.Time
	keys   documents
}

func newWorld(seed uint64, domains int, exponent float64) *world {
	return &world{seed: seed, cdf: zipf(domains, exponent), hoster: zipf(hosters, 1), keys: newDocuments()}
}

// zipf is the distribution function of ranks.
func zipf(n int, exponent float64) []float64 {
	cdf, sum := make([]float64, n), 0.0
	for i := range cdf {
		sum += math.Pow(float64(i+1), -exponent)
		cdf[i] = sum
	}
	for i := range cdf {
		cdf[i] /= sum
	}
	return cdf
}

func rank(cdf []float64, u float64) int { return min(sort.SearchFloat64s(cdf, u), len(cdf)-1) }

// hash is a number for a name, the same in every run with this seed.
func (w *world) hash(parts ...string) uint64 {
	h := fnv.New64a()
	for _, p := range parts {
		_, _ = h.Write([]byte(p))
		_, _ = h.Write([]byte{0})
	}
	x := h.Sum64() ^ w.seed
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

func (w *world) unit(parts ...string) float64 { return float64(w.hash(parts...)>>11) / (1 << 53) }

// home is the domain of a person.
func (w *world) home(person int) int { return rank(w.cdf, w.unit("person", strconv.Itoa(person))) }

func domainName(rank int) string { return "d" + strconv.Itoa(rank) + ".example" }

// rankOf is the rank of a domain; ok is false for hosts that are none.
func (w *world) rankOf(host string) (rank int, ok bool) {
	name, found := strings.CutSuffix(strings.TrimPrefix(host, "d"), ".example")
	rank, err := strconv.Atoi(name)
	return rank, found && err == nil && rank < len(w.cdf)
}

// kindOf tells what a host does.
func (w *world) kindOf(host string) kind {
	r, ok := w.rankOf(host)
	switch {
	case strings.Contains(host, ".tar"):
		return evilSlow
	case strings.Contains(host, ".evil"):
		return evil
	case !ok, r < large:
		return own
	}
	u := w.unit("kind", host)
	for _, share := range []struct {
		kind kind
		upTo float64
	}{{hosted, .5}, {own, .75}, {document, .95}, {nothing, .98}, {gone, .99}, {silent, .995}} {
		if u < share.upTo {
			return share.kind
		}
	}
	return slow
}

// works tells whether the people of a domain have a provider.
func (w *world) works(domain string) bool {
	switch w.kindOf(domain) {
	case own, hosted, document, slow:
		return true
	default:
		return false
	}
}

// issuer is the provider of the people of a domain.
func (w *world) issuer(domain string) string {
	if w.kindOf(domain) == hosted {
		return fmt.Sprintf("https://h%d.example", rank(w.hoster, w.unit("hoster", domain)))
	}
	return "https://" + domain
}

// address is where a host is: the large ones have networks of their own, a third
// of the rest is with a few that serve many, and the rest shares as well.
func (w *world) address(host string) netip.Addr {
	if at := strings.LastIndex(strings.TrimSuffix(host, ".example"), "."); at >= 0 { // the attacker's subdomains
		host = host[at+1:]
	}
	r, ok := w.rankOf(host)
	h := w.hash("network", host)
	block := uint64(1 << 20)
	switch {
	case ok && r < large, !ok:
		block += h % (1 << 16)
	case h%10 < 3:
		block = h / 10 % cdns
	default:
		block = cdns + h/10%others
	}
	return netip.AddrFrom4([4]byte{byte(20 + block>>16), byte(block >> 8), byte(block), byte(h >> 40)})
}

const (
	rotation = 90 * 24 * time.Hour
	year     = 365 * 24 * time.Hour
)

// epoch numbers the key that an issuer signs with. Keys are replaced every 90 days,
// the next one is published before; and once a year in an emergency, at once.
func (w *world) epoch(issuer string, now time.Time) int {
	since := now.Sub(w.start)
	phase := time.Duration(w.hash("phase", issuer) % uint64(rotation))
	n := int((since + phase) / rotation)
	if since > time.Duration(w.hash("emergency", issuer)%uint64(year)) {
		n += 1000
	}
	if issuer == "https://"+domainName(0) && !now.Before(w.stolen) {
		n += 2000
	}
	return n
}

func kid(epoch int) string { return "key-" + strconv.Itoa(epoch) }
